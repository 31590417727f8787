//! Finds files again that were renamed, and notices that others took their places.

mod candidates;
mod missed;

use std::cmp::Reverse;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use self::candidates::{Candidate, Candidates, is_named_alike};
use super::files::{
    absent, created, display_path, file_name, is_backup, is_compressed, is_rotated, is_rotated_again,
    modified, uncompressed,
};
use super::input::Input;
use super::position::{Cursor, End};
use super::settings::Settings;

/// Gives every cursor the path under which its file is now. `found` are the files that the patterns match.
///
/// A file is known by its inode together with what was read of it; where no file has the inode, what was read
/// decides: a file that was copied, restored or compressed. With `follow` a file that cannot be found is gone, and what
/// has taken its path is new; otherwise the path stays and opening it says what is wrong. With `follow` this also adds
/// files that were rotated out before any of their rows was read.
pub(super) fn find_moved(cursors: &mut Vec<Cursor>, found: &[PathBuf], settings: &Settings) {
    let mut lost: Vec<usize> =
        (0..cursors.len()).filter(|&index| !is_surely_in_place(&cursors[index], settings)).collect();
    let successors = successors_of_moved_files(cursors, found, settings);
    if lost.is_empty() && successors.is_empty() {
        return;
    }
    let beside = lost.iter().map(|&index| &cursors[index]).chain(successors.iter().map(|it| &it.before));
    let mut candidates = Candidates::new(cursors, &lost, found, beside.filter(|_| settings.follow));
    // A file of which much was read is known better than one of which little was.
    lost.sort_by_key(|&index| Reverse(cursors[index].offset));
    let mut rotated = successors;
    let mut unknown = Vec::new();
    for index in lost {
        let cursor = &mut cursors[index];
        match find_by_inode(cursor, &candidates, settings) {
            Some(to) => rotated.push(move_to(cursor, to, &mut candidates, settings)),
            None => unknown.push(index),
        }
    }
    for index in unknown {
        let cursor = &mut cursors[index];
        if let Some(to) = find_archive(cursor, &candidates, settings) {
            rotated.push(move_to(cursor, to, &mut candidates, settings));
        } else if is_at_its_path(cursor, &candidates, settings) {
            if let Ok(now) = std::fs::metadata(&cursor.path) {
                if cursor.rows == 0 && cursor.inode != 0 && !cursor.is_of(&now) {
                    // None of its rows was read, so this may be its successor.
                    rotated.push(Rotated { before: cursor.clone(), to: None });
                }
                (cursor.inode, cursor.created) = (now.ino(), created(&now));
            }
            candidates.claim(PathBuf::from(&cursor.path));
        } else if let Some(to) = find_by_content(cursor, &candidates, settings) {
            rotated.push(move_to(cursor, to, &mut candidates, settings));
        } else if settings.follow {
            rotated.push(Rotated { before: cursor.clone(), to: None });
            warn_of_lost_rows(cursor, settings);
            cursor.is_gone = true;
        }
    }
    if settings.follow {
        // A file that was renamed before has its successor among the known ones, or gets it later.
        for rotated in rotated.iter().filter(|rotated| !rotated.before.is_moved) {
            missed::add(cursors, rotated, &mut candidates, settings);
        }
    }
}

/// The files that were renamed or removed some time ago, and whose successor is at their path only now: another one
/// may have been there in between.
fn successors_of_moved_files(cursors: &[Cursor], found: &[PathBuf], settings: &Settings) -> Vec<Rotated> {
    let is_known =
        |path: &Path| cursors.iter().any(|cursor| !cursor.is_gone && Path::new(&cursor.path) == path);
    let predecessor = |path: &PathBuf| {
        let last = cursors.iter().filter(|cursor| was_at(cursor, path)).max_by_key(|it| it.modified)?;
        let before = Cursor { path: path.to_str()?.to_owned(), is_moved: false, ..last.clone() };
        Some(Rotated { before, to: Candidate::at(Path::new(&last.path)).filter(|_| !last.is_gone) })
    };
    let new = found.iter().filter(|path| settings.follow && !is_known(path));
    new.filter_map(predecessor).collect()
}

