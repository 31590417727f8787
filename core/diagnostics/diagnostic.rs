//! A diagnostic says what is wrong in a pipeline file, where, and what to do.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::masked::Masked;
use super::similar::similar;

/// One error, or one warning.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether the pipeline runs in spite of it.
    pub is_warning: bool,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    /// The file with these places, if it is not the pipeline file.
    pub other_file: Option<OtherFile>,
    /// The text under the caret.
    pub label: String,
    /// Other places that explain the first.
    pub contexts: Vec<(Range<usize>, String)>,
    /// What could replace the text at `span`.
    pub suggestion: Option<String>,
    /// What else helps.
    pub notes: Vec<String>,
}

/// A file that an option of the pipeline file names.
#[derive(Clone, Debug)]
pub struct OtherFile {
    /// Its path, as it is shown.
    pub path: Arc<str>,
    /// What is in it.
    pub text: Arc<str>,
    /// Where the pipeline file names it.
    pub named_at: usize,
}

impl Diagnostic {
    pub(crate) fn new(message: impl Into<String>, span: Range<usize>, label: impl Into<String>) -> Self {
        Diagnostic {
            is_warning: false,
            message: message.into(),
            span: Some(span),
            other_file: None,
            label: label.into(),
            contexts: Vec::new(),
            suggestion: None,
            notes: Vec::new(),
        }
    }

    pub(crate) fn of_file(message: impl Into<String>) -> Self {
        Diagnostic { span: None, ..Diagnostic::new(message, 0..0, "") }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn context(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.contexts.push((span, label.into()));
        self
    }

    /// Suggests the most similar of `known`, if any is.
    pub(crate) fn did_you_mean<'a>(mut self, typed: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = similar(typed, known).map(str::to_owned);
        self
    }

    /// Writes the suggestion as a string.
    pub(crate) fn quoted(mut self) -> Self {
        self.suggestion = self.suggestion.map(|name| format!("\"{name}\""));
        self
    }
}

/// All errors, or all warnings, that one reading of a pipeline file has found.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The file, as the user wrote it.
    pub path: String,
    /// The errors or warnings, in the order of the file.
    pub all: Vec<Diagnostic>,
    /// Line and column of each of them.
    positions: Vec<(usize, usize)>,
    /// The text of the file without secrets.
    masked: Masked,
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Diagnostics {
    /// For a file whose text is shown without the `hidden` places.
    pub(crate) fn new(
        path: String,
        source: &str,
        hidden: Vec<Range<usize>>,
        mut all: Vec<Diagnostic>,
    ) -> Self {
        let start = |diagnostic: &Diagnostic| diagnostic.span.as_ref().map_or(0, |span| span.start);
        all.sort_by_key(|diagnostic| match &diagnostic.other_file {
            Some(file) => (file.named_at, start(diagnostic)),
            None => (start(diagnostic), 0),
        });
        let text = |diagnostic: &Diagnostic| {
            diagnostic.other_file.as_ref().map_or(source.to_owned(), |file| file.text.to_string())
        };
        let positions = all.iter().map(|diagnostic| position(&text(diagnostic), start(diagnostic))).collect();
        Diagnostics { path, all, positions, masked: Masked::new(source, hidden) }
    }

    /// Each error with its line and column, from 1.
    pub fn with_positions(&self) -> impl Iterator<Item = (&Diagnostic, (usize, usize))> {
        self.all.iter().zip(self.positions.iter().copied())
    }

    /// All of them as rustc would show them, with colours if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for (diagnostic, position) in self.all.iter().zip(&self.positions) {
            out.push_str(&renderer.render(&self.groups(diagnostic, *position)));
            out.push_str("\n\n");
        }
        let n = self.all.len();
        let end = if n == 1 { "" } else { "s" };
        out.push_str(&if self.all.iter().all(|diagnostic| diagnostic.is_warning) {
            format!("{} has {n} warning{end}", self.path)
        } else {
            format!("{} has {n} error{end}; nothing was run", self.path)
        });
        out
    }

    fn groups<'a>(&'a self, diagnostic: &'a Diagnostic, (line, column): (usize, usize)) -> Vec<Group<'a>> {
        let level = if diagnostic.is_warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(&diagnostic.message);
        let (path, source): (&str, &str) = match &diagnostic.other_file {
            Some(file) => (&file.path, &file.text),
            None => (&self.path, &self.masked.text),
        };
        let Some(span) = &diagnostic.span else {
            return vec![with_notes(title.element(Origin::path(path)), diagnostic)];
        };
        let shown = |span: &Range<usize>| match &diagnostic.other_file {
            Some(_) => span.clone(),
            None => self.masked.span(span),
        };
        let span = shown(span);
        let primary = AnnotationKind::Primary.span(span.clone()).label(&diagnostic.label);
        let contexts = diagnostic
            .contexts
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(shown(span)).label(label));
        let snippet = Snippet::source(source).annotation(primary).annotations(contexts);
        // A secret in front is shown shorter or longer than it is: the column is that in the file.
        let main = if position(source, span.start) == (line, column) {
            title.element(snippet.path(path))
        } else {
            title.element(Origin::path(path).line(line).char_column(column)).element(snippet)
        };
        let mut groups = vec![with_notes(main, diagnostic)];
        if let Some(suggestion) = &diagnostic.suggestion {
            let patch = Snippet::source(source).patch(Patch::new(span, suggestion.as_str()));
            groups.push(Level::HELP.secondary_title("a similar name exists").element(patch));
        }
        groups
    }
}

/// Line and column of a byte of a text, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let above = &text[..at];
    let line = above.rfind('\n').map_or(0, |end| end + 1);
    (above.matches('\n').count() + 1, above[line..].chars().count() + 1)
}

fn with_notes<'a>(group: Group<'a>, diagnostic: &'a Diagnostic) -> Group<'a> {
    diagnostic.notes.iter().fold(group, |group, note| group.element(Level::NOTE.message(note)))
}
