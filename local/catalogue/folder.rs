//! Folders of buckets: the objects in a location, as files on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::Location;

/// A folder of a bucket with its objects and folders, sorted by name.
pub(crate) struct Folder {
    pub(crate) location: Location,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<Folder>,
}

impl Folder {
    /// Reads a location, which is empty if it does not exist; fails if its bucket does not exist.
    pub(crate) fn read(root: &Path, location: &Location) -> Result<Folder, String> {
        let bucket = &location.bucket;
        if !root.join(bucket).is_dir() {
            return Err(format!("the bucket `{bucket}` does not exist (NoSuchBucket)"));
        }
        let mut folder = Folder { location: location.clone(), files: Vec::new(), folders: Vec::new() };
        let path = location.on_disk(root);
        if !path.is_dir() {
            return Ok(folder);
        }
        let failed = |error: std::io::Error| format!("reading {}: {error}", location.url());
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Hadoop's names for temporary files.
            if name.starts_with(['_', '.']) {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                folder.folders.push(Folder::read(root, &location.below(&name))?);
            } else {
                folder.files.push(entry.path());
            }
        }
        Ok(folder)
    }
}
