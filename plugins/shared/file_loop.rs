//! Whether the `csv` source reads the file that a `file` sink of the same pipeline writes to.

use std::path::{Component, Path, PathBuf, absolute};

use glob::{MatchOptions, Pattern};
use runner_core::Written;

/// The kind of system that both know.
const SYSTEM: &str = "file";

/// How a `csv` source matches its patterns.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Where a sink writes to that appends to this file.
pub(crate) fn written(path: &Path) -> Written {
    let names = vec![absolute(path).unwrap_or_else(|_| path.into()).display().to_string()];
    Written { option: "path", system: SYSTEM, servers: Vec::new(), names }
}

/// The first of these paths and patterns, relative to `folder`, that reads what is written.
pub(crate) fn reader<'a>(patterns: &'a [String], folder: &Path, written: &Written) -> Option<&'a str> {
    let files =
        written.names.iter().filter(|_| written.system == SYSTEM).map(|name| resolved(Path::new(name)));
    let files: Vec<PathBuf> = files.collect();
    patterns.iter().map(String::as_str).find(|pattern| {
        let path = folder.join(pattern);
        if !pattern.contains(['*', '?', '[']) || path.exists() {
            return files.contains(&resolved(&path));
        }
        let whole = resolved_pattern(folder, pattern);
        // An invalid pattern is an error when the source is opened.
        Pattern::new(&whole)
            .is_ok_and(|whole| files.iter().any(|file| whole.matches_path_with(file, MATCHING)))
    })
}

/// The pattern as an absolute one, with the links resolved in the folders before its first part with `*`, `?` or `[`.
fn resolved_pattern(folder: &Path, pattern: &str) -> String {
    let mut parts = Path::new(pattern).components().peekable();
    let mut start = folder.to_owned();
    let is_name = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    while let Some(part) = parts.next_if(is_name) {
        start.push(part);
    }
    let start = Pattern::escape(&resolved(&start).to_string_lossy());
    Path::new(&start).join(parts.collect::<PathBuf>()).display().to_string()
}

/// The absolute path, with the links resolved in the part of it that exists.
fn resolved(path: &Path) -> PathBuf {
    let path = absolute(path).unwrap_or_else(|_| path.into());
    let existing = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, mut resolved)) = existing else { return path };
    for part in path.strip_prefix(part).into_iter().flat_map(Path::components) {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_file_is_found_in_paths_and_patterns() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a[b]");
        std::fs::create_dir_all(folder.join("in/deep")).unwrap();
        std::fs::write(folder.join("in/old.csv"), "").unwrap();
        std::os::unix::fs::symlink("in", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("in/old.csv", folder.join("other.csv")).unwrap();
        let reads = |pattern: &str, file: &str| {
            reader(&["none.csv".into(), pattern.into()], &folder, &written(&folder.join(file))).is_some()
        };
        for (pattern, file) in [
            ("in/x.csv", "in/x.csv"),
            ("in/x.csv", "./in/../in/x.csv"),
            ("in/*", "in/rejected.jsonl"),
            ("in/*.csv", "link/new.csv"),
            ("link/*.csv", "in/new.csv"),
            ("link/new.csv", "in/new.csv"),
            ("other.csv", "in/old.csv"),
            ("in/*.csv", "other.csv"),
            ("**/*.csv", "in/deep/x.csv"),
            ("in/*.csv", "new/../in/x.csv"),
            ("./in/[m-o]ew.csv", "in/new.csv"),
            ("[ab]*/x.csv", "b1/x.csv"),
        ] {
            assert!(reads(pattern, file), "{pattern} reads {file}");
        }
        for (pattern, file) in [
            ("in/x.csv", "in/y.csv"),
            ("in/*.csv", "in/x.jsonl"),
            ("in/*.csv", "in/deep/x.csv"),
            ("in/*", "in/.hidden"),
            ("in/*.csv", "out/x.csv"),
            ("in/[", "in/x.csv"),
        ] {
            assert!(!reads(pattern, file), "{pattern} does not read {file}");
        }
        let topic = Written { system: "kafka", ..written(&folder.join("in/x.csv")) };
        assert_eq!(reader(&["in/*.csv".into()], &folder, &topic), None);
    }
}
