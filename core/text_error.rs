//! Errors and warnings at a place in a text that an option holds or names, such as a program.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Error;

/// What is wrong at a place in the text of an option, or in the file that the option names.
///
/// The error is shown at that line and column of the pipeline file, or of the other file.
#[derive(Clone, Debug)]
pub struct TextError {
    /// The option's name; of a nested one the names joined by dots.
    pub option: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The whole text, as the plugin has read it.
    pub text: Arc<str>,
    /// The file that the text is in, as it is shown; `None` if the option holds the text.
    pub file: Option<Arc<str>>,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// The words under the caret.
    pub label: String,
    /// Other places that explain the first.
    pub contexts: Vec<(Range<usize>, String)>,
    /// What else helps.
    pub notes: Vec<String>,
}

impl std::error::Error for TextError {}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.option, self.message)
    }
}

/// What `build` finds odd without refusing it. Users see it as warnings, after the file was read.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<Error>>>);

impl Warnings {
    /// Adds one: an [`OptionError`](crate::OptionError) or a [`TextError`] is shown at its place.
    pub fn add(&self, warning: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// All that were added since the last call.
    pub fn take(&self) -> Vec<Error> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
