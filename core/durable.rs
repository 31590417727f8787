//! Creates folders that survive a power cut: the name of each is synced in the folder that holds it.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates a folder, and those in front of it that are missing. Once this returns their names are durable, and so
/// what is synced in them can be found again. A folder that is there already is left as it is.
pub fn create_folder(path: &Path) -> Result<()> {
    create(path, &mut sync_folder)
}

/// Makes names that have come into a folder, or have gone from it, durable.
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
        // Somebody else was quicker, and may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_that_is_created_is_synced_in_the_one_that_holds_it() {
        let scene = tempfile::tempdir().unwrap();
        let at = |name: &str| scene.path().join(name);
        let mut synced = Vec::new();
        let mut sync = |path: &Path| {
            synced.push(path.to_owned());
            sync_folder(path)
        };
        create(&at("a"), &mut sync).unwrap();
        create(&at("a/b/c"), &mut sync).unwrap();
        create(&at("a/b"), &mut sync).unwrap();
        assert!(at("a/b/c").is_dir());
        assert_eq!(synced, [scene.path().to_owned(), at("a"), at("a/b")]);
    }

    #[test]
    fn the_current_folder_is_there_and_a_file_is_no_folder() {
        create_folder(Path::new("")).unwrap();
        create_folder(Path::new(".")).unwrap();
        let scene = tempfile::tempdir().unwrap();
        let file = scene.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(create_folder(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create_folder(&file.join("in it")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
