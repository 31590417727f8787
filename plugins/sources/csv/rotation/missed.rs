//! Files that were rotated out before the source has seen them, as while it was stopped.

use std::path::Path;

use anyhow::{Context as _, Result};
use tracing::{info, warn};

use super::super::columns::open_with_header;
use super::super::files::{display_path, file_name, is_rotated};
use super::super::position::Cursor;
use super::super::settings::Settings;
use super::candidates::{Candidate, Candidates};
use super::{Rotated, has_content};

/// Adds the files that were created after a rotated one, and were rotated too before the source has read them. Where
/// that is not certain, a warning names them.
pub(super) fn add(
    cursors: &mut Vec<Cursor>,
    rotated: &Rotated,
    candidates: &mut Candidates,
    settings: &Settings,
) {
    let Rotated { before, to } = rotated;
    let path = Path::new(&before.path);
    let is_same = |to: &&Candidate| before.is_of(&to.metadata);
    // What was written to the file since the cursor is older than its successor.
    let since = to.as_ref().filter(is_same).map_or(before.modified, Candidate::modified);
    if since == 0 {
        return;
    }
    let mut newer: Vec<Candidate> = candidates
        .all()
        .filter(|file| !file.is_found && file.path.parent() == path.parent() && file.path != path)
        .filter(|file| is_rotated(file_name(path), file.name()) && file.modified() >= since)
        .filter(|file| !file.is_being_compressed())
        .cloned()
        .collect();
    // Of files of one age the higher number is the older one.
    newer.sort_by(|one, other| (one.modified(), other.name()).cmp(&(other.modified(), one.name())));
    let names = to.iter().map(|to| &*to.path).chain([path]).find_map(|path| names(path, settings).ok()?);
    let mut doubtful = Vec::new();
    for file in newer {
        let Ok(found) = self::names(&file.path, settings) else {
            doubtful.push(file);
            continue;
        };
        // It has no row.
        let Some(found) = found else { continue };
        let is_copy = before.rows > 0 && has_content(before, &file.path, settings);
        // Without a row and without a successor that has a header there is nothing to compare.
        let is_like =
            settings.adds_columns || names.as_ref().map_or(before.rows == 0, |names| *names == found);
        match file.path.to_str() {
            Some(path) if is_like && !is_copy => {
                info!(
                    component = settings.context.component,
                    "{} was rotated before any of it was read, and is read now",
                    display_path(&file.path)
                );
                cursors.push(Cursor { is_moved: true, ..Cursor::at_start(path, &file.metadata) });
                candidates.claim(file.path);
            }
            _ => doubtful.push(file),
        }
    }
    if !doubtful.is_empty() {
        warn_of_unread_files(path, &doubtful, settings);
    }
}

/// The names of the columns of a file; `None` if it has no header yet.
fn names(path: &Path, settings: &Settings) -> Result<Option<Vec<String>>> {
    let path = path.to_str().context("the name is not UTF-8")?;
    Ok(open_with_header(path, settings)?.map(|opened| opened.header.names))
}

fn warn_of_unread_files(path: &Path, files: &[Candidate], settings: &Settings) {
    let component = &settings.context.component;
    let names: Vec<String> = files.iter().map(|file| display_path(&file.path).to_string()).collect();
    let (name, pattern) = (display_path(path), file_name(path));
    warn!(
        component,
        "{}: not read, though newer than what was read of {name}: perhaps {name} was rotated several times. To read every \
         file that rotation leaves, let `path` match them: path = [\"{pattern}\", \"{pattern}*\"]",
        names.join(", ")
    );
}
