//! Folders and files that survive a power failure, and those that only their owner may read.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The mode of folders that everyone may read, as far as the umask allows.
const SHARED: u32 = 0o777;
/// The mode of folders that only their owner may enter.
const PRIVATE: u32 = 0o700;

/// Creates a folder and its missing parents, and makes their names durable. An existing folder is left unchanged.
pub fn create_folder(path: &Path) -> Result<()> {
    create(path, SHARED, &mut sync_folder)
}

/// The same, but only the owner may enter the new folders.
pub fn create_private_folder(path: &Path) -> Result<()> {
    create(path, PRIVATE, &mut sync_folder)
}

/// Creates an empty file that only its owner may read. It replaces a file or a symbolic link of that name, and never
/// writes to the target of a link.
pub fn create_private_file(path: &Path) -> Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(0o600).open(path)
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

fn create(path: &Path, mode: u32, sync: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    create(path.parent().unwrap_or(path), mode, sync)?;
    match DirBuilder::new().mode(mode).create(path) {
        // Another process created it and may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync(parent_of(path))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

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
        create(&at("a"), SHARED, &mut sync).unwrap();
        create(&at("a/b/c"), SHARED, &mut sync).unwrap();
        create(&at("a/b"), SHARED, &mut sync).unwrap();
        assert!(at("a/b/c").is_dir());
        assert_eq!(synced, [root.path().to_owned(), at("a"), at("a/b")]);
    }

    #[test]
    fn private_folder_and_file_are_readable_by_their_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        create_private_folder(&folder).unwrap();
        create_private_file(&folder.join("file")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&root.path().join("a")), 0o700);
        assert_eq!((mode(&folder), mode(&folder.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn private_file_replaces_a_symbolic_link_and_keeps_its_target() {
        let root = tempfile::tempdir().unwrap();
        let (victim, link) = (root.path().join("victim"), root.path().join("link"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        create_private_file(&link).unwrap().write_all(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
        assert!(!link.is_symlink());
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
