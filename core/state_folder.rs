//! The folder of a pipeline's checkpoints, its other names, and checkpoints of the same pipeline elsewhere.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkpoint::{Checkpoint, checkpoints};

/// Where the checkpoints of a pipeline are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateFolder {
    pub(crate) path: PathBuf,
    /// Other names of `path`, for other ways to the folder of the pipeline file.
    pub(crate) aliases: Vec<PathBuf>,
    /// Where checkpoints of a pipeline of this name may also be.
    pub(crate) others: Vec<PathBuf>,
    /// The folder of the pipeline file, as paths in positions begin.
    base: PathBuf,
    /// How earlier runs may have written it, if their checkpoints do not say so.
    spellings: Vec<PathBuf>,
}

impl StateFolder {
    pub(crate) fn new(base: PathBuf, spellings: Vec<PathBuf>) -> Self {
        StateFolder { base, spellings, ..StateFolder::default() }
    }

    /// The folder of the pipeline file, for a new checkpoint.
    pub(crate) fn base(&self) -> String {
        self.base.display().to_string()
    }

    /// Links its other names to the folder, which must exist.
    pub(crate) fn link_aliases(&self) -> std::io::Result<()> {
        let path = self.path.canonicalize()?;
        for alias in &self.aliases {
            if alias.canonicalize().is_ok() {
                continue;
            }
            // A link to a folder that was deleted.
            match std::fs::remove_file(alias) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => std::os::unix::fs::symlink(&path, alias)?,
            }
        }
        Ok(())
    }

    /// A checkpoint of this place, whose paths in the folder of the pipeline file follow that folder.
    pub(crate) fn moved_here(&self, mut checkpoint: Checkpoint) -> Checkpoint {
        let new = self.base();
        let is_old = |folder: &&PathBuf| begins_in(&checkpoint.identity, &folder.display().to_string());
        let guessed = || self.spellings.iter().find(is_old).map(|folder| folder.display().to_string());
        if let Some(old) = checkpoint.folder.clone().or_else(guessed)
            && old != new
        {
            // The identity may list several paths.
            let paths = checkpoint.identity.split(", ").map(|path| moved(path, &old, &new));
            checkpoint.identity = paths.collect::<Vec<_>>().join(", ");
            if let Some(position) = &mut checkpoint.position {
                move_paths(position, &old, &new);
            }
        }
        checkpoint.folder = Some(new);
        checkpoint
    }

    /// The checkpoints of `component` in other folders, one line for each.
    pub(crate) fn elsewhere(&self, component: &str) -> Vec<String> {
        let of_component = |folder: &PathBuf| {
            let found = checkpoints(folder).ok()?;
            let found = found.into_iter().find(|checkpoint| checkpoint.component == component)?;
            Some(format!("{} (next entry {})", folder.display(), found.next_entry))
        };
        self.others.iter().filter_map(of_component).collect()
    }
}

fn begins_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn moved(path: &str, old: &str, new: &str) -> String {
    if begins_in(path, old) { format!("{new}{}", &path[old.len()..]) } else { path.to_owned() }
}

fn move_paths(value: &mut Value, old: &str, new: &str) {
    match value {
        Value::String(text) => *text = moved(text, old, new),
        Value::Array(items) => items.iter_mut().for_each(|item| move_paths(item, old, new)),
        Value::Object(fields) => fields.values_mut().for_each(|item| move_paths(item, old, new)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A place without other names, for tests and for pipelines that have no file.
impl From<&Path> for StateFolder {
    fn from(path: &Path) -> Self {
        StateFolder { path: path.to_owned(), ..StateFolder::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn saved(folder: Option<&str>, identity: &str) -> Checkpoint {
        let position =
            json!({ "files": [{ "path": "/srv/1/a.csv", "offset": 3 }, { "path": "/srv/11/b.csv" }] });
        let checkpoint = Checkpoint::new("p", "rows", "csv", identity.into());
        Checkpoint { folder: folder.map(str::to_owned), position: Some(position), ..checkpoint }
    }

    #[test]
    fn paths_in_the_folder_of_the_file_follow_it() {
        let place = StateFolder::new("/srv/2".into(), vec!["/srv/2".into(), "/srv/1".into()]);
        let identity = "/srv/1/a.csv, /srv/11/b.csv";
        for folder in [Some("/srv/1"), None] {
            let moved = place.moved_here(saved(folder, identity));
            assert_eq!(moved.identity, "/srv/2/a.csv, /srv/11/b.csv");
            let files = &moved.position.unwrap()["files"];
            assert_eq!(
                (&files[0]["path"], &files[1]["path"]),
                (&json!("/srv/2/a.csv"), &json!("/srv/11/b.csv"))
            );
            assert_eq!(moved.folder.as_deref(), Some("/srv/2"));
        }
        let other = place.moved_here(saved(None, "GET https://api/prices"));
        assert_eq!(other.identity, "GET https://api/prices");
    }
}
