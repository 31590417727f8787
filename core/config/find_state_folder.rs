//! Finds the folder of a pipeline's checkpoints, by whichever path the folder of its file is reached.

use std::path::{Component, Path, PathBuf, absolute};

use super::LoadContext;
use crate::state_folder::StateFolder;

/// The folder of the checkpoints of the pipeline `name` whose file is in `folder`; `option` is its `data_dir`.
pub(super) fn find(
    load: &LoadContext,
    option: Option<&str>,
    folder: &Path,
    name: &str,
) -> Result<StateFolder, String> {
    let variable = |name: &str| (load.lookup)(name).filter(|value| !value.is_empty());
    let canonical = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let shell = variable("PWD").map(PathBuf::from);
    let spelled = spelled(folder, shell.as_deref(), &canonical);
    let given = [
        load.data_dir.clone(),
        option.map(|option| folder.join(option)),
        variable("RUNNER_DATA_DIR").map(PathBuf::from),
    ];
    let mut given = given.into_iter().flatten().map(|given| given.join(name));
    let root = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
        .map(|state| state.join("runner"));
    let mut state = StateFolder::new(base_of(folder), vec![canonical.clone(), spelled.clone()]);
    if let Some(path) = given.next() {
        state.path = path;
    } else {
        let root = root
            .as_ref()
            .ok_or("HOME is not set, so checkpoints have no folder: set `data_dir` or RUNNER_DATA_DIR")?;
        // Two projects may both have a `producer.toml`: the folder of the file tells them apart. Where a link leads to
        // that folder, as in `current -> releases/2`, the place of the link comes first, since it stays when the link
        // is changed.
        let of_folder =
            |folder: &Path| root.join(format!("{name}-{:08x}", fingerprint(&folder.to_string_lossy())));
        let names = [of_folder(&spelled), of_folder(&canonical)];
        let existing = names.iter().find_map(|path| path.canonicalize().ok());
        state.path = existing.unwrap_or_else(|| of_folder(&canonical));
        state.aliases = names.into();
    }
    let siblings = root.iter().flat_map(|root| siblings(root, name));
    state.others = given.chain(siblings).filter(|other| !is_same(other, &state.path)).collect();
    state.others.dedup();
    Ok(state)
}

/// The folder as the user reaches it: absolute, with its links.
fn spelled(folder: &Path, shell: Option<&Path>, canonical: &Path) -> PathBuf {
    // The shell knows by which link it has entered the current folder; the system does not.
    let by_shell = shell.filter(|shell| shell.is_absolute()).map(|shell| shell.join(folder));
    let spelled = by_shell.or_else(|| absolute(folder).ok()).unwrap_or_else(|| folder.to_owned());
    let spelled: PathBuf = spelled.components().filter(|part| *part != Component::CurDir).collect();
    let has_parents = spelled.components().any(|part| part == Component::ParentDir);
    let is_right = !has_parents && spelled.canonicalize().is_ok_and(|path| path == canonical);
    if is_right { spelled } else { canonical.to_owned() }
}

/// The absolute folder as sources name it in positions.
fn base_of(folder: &Path) -> PathBuf {
    let base = absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if base.components().any(|part| part == Component::ParentDir) {
        return base.canonicalize().unwrap_or(base);
    }
    base
}

/// All folders for pipelines of this name, without links to others.
fn siblings(root: &Path, name: &str) -> Vec<PathBuf> {
    let is_sibling = |entry: &str| {
        let hash = entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let entries = std::fs::read_dir(root).into_iter().flatten().map_while(Result::ok);
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_sibling))
        .map(|entry| entry.path())
        .filter(|path| !path.is_symlink())
        .collect();
    found.sort();
    found
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A short, stable name for a text (FNV-1a, 32 bits).
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::plugin::Registry;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Machine(tempfile::tempdir().unwrap());
            for folder in ["releases/1", "releases/2", "other"] {
                std::fs::create_dir_all(machine.path(folder)).unwrap();
            }
            machine
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(path)
        }

        fn link_to(&self, release: &str) {
            let _ = std::fs::remove_file(self.path("current"));
            symlink(self.path(release), self.path("current")).unwrap();
        }

        fn find(&self, folder: &str) -> StateFolder {
            self.find_with(&self.path(folder), &[])
        }

        fn find_with(&self, folder: &Path, variables: &[(&str, PathBuf)]) -> StateFolder {
            let home = ("HOME", self.path("home"));
            let lookup = |wanted: &str| {
                let found = variables.iter().chain([&home]).find(|(name, _)| *name == wanted);
                found.map(|(_, value)| value.display().to_string())
            };
            let registry = Registry::collect().unwrap();
            let load = LoadContext { registry: &registry, lookup: &lookup, data_dir: None };
            find(&load, None, folder, "p").unwrap()
        }

        /// Starts a run, which creates the folder.
        fn run(&self, folder: &str) -> PathBuf {
            let state = self.find(folder);
            std::fs::create_dir_all(&state.path).unwrap();
            state.link_aliases().unwrap();
            state.path.canonicalize().unwrap()
        }
    }

    #[test]
    fn changed_link_to_another_release_keeps_the_checkpoints() {
        let machine = Machine::new();
        machine.link_to("releases/1");
        let first = machine.run("current");
        machine.link_to("releases/2");
        assert_eq!(machine.run("current"), first);
        for reached in ["releases/1", "releases/2", "current", "releases/../current"] {
            assert_eq!(machine.run(reached), first, "{reached}");
        }
    }

    #[test]
    fn folder_of_the_earlier_scheme_is_taken_over() {
        let machine = Machine::new();
        // That was named by the real folder alone.
        let old = machine.run("releases/1");
        machine.link_to("releases/1");
        assert_eq!(machine.run("current"), old);
        machine.link_to("releases/2");
        assert_eq!(machine.run("current"), old);
    }

    #[test]
    fn link_that_the_shell_has_entered_counts() {
        let machine = Machine::new();
        machine.link_to("releases/2");
        let of_shell =
            |shell: &str| spelled(Path::new("."), Some(&machine.path(shell)), &machine.path("releases/2"));
        assert_eq!(of_shell("current"), machine.path("current"));
        // A program that has changed the folder without telling.
        assert_eq!(of_shell("other"), machine.path("releases/2"));
    }

    #[test]
    fn other_projects_have_other_folders_which_are_named() {
        let machine = Machine::new();
        let first = machine.run("releases/1");
        let state = machine.find("other");
        assert_ne!(state.path, first);
        assert_eq!(state.others, std::slice::from_ref(&first));
        let given = machine.find_with(&machine.path("other"), &[("RUNNER_DATA_DIR", machine.path("state"))]);
        assert_eq!((given.path, given.others), (machine.path("state/p"), vec![first]));
    }
}