/// Whether the file of a cursor is or was at a path.
fn was_at(cursor: &Cursor, path: &Path) -> bool {
    let now = Path::new(&cursor.path);
    let is_beside = now.parent() == path.parent() && is_rotated(file_name(path), file_name(now));
    now == path || cursor.is_moved && is_beside
}

/// Adds cursors for files that `path` names and that have not existed yet. A file that is created and rotated before the
/// next look is newer than the last change of the folder, and is found by that.
pub(super) fn note_absent(cursors: &mut Vec<Cursor>, settings: &Settings) {
    for path in absent(settings) {
        let folder = path.parent().and_then(|folder| std::fs::metadata(folder).ok());
        if let (Some(folder), Some(name)) = (folder, path.to_str())
            && !cursors.iter().any(|cursor| was_at(cursor, &path))
        {
            let (path, modified) = (name.to_owned(), modified(&folder));
            cursors.push(Cursor { path, modified, is_gone: true, ..Cursor::default() });
        }
    }
}

/// A file that is not at its path any more.
struct Rotated {
    before: Cursor,
    /// Where it is now.
    to: Option<Candidate>,
}

fn move_to(cursor: &mut Cursor, to: Candidate, candidates: &mut Candidates, settings: &Settings) -> Rotated {
    let before = cursor.clone();
    let component = &settings.context.component;
    info!(component, "{} is {} now", display_path(&cursor.path), display_path(&to.path));
    if let Some(path) = to.path.to_str() {
        path.clone_into(&mut cursor.path);
    }
    cursor.is_moved = true;
    if !cursor.is_of(&to.metadata) {
        // A copy, perhaps a compressed one: its size says nothing about how far it was read.
        (cursor.inode, cursor.created, cursor.size) = (to.inode(), created(&to.metadata), 0);
    }
    candidates.claim(to.path.clone());
    Rotated { before, to: Some(to) }
}

fn warn_of_lost_rows(cursor: &Cursor, settings: &Settings) {
    if cursor.end != End::NotReached || cursor.offset == 0 && cursor.size == 0 {
        return;
    }
    let (component, name) = (&settings.context.component, display_path(&cursor.path));
    warn!(
        component,
        "{name} was read up to line {}, then another file took its place or it was removed: rows after that line were \
         not read. Rotate files by renaming them, in the same folder",
        cursor.lines
    );
}

/// Whether the path of a cursor leads to its file, as far as that can be told without looking for others.
pub(super) fn is_surely_in_place(cursor: &Cursor, settings: &Settings) -> bool {
    if cursor.is_gone {
        return true;
    }
    let Ok(now) = std::fs::metadata(&cursor.path) else { return false };
    let is_same_inode = cursor.inode == 0 || cursor.is_of(&now);
    let is_unchanged = cursor.size == now.len() && cursor.modified == modified(&now);
    is_same_inode && (is_unchanged || has_content(cursor, Path::new(&cursor.path), settings))
}

/// Whether a file has everything that was read up to the cursor.
fn has_content(cursor: &Cursor, path: &Path, settings: &Settings) -> bool {
    cursor.offset == 0 || open_at(cursor, path, settings).is_some()
}

/// Whether a file has what was read up to the cursor, and nothing else.
fn has_exact_content(cursor: &Cursor, path: &Path, settings: &Settings) -> bool {
    open_at(cursor, path, settings).is_some_and(|mut input| {
        let has_more = input.read_at_least(1).is_err() || !input.window().is_empty();
        cursor.offset > 0 && cursor.end != End::NotReached && !has_more
    })
}

