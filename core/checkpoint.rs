//! A checkpoint holds, for one source, how far everything has been delivered.
//!
//! It is one small file for each source, replaced as a whole: written to a temporary file, synced,
//! renamed, and the folder synced. A crash leaves the old file or the new one. The folder is locked
//! against a second run.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durable::{create_private_file, create_private_folder, sync_folder};
use crate::entry_number::Incarnation;
use crate::source::{Replay, Source};

/// The format this version writes and reads.
const VERSION: u32 = 1;

/// How far the records of one source have been delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub(crate) version: u32,
    pub(crate) pipeline: String,
    /// The name of the source in the pipeline file.
    pub component: String,
    /// The type of source that the position is valid for.
    pub plugin: String,
    /// What that source reads.
    pub identity: String,
    /// Where the source resumes, as its plugin writes it; none at the beginning.
    pub position: Option<Value>,
    /// The number of the first entry that has not been delivered.
    pub next_entry: u64,
    /// No entry number from here on has ever been given.
    pub reserved: u64,
    /// What transforms know of the records before the position, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) states: BTreeMap<String, Value>,
    /// Which state this is; none in a checkpoint of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The folder of the pipeline file when this was written: paths in it have moved if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<String>,
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
            states: BTreeMap::new(),
            incarnation: None,
            folder: None,
        }
    }

    /// Whether its position is valid for a source that starts with `fresh`.
    pub(crate) fn matches(&self, fresh: &Checkpoint) -> bool {
        self.plugin == fresh.plugin && self.identity == fresh.identity
    }

    /// This checkpoint under the present identity of its source, if that can resume from it.
    pub(crate) fn migrated_to(self, source: &dyn Source) -> Checkpoint {
        if source.can_resume_from(&self.identity) {
            return Checkpoint { identity: source.identity(), ..self };
        }
        self
    }

    /// What a source starts with that has this checkpoint, and would start with `fresh` without it.
    pub(crate) fn resume(self, fresh: Checkpoint, replay: Replay) -> Checkpoint {
        let reserved = self.reserved.max(self.next_entry);
        if !self.matches(&fresh) {
            // The transforms are the same, and what they know of the records before stays true.
            let Checkpoint { incarnation, states, .. } = self;
            return Checkpoint { next_entry: reserved, reserved, incarnation, states, ..fresh };
        }
        let next_entry = match replay {
            Replay::Deterministic => self.next_entry,
            Replay::NonDeterministic | Replay::External | Replay::Impossible => reserved,
        };
        Checkpoint { next_entry, reserved, ..self }
    }
}

/// The checkpoints of a pipeline as they are now, in the order of their names; a run that is
/// active is not disturbed. None if the folder does not exist.
pub fn checkpoints(data_dir: &Path) -> Result<Vec<Checkpoint>> {
    names(data_dir)?.iter().filter_map(|name| read(&file(data_dir, name)).transpose()).collect()
}

/// Removes checkpoints of a pipeline: the one of `component`, or all. Returns the components that
/// had one. An active run is an error.
pub fn reset_checkpoints(data_dir: &Path, component: Option<&str>) -> Result<Vec<String>> {
    let mut names = names(data_dir)?;
    names.retain(|name| component.is_none_or(|component| component == name));
    if names.is_empty() {
        return Ok(names);
    }
    let folder = Folder::lock(data_dir)?;
    for name in &names {
        let path = folder.file(name);
        std::fs::remove_file(&path).with_context(|| format!("removing the checkpoint {}", path.display()))?;
    }
    sync_folder(data_dir).with_context(|| format!("removing checkpoints of {}", data_dir.display()))?;
    Ok(names)
}

