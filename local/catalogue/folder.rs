//! Folders of buckets: the objects in a location, as files on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::Location;

/// A folder of a bucket with its objects, sorted by name.
pub(crate) struct Folder {
    pub(crate) location: Location,
    pub(crate) files: Vec<PathBuf>,
}

impl Folder {
    /// Reads a location and all folders below it, each before those below it. A location that does not exist is
    /// empty; fails if its bucket does not exist.
    pub(crate) fn read_all(root: &Path, location: &Location) -> Result<Vec<Folder>, String> {
        let bucket = &location.bucket;
        if !root.join(bucket).is_dir() {
            return Err(format!("the bucket `{bucket}` does not exist (NoSuchBucket)"));
        }
        let path = location.on_disk(root);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let failed = |error: std::io::Error| format!("reading {}: {error}", location.url());
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let (mut files, mut below) = (Vec::new(), Vec::new());
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Hadoop's names for temporary files.
            if name.starts_with(['_', '.']) {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                below.extend(Folder::read_all(root, &location.below(&name))?);
            } else {
                files.push(entry.path());
            }
        }
        below.insert(0, Folder { location: location.clone(), files });
        Ok(below)
    }
}
