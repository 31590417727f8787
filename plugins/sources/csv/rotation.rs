//! Finds files again that were renamed, and notices that others took their places.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::files::display_path;
use super::input::Input;
use super::position::{Cursor, End};
use super::settings::Settings;
use super::snapshot::modified;

/// Gives every cursor the path under which its file is now. `found` are the files that the patterns match.
///
/// A file is known by what was read of it, and by its inode: a copy with the same beginning is another file, unless
/// the old path holds something else by now, as after copying and truncating. With `follow` a file that cannot be
/// found is gone, and what has taken its path is new; otherwise the path stays and opening it says what is wrong.
pub(super) fn find_moved(cursors: &mut [Cursor], found: &[PathBuf], settings: &Settings) {
    let is_lost: Vec<usize> =
        (0..cursors.len()).filter(|&index| !is_in_place(&cursors[index], settings)).collect();
    if is_lost.is_empty() {
        return;
    }
    let mut claimed: HashSet<PathBuf> = HashSet::new();
    for (index, cursor) in cursors.iter().enumerate() {
        if !cursor.is_gone && is_lost.binary_search(&index).is_err() {
            claimed.insert(PathBuf::from(&cursor.path));
        }
    }
    // A file of which much was read is known better than one of which little was.
    let mut by_length = is_lost;
    by_length.sort_by_key(|&index| std::cmp::Reverse(cursors[index].offset));
    for index in by_length {
        let cursor = &mut cursors[index];
        let name = display_path(Path::new(&cursor.path));
        let component = &settings.context.component;
        match moved_to(cursor, found, &claimed, settings) {
            Some(path) => {
                info!(component, "{name} is {} now", display_path(&path));
                if let Some(path) = path.to_str() {
                    path.clone_into(&mut cursor.path);
                }
                cursor.is_moved = true;
                claimed.insert(path);
            }
            None if settings.read_as.follow => {
                if cursor.end == End::NotReached {
                    warn!(
                        component,
                        "{name} was read up to line {}, then another file took its place or it was removed: rows after that \
                         line were not read. Rotate files by renaming them, in the same folder",
                        cursor.lines
                    );
                }
                cursor.is_gone = true;
            }
            None => {}
        }
    }
}

/// Whether the path of a cursor leads to its file, as far as there is a reason to doubt it.
fn is_in_place(cursor: &Cursor, settings: &Settings) -> bool {
    if cursor.is_gone || cursor.offset == 0 {
        return true;
    }
    let Ok(now) = std::fs::metadata(&cursor.path) else {
        // A file that was read to its end may be removed; one that was not may have been renamed.
        return cursor.end != End::NotReached && !settings.read_as.follow;
    };
    let is_same_inode = cursor.inode == 0 || cursor.inode == now.ino();
    if is_same_inode && cursor.size == now.len() && cursor.modified == modified(&now) {
        return true;
    }
    is_continued_by(cursor, &cursor.path, settings)
}

/// Whether a file has everything that was read up to the cursor.
fn is_continued_by(cursor: &Cursor, path: &str, settings: &Settings) -> bool {
    let name = display_path(Path::new(path));
    Input::open(path, name, settings.read_as).is_ok_and(|mut input| {
        // The text counts here, however it is compressed.
        let text_only = Cursor { size: 0, end: End::NotReached, ..cursor.clone() };
        matches!(input.seek_to(&text_only), Ok(None))
    })
}

fn moved_to(
    cursor: &Cursor,
    found: &[PathBuf],
    claimed: &HashSet<PathBuf>,
    settings: &Settings,
) -> Option<PathBuf> {
    let old = Path::new(&cursor.path);
    let is_replaced = old.exists();
    let siblings = if settings.read_as.follow { siblings(old) } else { Vec::new() };
    let candidates: Vec<(&PathBuf, Metadata)> = found
        .iter()
        .chain(&siblings)
        .filter(|path| path.as_path() != old && !claimed.contains(*path))
        .filter_map(|path| Some((path, std::fs::metadata(path).ok().filter(Metadata::is_file)?)))
        .collect();
    let has_content = |path: &Path| path.to_str().is_some_and(|path| is_continued_by(cursor, path, settings));
    let is_same_inode = |now: &Metadata| {
        // Of a file with the same length nothing was written since.
        now.ino() == cursor.inode && (now.len() != cursor.size || modified(now) == cursor.modified)
    };
    let by_inode = candidates.iter().find(|(path, now)| is_same_inode(now) && has_content(path));
    let by_content = || candidates.iter().find(|(path, _)| is_replaced && has_content(path));
    by_inode.or_else(by_content).map(|(path, _)| (*path).clone())
}

/// Files beside `path` with a name that begins like its own: where rotation puts them.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|stem| stem.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_sibling = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(stem))
    };
    let mut siblings: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_sibling).collect();
    siblings.sort();
    siblings
}