/// The components that have a checkpoint.
fn names(data_dir: &Path) -> Result<Vec<String>> {
    let what = || format!("reading the folder for checkpoints, {}", data_dir.display());
    let entries = match std::fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(what)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(what)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

fn file(data_dir: &Path, component: &str) -> PathBuf {
    data_dir.join(format!("{component}.json"))
}

fn read(path: &Path) -> Result<Option<Checkpoint>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("reading the checkpoint {}", path.display()));
        }
    };
    let advice = || {
        let component = path.file_stem().unwrap_or_default().display();
        format!(
            "the checkpoint {} cannot be read: restore a copy of it, or remove it with \
             `runner checkpoint reset FILE {component}` (`runner run FILE --from-start` removes those of all \
             sources); `{component}` is then read from the beginning, and its entry numbers start at 0",
            path.display()
        )
    };
    let checkpoint: Checkpoint = serde_json::from_slice(&bytes).with_context(advice)?;
    if checkpoint.version != VERSION {
        return Err(anyhow::anyhow!(
            "it has version {}, but this runner reads version {VERSION}",
            checkpoint.version
        ))
        .with_context(advice);
    }
    Ok(Some(checkpoint))
}

/// What a run does with checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpoints {
    /// It reads and writes them.
    Saved,
    /// It resumes from them and writes nothing.
    ReadOnly,
    /// It starts at the beginning and writes nothing.
    Ignored,
}

/// The folder of one pipeline's checkpoints, locked for as long as this lives if the run writes them.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    use_of: Checkpoints,
    _lock: Option<File>,
}

impl Folder {
    /// The folder, for a run that does this with it.
    pub(crate) fn open(path: &Path, use_of: Checkpoints) -> Result<Self> {
        match use_of {
            Checkpoints::Saved => Folder::lock(path),
            Checkpoints::ReadOnly | Checkpoints::Ignored => {
                Ok(Folder { path: path.to_owned(), use_of, _lock: None })
            }
        }
    }

