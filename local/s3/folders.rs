//! Folders: the sorted names in a folder, remembered for a large one as long as nothing changes in it,
//! so that a listing of many pages does not read it anew for each.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Smaller folders are read faster than they are looked for.
const LARGE: usize = 1_000;
const REMEMBERED: usize = 8;
/// A change within one tick of the file system's clock does not show in a folder's time:
/// only a folder that has rested for longer is remembered.
const REST: Duration = Duration::from_secs(1);

/// The names of some folders.
#[derive(Default)]
pub(super) struct Folders(Mutex<VecDeque<Known>>);

struct Known {
    path: PathBuf,
    changed: SystemTime,
    names: Arc<[String]>,
}

impl Folders {
    /// The names in a folder in the order of keys: those of folders end in a slash. None are in one that is gone.
    pub(super) fn names(&self, path: &Path) -> io::Result<Arc<[String]>> {
        match self.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Arc::from([])),
            names => names,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Arc<[String]>> {
        let changed = fs::metadata(path)?.modified()?;
        let known = |it: &Known| it.path == path && it.changed == changed;
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|it| known(it))
        {
            return Ok(Arc::clone(&known.names));
        }
        let names = sorted(path)?;
        if names.len() >= LARGE && changed.elapsed().is_ok_and(|rest| rest > REST) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|it| it.path != path);
            all.truncate(REMEMBERED - 1);
            all.push_front(Known { path: path.into(), changed, names: Arc::clone(&names) });
        }
        Ok(names)
    }
}

fn sorted(path: &Path) -> io::Result<Arc<[String]>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // A name that is no UTF-8 is no key.
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if kind.is_dir() {
            name.push('/');
        } else if !kind.is_file() {
            continue;
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names.into())
}

/// Whether there is a file in a folder or below.
pub(super) fn holds_a_file(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || holds_a_file(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a folder with the folders below it; fails if there is a file.
pub(super) fn remove_empty(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_folder_at_rest_is_read_once_and_anew_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..LARGE {
            fs::write(folder.path().join(format!("{n}")), "").unwrap();
        }
        let folders = Folders::default();
        let read = || folders.names(folder.path()).unwrap();
        assert!(!Arc::ptr_eq(&read(), &read()), "a folder that changed just now is not remembered");

        let long_ago = SystemTime::now() - Duration::from_mins(1);
        fs::File::open(folder.path()).unwrap().set_modified(long_ago).unwrap();
        assert!(Arc::ptr_eq(&read(), &read()));

        fs::write(folder.path().join("new"), "").unwrap();
        assert_eq!(read().len(), LARGE + 1);
    }
}
