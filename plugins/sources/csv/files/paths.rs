//! Resolves `path` patterns to files.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context as _, Result, anyhow, bail};
use glob::{MatchOptions, Pattern, glob_with};
use runner_core::{BuildContext, Name};
use tracing::{debug, warn};

use super::super::settings::Settings;

/// The absolute paths, independent of the current folder.
pub(crate) fn identity(patterns: &[String], context: &BuildContext) -> String {
    absolute_patterns(patterns, context).join(", ")
}

/// Whether an identity consists of a subset of these paths, in the same order. New paths are read last.
pub(crate) fn can_resume_from(patterns: &[String], context: &BuildContext, identity: &str) -> bool {
    is_join_of_subset(identity, &absolute_patterns(patterns, context))
}

/// Whether the text is some of the paths, in order, joined by commas.
fn is_join_of_subset(text: &str, paths: &[String]) -> bool {
    paths.iter().enumerate().any(|(index, path)| {
        text.strip_prefix(path.as_str()).is_some_and(|rest| {
            let is_rest = |rest| is_join_of_subset(rest, &paths[index + 1..]);
            rest.is_empty() || rest.strip_prefix(", ").is_some_and(is_rest)
        })
    })
}

fn absolute_patterns(patterns: &[String], context: &BuildContext) -> Vec<String> {
    patterns.iter().map(|pattern| absolute_path(pattern, context).display().to_string()).collect()
}

/// Lists the files without duplicates, those of a pattern in the order of their names.
///
/// With `follow` files may come later. Else a missing file is an error unless it is in `known`, the
/// files of a saved position. A pattern that matches neither a file nor a known path is an error if it is
/// the only path, or no path has files; else a warning names it.
pub(crate) fn list(patterns: &[String], settings: &Settings, known: &HashSet<&Path>) -> Result<Vec<PathBuf>> {
    let context = &settings.context;
    let follow = settings.follow;
    let mut files: Vec<PathBuf> = Vec::new();
    let mut listed: HashSet<PathBuf> = HashSet::new();
    let mut same_file: HashSet<(u64, u64)> = known.iter().filter_map(|path| file_id(path)).collect();
    let mut unmatched = Vec::new();
    for pattern in patterns {
        let path = absolute_path(pattern, context);
        let is_pattern = may_be_pattern(pattern) && !path.exists();
        let found = if is_pattern { expand(pattern, context, known)? } else { Some(vec![path]) };
        if found.is_none() && !follow {
            unmatched.push(pattern);
        }
        for path in found.unwrap_or_default() {
            // It may come later, or come back.
            if follow && !path.exists() {
                continue;
            }
            if !known.contains(&*path) {
                check_readable(&path, pattern, context)?;
                // A link, or a file in a folder that is reached twice.
                if !listed.contains(&path) && file_id(&path).is_some_and(|id| !same_file.insert(id)) {
                    debug!("{} is another name of a file that is read already", display_path(&path));
                    continue;
                }
            }
            if listed.insert(path.clone()) {
                files.push(path);
            }
        }
    }
    let folder = context.folder.display();
    for pattern in &unmatched {
        if unmatched.len() == patterns.len() {
            bail!(
                "no file matches `{pattern}` in {folder}: correct it, or leave it out until there is one; \
                 `follow = true` waits for it"
            );
        }
        warn!(
            component = context.component,
            "no file matches `{pattern}` in {folder}: only the other paths are read; correct it if there should be one"
        );
    }
    Ok(files)
}

/// The files that are named without a pattern, and do not exist.
pub(crate) fn absent(settings: &Settings) -> impl Iterator<Item = PathBuf> {
    let names = settings.patterns.iter().filter(|name| !may_be_pattern(name));
    names.map(|name| absolute_path(name, &settings.context)).filter(|path| !path.exists())
}

fn may_be_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Device and number of the file at a path.
fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn absolute_path(pattern: &str, context: &BuildContext) -> PathBuf {
    let path = base_folder(context).join(pattern);
    absolute(&path).unwrap_or(path)
}

/// The absolute folder of the pipeline file.
fn base_folder(context: &BuildContext) -> PathBuf {
    let folder = absolute(&context.folder).unwrap_or_else(|_| context.folder.clone());
    if folder.components().any(|part| part == Component::ParentDir) {
        return folder.canonicalize().unwrap_or(folder);
    }
    folder
}

/// The files that a pattern matches; `None` if it has never matched one.
fn expand(pattern: &str, context: &BuildContext, known: &HashSet<&Path>) -> Result<Option<Vec<PathBuf>>> {
    let folder = base_folder(context);
    // The folder itself may contain characters that have a meaning in patterns.
    let folder = Pattern::escape(folder.to_str().context("the folder's name is not UTF-8")?);
    let whole = PathBuf::from(folder).join(pattern);
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let whole = whole.to_str().unwrap_or(pattern);
    let found =
        glob_with(whole, options).with_context(|| format!("`{pattern}` is not a valid path pattern"))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            anyhow!("looking for `{pattern}` in {}: {}", display_path(error.path()), error.error())
        })?;
        if known.contains(&*path) || path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    // Files that were read may be deleted, even all of them.
    let has_matched = || {
        Pattern::new(whole).is_ok_and(|whole| known.iter().any(|path| whole.matches_path_with(path, options)))
    };
    Ok((!files.is_empty() || has_matched()).then_some(files))
}

fn check_readable(path: &Path, pattern: &str, context: &BuildContext) -> Result<()> {
    let name = display_path(path);
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("there is no file {name}{}{}", spelling_hint(pattern), context.path_hint(pattern))
        }
        _ => anyhow::Error::new(error).context(format!("looking for {name}")),
    })?;
    if metadata.is_dir() {
        bail!(
            "{name} is a folder; name a file in it, or all of them: path = \"{}/*.csv\"",
            pattern.trim_end_matches('/')
        );
    }
    if !metadata.is_file() {
        bail!(
            "{name} is not a regular file, so the source could not resume in it after a restart; to read a pipe once \
             set path = \"-\" and connect it to standard input"
        );
    }
    Ok(())
}

/// What a path that a shell or another program reads has to look like here.
fn spelling_hint(pattern: &str) -> &'static str {
    if pattern.starts_with("http://") || pattern.starts_with("https://") {
        "; the source `http` reads a CSV file from the network"
    } else if pattern.contains("://") {
        "; `path` is a path of this machine, and not a URL; what another program writes to standard output is read with \
         path = \"-\""
    } else if pattern.starts_with('~') {
        "; `~` does not stand for a folder here: write its whole path, or ${HOME}"
    } else if pattern.contains('{') {
        "; braces have no meaning here: write a list, path = [\"a.csv\", \"b.csv\"]"
    } else if pattern.contains('\\') {
        "; folders are separated by `/`"
    } else {
        ""
    }
}

/// The path in the origin of records, independent of the current folder.
pub(crate) fn origin_name(path: &str, context: &BuildContext) -> Name {
    let path = Path::new(path);
    Name::new(&path.strip_prefix(base_folder(context)).unwrap_or(path).display().to_string())
}

/// The path for messages: relative to the current folder if it is inside it.
pub(crate) fn display_path(path: impl AsRef<Path>) -> Name {
    let path = path.as_ref();
    let relative =
        std::env::current_dir().ok().and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
    Name::new(&relative.as_deref().unwrap_or(path).display().to_string())
}

/// The last part of a path; empty if it is not UTF-8.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