    /// Creates the folder if it is missing, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self> {
        let what = || {
            format!(
                "the folder for checkpoints, {}, cannot be used; name another one with `data_dir` or RUNNER_DATA_DIR",
                path.display()
            )
        };
        create_private_folder(path).with_context(what)?;
        let lock = path.join("lock");
        if lock.is_symlink() {
            bail!("{} is a symbolic link; remove it", lock.display());
        }
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(lock);
        let lock = lock.with_context(what)?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), use_of: Checkpoints::Saved, _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => bail!(
                "another run of this pipeline is active: it holds {}; stop it first, or give this one another `name` or `data_dir`",
                path.join("lock").display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(what),
        }
    }

    fn file(&self, component: &str) -> PathBuf {
        file(&self.path, component)
    }

    /// What was written last for a component; `None` at its first start.
    pub(crate) fn read(&self, component: &str) -> Result<Option<Checkpoint>> {
        if self.use_of == Checkpoints::Ignored { Ok(None) } else { read(&self.file(component)) }
    }

    /// Replaces the checkpoint of a component; durable once this returns.
    pub(crate) fn write(&self, checkpoint: &Checkpoint) -> Result<()> {
        if self.use_of != Checkpoints::Saved {
            return Ok(());
        }
        let path = self.file(&checkpoint.component);
        let temporary = path.with_extension("json.new");
        let write = || -> std::io::Result<()> {
            let mut file = create_private_file(&temporary)?;
            file.write_all(serde_json::to_string_pretty(checkpoint)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            sync_folder(&self.path)
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
    fn written_checkpoint_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::lock(&folder.path().join("deep/er")).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), None);
        folder.write(&checkpoint(1)).unwrap();
        folder.write(&checkpoint(2)).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(2)));
    }

    #[test]
    fn incomplete_temporary_file_changes_nothing() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::lock(path.path()).unwrap();
        folder.write(&checkpoint(1)).unwrap();
        std::fs::write(path.path().join("stocks.json.new"), "{\"ver").unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(1)));
        folder.write(&checkpoint(2)).unwrap();
        assert_eq!(folder.read("stocks").unwrap(), Some(checkpoint(2)));
    }

    #[test]
    fn checkpoint_of_another_version_is_refused_with_advice() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::lock(path.path()).unwrap();
        folder.write(&Checkpoint { version: 99, ..checkpoint(1) }).unwrap();
        let error = format!("{:#}", folder.read("stocks").unwrap_err());
        assert!(error.contains("version 99") && error.contains("--from-start"), "{error}");
    }

    #[test]
    fn unreadable_checkpoint_error_names_what_a_reset_costs() {
        let path = tempfile::tempdir().unwrap();
        std::fs::write(path.path().join("stocks.json"), "{\"version\":1,").unwrap();
        let error = format!("{:#}", checkpoints(path.path()).unwrap_err());
        for part in ["reset FILE stocks", "--from-start", "all sources", "numbers start at 0"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(reset_checkpoints(path.path(), Some("stocks")).unwrap(), ["stocks"]);
    }

    #[test]
    fn nondeterministic_or_edited_source_continues_after_reserved_numbers() {
        let old = Checkpoint { reserved: 200, position: Some(7.into()), ..checkpoint(20) };
        let fresh = || checkpoint(0);
        let resume = |fresh, replay| {
            let Checkpoint { next_entry, reserved, position, .. } = old.clone().resume(fresh, replay);
            (next_entry, reserved, position.is_some())
        };
        assert_eq!(resume(fresh(), Replay::Deterministic), (20, 200, true));
        assert_eq!(resume(fresh(), Replay::NonDeterministic), (200, 200, true));
        let edited = Checkpoint { identity: "b.csv".into(), ..fresh() };
        assert_eq!(resume(edited, Replay::Deterministic), (200, 200, false));
    }

    #[test]
    fn states_of_transforms_stay_if_the_source_is_edited_or_replaced() {
        let states = BTreeMap::from([("once".to_owned(), Value::from("keys"))]);
        let old = Checkpoint { states: states.clone(), position: Some(7.into()), ..checkpoint(20) };
        let edited = Checkpoint { identity: "b.csv".into(), ..checkpoint(0) };
        let replaced = Checkpoint { plugin: "http".into(), ..checkpoint(0) };
        for fresh in [edited, replaced] {
            let resumed = old.clone().resume(fresh.clone(), Replay::Deterministic);
            assert_eq!((resumed.states, resumed.position), (states.clone(), None));
            assert_eq!((resumed.plugin, resumed.identity), (fresh.plugin, fresh.identity));
        }
    }

    #[test]
    fn reset_removes_only_the_named_checkpoint() {
        let path = tempfile::tempdir().unwrap();
        let stocks = checkpoint(3);
        let other = Checkpoint { component: "other".into(), ..checkpoint(5) };
        let folder = Folder::lock(path.path()).unwrap();
        folder.write(&stocks).unwrap();
        folder.write(&other).unwrap();
        assert_eq!(checkpoints(path.path()).unwrap(), [other.clone(), stocks]);
        let refused = reset_checkpoints(path.path(), None).unwrap_err().to_string();
        assert!(refused.contains("another run"), "{refused}");
        drop(folder);
        assert_eq!(reset_checkpoints(path.path(), Some("stocks")).unwrap(), ["stocks"]);
        assert_eq!(checkpoints(path.path()).unwrap(), [other]);
        assert_eq!(reset_checkpoints(path.path(), Some("nobody")).unwrap(), Vec::<String>::new());
        assert_eq!(checkpoints(&path.path().join("nowhere")).unwrap(), []);
    }

    #[test]
    fn second_run_is_refused() {
        let path = tempfile::tempdir().unwrap();
        let first = Folder::lock(path.path()).unwrap();
        let refused = Folder::lock(path.path()).unwrap_err().to_string();
        assert!(refused.contains("another run of this pipeline is active"), "{refused}");
        drop(first);
        Folder::lock(path.path()).unwrap();
    }
}
