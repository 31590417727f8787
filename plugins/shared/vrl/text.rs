//! The text of a program, and where it is written.

use std::path::Path;
use std::sync::Arc;

use anyhow::Error;
use runner_core::{BuildContext, OptionError, Result};

/// The largest program, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The text of a program, and where it is written.
#[derive(Clone, Debug)]
pub(crate) struct ProgramText {
    /// The option that holds the text or names its file.
    pub(crate) option: Arc<str>,
    pub(crate) text: Arc<str>,
    /// The file with the text, as the pipeline file means it.
    pub(crate) file: Option<Arc<str>>,
}

impl ProgramText {
    /// A program in the pipeline file.
    pub(crate) fn inline(option: &str, text: &str) -> Result<Self> {
        check_size(option, text.len() as u64)?;
        Ok(ProgramText { option: option.into(), text: text.into(), file: None })
    }

    /// A program in a file of its own.
    pub(crate) fn read(option: &str, path: &Path, context: &BuildContext) -> Result<Self> {
        let file = context.resolve(path);
        let failed = |error: std::io::Error| {
            let hint = context.path_hint(path);
            OptionError::new(option, format!("{} cannot be read: {error}{hint}", file.display()))
        };
        check_size(option, std::fs::metadata(&file).map_err(failed)?.len())?;
        let text = std::fs::read_to_string(&file).map_err(failed)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let shown = file.strip_prefix(".").unwrap_or(&file).display().to_string();
        Ok(ProgramText { option: option.into(), text: text.into(), file: Some(shown.into()) })
    }

    /// Line and column of a byte of the text, in words.
    pub(crate) fn place(&self, at: usize) -> String {
        let above = self.text.get(..at).unwrap_or(&self.text);
        let line = above.matches('\n').count() + 1;
        let column = above.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        match &self.file {
            Some(file) => format!("{file}:{line}:{column}"),
            None => format!("line {line}, column {column} of `{}`", self.option),
        }
    }
}

fn check_size(option: &str, n_bytes: u64) -> Result<(), Error> {
    if n_bytes > MAX_BYTES {
        let message = format!("the program has {n_bytes} bytes; at most {MAX_BYTES} are allowed");
        return Err(OptionError::new(option, message));
    }
    Ok(())
}
