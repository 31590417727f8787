//! A checkpoint remembers, per source, what has been delivered.
//!
//! It is one small file a source, replaced as a whole: written to a temporary
//! file, synced, renamed, and the folder synced, so that a crash leaves the old
//! one or the new one. The folder is locked against a second run.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format this version writes and reads.
const VERSION: u32 = 1;

/// What is known of a source's past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) version: u32,
    pub(crate) pipeline: String,
    pub(crate) component: String,
    /// The type and identity that the position is good for.
    pub(crate) plugin: String,
    pub(crate) identity: String,
    pub(crate) position: Option<Value>,
    /// The number of the first entry that has not been delivered.
    pub(crate) next_entry: u64,
    /// No number from here on has ever been given.
    pub(crate) reserved: u64,
}

impl Checkpoint {
    pub(crate) fn new(pipeline: &str, component: &str, plugin: &str, identity: String) -> Self {
        Checkpoint {
            version: VERSION,
            pipeline: pipeline.to_owned(),
            component: component.to_owned(),
            plugin: plugin.to_owned(),
            identity,
            position: None,
            next_entry: 0,
            reserved: 0,
        }
    }
}

/// The folder of one pipeline's checkpoints, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let what = || {
            format!(
                "the folder for checkpoints, {}, cannot be used; name another one with `data_dir` or RUNNER_DATA_DIR",
                path.display()
            )
        };
        std::fs::create_dir_all(path).with_context(what)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .with_context(what)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another run of this pipeline is active: it holds {}; stop it first, or give this one another `name` or `data_dir`",
                path.join("lock").display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(what),
        }
    }

    fn file(&self, component: &str) -> PathBuf {
        self.path.join(format!("{component}.json"))
    }

    /// What was written last for a component; `None` at its first start.
    pub(crate) fn read(&self, component: &str) -> Result<Option<Checkpoint>> {
        let path = self.file(component);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("reading the checkpoint {}", path.display()));
            }
        };
        let advice = || {
            format!(
                "the checkpoint {} cannot be read; `--from-start` forgets it and begins anew",
                path.display()
            )
        };
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes).with_context(advice)?;
        if checkpoint.version != VERSION {
            return Err(anyhow::anyhow!(
                "it has version {}, this runner knows version {VERSION}",
                checkpoint.version
            ))
            .with_context(advice);
        }
        Ok(Some(checkpoint))
    }

    /// Replaces the checkpoint of a component; durable once this returns.
    pub(crate) fn write(&self, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.file(&checkpoint.component);
        let temporary = path.with_extension("json.new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(serde_json::to_string_pretty(checkpoint)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("writing the checkpoint {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(next_entry: u64) -> Checkpoint {
        Checkpoint { next_entry, ..Checkpoint::new("producer", "stocks", "csv", "a.csv".into()) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(&folder.path().join("deep/er")).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), None);
        folder.write(&checkpoint(1)).unwrap();
        folder.write(&checkpoint(2)).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(2)));
    }

    #[test]
    fn a_torn_temporary_file_changes_nothing() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path()).unwrap();
        folder.write(&checkpoint(1)).unwrap();
        std::fs::write(path.path().join("stocks.json.new"), "{\"ver").unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(1)));
        folder.write(&checkpoint(2)).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(2)));
    }

    #[test]
    fn a_checkpoint_of_another_version_is_refused_and_says_what_to_do() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path()).unwrap();
        folder.write(&Checkpoint { version: 99, ..checkpoint(1) }).unwrap();
        let error = format!("{:#}", folder.read("stocks").unwrap_err());
        assert!(error.contains("version 99") && error.contains("--from-start"), "{error}");
    }

    #[test]
    fn a_second_run_is_refused() {
        let path = tempfile::tempdir().unwrap();
        let first = Folder::open(path.path()).unwrap();
        let refused = Folder::open(path.path()).unwrap_err().to_string();
        assert!(refused.contains("another run of this pipeline is active"), "{refused}");
        drop(first);
        Folder::open(path.path()).unwrap();
    }
}
