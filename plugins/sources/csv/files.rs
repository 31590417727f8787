//! Which files the paths of the options stand for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result, anyhow, bail};
use glob::{MatchOptions, Pattern, glob_with};
use runner_core::{BuildContext, Name};

/// The paths as they are whatever folder the runner was started in.
pub(super) fn identity(patterns: &[String], context: &BuildContext) -> String {
    let whole = |pattern: &String| full(pattern, context).display().to_string();
    patterns.iter().map(whole).collect::<Vec<_>>().join(", ")
}

/// The files, each once: those of a pattern in the order of their names.
///
/// A file that is not there is an error, unless `is_known` says that it was there once.
pub(super) fn list(
    patterns: &[String],
    context: &BuildContext,
    is_known: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let path = full(pattern, context);
        let is_pattern = pattern.contains(['*', '?', '[']) && !path.exists();
        let found = if is_pattern { matching(pattern, context, &is_known)? } else { vec![path] };
        for path in found {
            if !is_known(&path) {
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
    let path = context.resolve(pattern);
    absolute(&path).unwrap_or(path)
}

fn matching(pattern: &str, context: &BuildContext, is_known: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let folder = absolute(&context.folder)?;
    // What the folder is called is no pattern, whatever characters it has.
    let folder = Pattern::escape(folder.to_str().context("the folder's name is not UTF-8")?);
    let whole = PathBuf::from(folder).join(pattern);
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob_with(whole.to_str().unwrap_or(pattern), options)
        .with_context(|| format!("`{pattern}` is not a pattern of paths"))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            anyhow!("looking for `{pattern}` in {}: {}", shown(error.path()), error.error())
        })?;
        if is_known(&path) || path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
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

/// The path as people are shown it: relative to the current folder if it lies in it.
pub(super) fn shown(path: &Path) -> Name {
    let relative =
        std::env::current_dir().ok().and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
    Name::new(&relative.as_deref().unwrap_or(path).display().to_string())
}
