//! A diagnostic says what is wrong in a pipeline file, where, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::redaction::Masked;
use super::similar::similar;

/// One error.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    /// The text under the caret.
    pub label: String,
    /// A second place that explains the first.
    pub context: Option<(Range<usize>, String)>,
    /// What could replace the text at `span`.
    pub suggestion: Option<String>,
    /// What else helps.
    pub notes: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(message: impl Into<String>, span: Range<usize>, label: impl Into<String>) -> Self {
        Diagnostic {
            message: message.into(),
            span: Some(span),
            label: label.into(),
            context: None,
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
        self.context = Some((span, label.into()));
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

/// All errors that one reading of a pipeline file has found.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The file, as the user wrote it.
    pub path: String,
    /// The errors, in the order of the file.
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
        all.sort_by_key(start);
        let positions = all.iter().map(|diagnostic| position(source, start(diagnostic))).collect();
        Diagnostics { path, all, positions, masked: Masked::new(source, hidden) }
    }

    /// The errors as rustc would show them, with colours if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for (diagnostic, position) in self.all.iter().zip(&self.positions) {
            out.push_str(&renderer.render(&self.groups(diagnostic, *position)));
            out.push_str("\n\n");
        }
        let n = self.all.len();
        let errors = if n == 1 { "1 error".to_owned() } else { format!("{n} errors") };
        out.push_str(&format!("{} has {errors}; nothing was run", self.path));
        out
    }

    fn groups<'a>(&'a self, diagnostic: &'a Diagnostic, (line, column): (usize, usize)) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(&diagnostic.message);
        let origin = Origin::path(&self.path);
        let source = &self.masked.text;
        let Some(span) = &diagnostic.span else {
            return vec![with_notes(title.element(origin), diagnostic)];
        };
        let span = self.masked.span(span);
        let primary = AnnotationKind::Primary.span(span.clone()).label(&diagnostic.label);
        let context = diagnostic
            .context
            .as_ref()
            .map(|(span, label)| AnnotationKind::Context.span(self.masked.span(span)).label(label));
        let snippet = Snippet::source(source).annotation(primary).annotations(context);
        // A secret in front is shown shorter or longer than it is: the column is that in the file.
        let main = if position(source, span.start) == (line, column) {
            title.element(snippet.path(&self.path))
        } else {
            title.element(origin.line(line).char_column(column)).element(snippet)
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
