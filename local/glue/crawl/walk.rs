//! Walking a target: the folders below it and the objects in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Halt, Watch};
use crate::catalogue::Place;

/// A folder of a bucket with all that lies in it, in the order of names.
pub(super) struct Folder {
    pub(super) place: Place,
    pub(super) files: Vec<File>,
    pub(super) folders: Vec<Folder>,
}

pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

pub(super) fn folder(root: &Path, place: &Place, watch: &Watch) -> Result<Folder, Halt> {
    if !root.join(&place.bucket).is_dir() {
        return Err(Halt::Failed(format!(
            "the bucket `{}` does not exist: create it, or point the crawler at another one",
            place.bucket
        )));
    }
    let path = place.on_disk(root);
    // A folder of S3 is only the beginning of keys: where no object is, there is none to miss.
    if !path.is_dir() {
        return Ok(Folder { place: place.clone(), files: Vec::new(), folders: Vec::new() });
    }
    read(&path, place.clone(), watch)
}

fn read(path: &Path, place: Place, watch: &Watch) -> Result<Folder, Halt> {
    watch.go_on()?;
    let failed = |error: std::io::Error| Halt::Failed(format!("reading {}: {error}", place.url()));
    let mut folder = Folder { place: place.clone(), files: Vec::new(), folders: Vec::new() };
    let mut entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What is being written, or is nobody's data.
        if name.starts_with(['_', '.']) {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            folder.folders.push(read(&entry.path(), place.below(&name), watch)?);
        } else {
            // An object may be taken away while we look.
            let Ok(metadata) = entry.metadata() else { continue };
            folder.files.push(File { path: entry.path(), size: metadata.len() });
        }
    }
    Ok(folder)
}
