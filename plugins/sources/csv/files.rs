//! Which files the paths of the options stand for.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context as _, Result, anyhow, bail};
use glob::{MatchOptions, Pattern, glob_with};
use runner_core::{BuildContext, Name};

/// The paths as they are whatever folder the runner was started in.
pub(super) fn identity(patterns: &[String], context: &BuildContext) -> String {
    whole(patterns, context).join(", ")
}

/// Whether an identity is that of these paths without some of them: those are read last.
pub(super) fn can_resume_from(patterns: &[String], context: &BuildContext, identity: &str) -> bool {
    is_joined_of(identity, &whole(patterns, context))
}

/// Whether some of the paths, in their order, make up this text.
fn is_joined_of(text: &str, paths: &[String]) -> bool {
    paths.iter().enumerate().any(|(index, path)| {
        text.strip_prefix(path.as_str()).is_some_and(|rest| {
            let rest_of_it = |rest| is_joined_of(rest, &paths[index + 1..]);
            rest.is_empty() || rest.strip_prefix(", ").is_some_and(rest_of_it)
        })
    })
}

fn whole(patterns: &[String], context: &BuildContext) -> Vec<String> {
    patterns.iter().map(|pattern| full(pattern, context).display().to_string()).collect()
}

/// The files, each once: those of a pattern in the order of their names.
///
/// A file that is not there is an error, unless it is one of the `known`, which were there once. So is a pattern
/// that none matches and none has matched.
pub(super) fn list(
    patterns: &[String],
    context: &BuildContext,
    known: &HashSet<&Path>,
) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let path = full(pattern, context);
        let is_pattern = pattern.contains(['*', '?', '[']) && !path.exists();
        let found = if is_pattern { matching(pattern, context, known)? } else { vec![path] };
        for path in found {
            if !known.contains(&*path) {
                check(&path, pattern, context)?;
            }
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn full(pattern: &str, context: &BuildContext) -> PathBuf {
    let path = home(context).join(pattern);
    absolute(&path).unwrap_or(path)
}

/// The folder of the pipeline file, by the same name from wherever it was named.
fn home(context: &BuildContext) -> PathBuf {
    let folder = absolute(&context.folder).unwrap_or_else(|_| context.folder.clone());
    if folder.components().any(|part| part == Component::ParentDir) {
        return folder.canonicalize().unwrap_or(folder);
    }
    folder
}

fn matching(pattern: &str, context: &BuildContext, known: &HashSet<&Path>) -> Result<Vec<PathBuf>> {
    let folder = home(context);
    // What the folder is called is no pattern, whatever characters it has.
    let folder = Pattern::escape(folder.to_str().context("the folder's name is not UTF-8")?);
    let whole = PathBuf::from(folder).join(pattern);
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let whole = whole.to_str().unwrap_or(pattern);
    let found =
        glob_with(whole, options).with_context(|| format!("`{pattern}` is not a pattern of paths"))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            anyhow!("looking for `{pattern}` in {}: {}", shown(error.path()), error.error())
        })?;
        if known.contains(&*path) || path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    // Whoever clears away what has been read does no harm, even if nothing is left.
    let has_matched = || {
        Pattern::new(whole).is_ok_and(|whole| known.iter().any(|path| whole.matches_path_with(path, options)))
    };
    if files.is_empty() && !has_matched() {
        bail!("no file matches `{pattern}` in {}", context.folder.display());
    }
    Ok(files)
}

fn check(path: &Path, pattern: &str, context: &BuildContext) -> Result<()> {
    let shown = shown(path);
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("there is no file {shown}{}", context.path_hint(pattern)),
        _ => anyhow::Error::new(error).context(format!("looking for {shown}")),
    })?;
    if metadata.is_dir() {
        bail!(
            "{shown} is a folder; name a file in it, or all of them: path = \"{}/*.csv\"",
            pattern.trim_end_matches('/')
        );
    }
    if !metadata.is_file() {
        bail!("{shown} is not a regular file, so reading could not go on in it after a restart");
    }
    Ok(())
}

/// The path as records bear it: the same wherever the runner was started.
pub(super) fn origin(path: &str, context: &BuildContext) -> Name {
    let path = Path::new(path);
    Name::new(&path.strip_prefix(home(context)).unwrap_or(path).display().to_string())
}

/// The path as people are shown it: relative to the current folder if it lies in it.
pub(super) fn shown(path: &Path) -> Name {
    let relative =
        std::env::current_dir().ok().and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
    Name::new(&relative.as_deref().unwrap_or(path).display().to_string())
}