/// A file at the cursor, if it has everything that was read up to there.
fn open_at(cursor: &Cursor, path: &Path, settings: &Settings) -> Option<Input> {
    let mut input = Input::open(path.to_str()?, display_path(path), settings).ok()?;
    // The text counts here, however it is compressed.
    let text_only = Cursor { size: 0, end: End::NotReached, ..cursor.clone() };
    matches!(input.seek_to(&text_only), Ok(None)).then_some(input)
}

/// The file elsewhere that has the inode of the cursor, and what was read.
fn find_by_inode(cursor: &Cursor, candidates: &Candidates, settings: &Settings) -> Option<Candidate> {
    let old = Path::new(&cursor.path);
    let to = candidates.with_inode(cursor.inode).find(|to| {
        let is_grown = to.metadata.len() > cursor.size;
        // Of a file with the same length nothing was written since.
        let is_unchanged = to.metadata.len() == cursor.size && to.modified() == cursor.modified;
        let may_be_it = match cursor.offset {
            0 => {
                let is_rotated = cursor.is_moved || is_rotated(file_name(old), to.name());
                (is_grown || is_unchanged) && (to.is_found || is_rotated)
            }
            _ => to.metadata.len() != cursor.size || is_unchanged,
        };
        to.path != old && cursor.is_of(&to.metadata) && may_be_it && has_content(cursor, &to.path, settings)
    })?;
    // An editor keeps what the file was, and writes it anew.
    let may_be_backup = is_backup(to.name()) || !to.is_found && !is_named_alike(old, to.name());
    let is_backup = may_be_backup && cursor.offset > 0 && has_content(cursor, old, settings);
    (!is_backup).then(|| to.clone())
}

/// The file that rotation has compressed, while another one took its path.
fn find_archive(cursor: &Cursor, candidates: &Candidates, settings: &Settings) -> Option<Candidate> {
    let old = Path::new(&cursor.path);
    let now = std::fs::metadata(old).ok()?;
    if !settings.follow || cursor.inode == 0 || cursor.is_of(&now) {
        return None;
    }
    let is_archive = |to: &&Candidate| {
        // Where no row was read, the age alone tells it from older archives.
        (cursor.rows > 0 || to.modified() > cursor.modified)
            && !is_compressed(file_name(old))
            && is_rotated(file_name(old), to.name())
            && has_content(cursor, &to.path, settings)
    };
    candidates.archives_beside(old, cursor.modified).find(is_archive).cloned()
}

/// Whether what was read is at the path of the cursor, though its file may have been written anew.
fn is_at_its_path(cursor: &Cursor, candidates: &Candidates, settings: &Settings) -> bool {
    let path = Path::new(&cursor.path);
    path.exists() && !candidates.is_claimed(path) && has_content(cursor, path, settings)
}

/// The file elsewhere that has what was read.
fn find_by_content(cursor: &Cursor, candidates: &Candidates, settings: &Settings) -> Option<Candidate> {
    let old = Path::new(&cursor.path);
    // Only rows tell files apart: every file begins with a header.
    let has_rows = cursor.rows > 0;
    if old.exists() {
        // Something else is at the path, as after copying and truncating.
        let mut others = candidates.all().filter(|to| has_rows && to.path != old);
        return others.find(|to| has_content(cursor, &to.path, settings)).cloned();
    }
    // The file was compressed in its folder, or moved to another file system.
    let name = file_name(old);
    let is_archive = |to: &&Candidate| {
        let is_rotated = is_rotated(name, to.name()) || is_rotated_again(name, to.name());
        (uncompressed(to.name()) == name || has_rows && is_rotated) && has_content(cursor, &to.path, settings)
    };
    let is_copy = |to: &&Candidate| has_exact_content(cursor, &to.path, settings);
    let archive = candidates.archives_beside(old, cursor.modified).find(is_archive);
    archive.or_else(|| candidates.modified_in_second_of(cursor.modified).find(is_copy)).cloned()
}
