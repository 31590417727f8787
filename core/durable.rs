//! Durable changes of folders: they survive a power cut.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates a folder and its missing parents, and syncs the name of each in its parent. Once this
/// returns, a file that is synced in the folder can be found after a power cut. A folder that
/// exists is left as it is.
pub fn create_folder(path: &Path) -> Result<()> {
    create(path, &mut sync_folder)
}

/// Makes the names that were added to a folder, or removed from it, durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}

fn create(path: &Path, sync: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    create(parent, sync)?;
    match std::fs::create_dir(path) {
        // Another process has created it, and may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_folder_is_synced_in_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut synced = Vec::new();
        let mut sync = |path: &Path| {
            synced.push(path.to_owned());
            sync_folder(path)
        };
        create(&at("a"), &mut sync).unwrap();
        create(&at("a/b/c"), &mut sync).unwrap();
        create(&at("a/b"), &mut sync).unwrap();
        assert!(at("a/b/c").is_dir());
        assert_eq!(synced, [folder.path().to_owned(), at("a"), at("a/b")]);
    }

    #[test]
    fn current_folder_exists_and_a_file_is_refused() {
        create_folder(Path::new("")).unwrap();
        create_folder(Path::new(".")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(create_folder(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create_folder(&file.join("in it")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
