//! Folder operations that survive a power failure: new names are synced in their parent folder.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates a folder and its missing parents, and makes their names durable. An existing folder is left unchanged.
pub fn create_folder(path: &Path) -> Result<()> {
    create(path, &mut sync_folder)
}

/// Makes created and removed names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the name of a new file or folder durable.
///
/// # Errors
/// If the parent folder cannot be opened or synced.
pub fn sync_parent(path: &Path) -> Result<()> {
    sync_folder(parent_of(path))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn create(path: &Path, sync: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    create(path.parent().unwrap_or(path), sync)?;
    match std::fs::create_dir(path) {
        // Another process created it and may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync(parent_of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_folder_syncs_each_new_folder_in_its_parent() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let mut synced = Vec::new();
        let mut sync = |path: &Path| {
            synced.push(path.to_owned());
            sync_folder(path)
        };
        create(&at("a"), &mut sync).unwrap();
        create(&at("a/b/c"), &mut sync).unwrap();
        create(&at("a/b"), &mut sync).unwrap();
        assert!(at("a/b/c").is_dir());
        assert_eq!(synced, [root.path().to_owned(), at("a"), at("a/b")]);
    }

    #[test]
    fn create_folder_accepts_the_current_folder_and_rejects_a_file() {
        create_folder(Path::new("")).unwrap();
        create_folder(Path::new(".")).unwrap();
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(create_folder(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create_folder(&file.join("in it")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
