//! A diagnostic says what is wrong in a pipeline file, where, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use super::blank::{Blanked, without};
use super::similar::similar;
use super::telltale::{is_secret_key, is_secret_table};

/// One slip.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands under the caret.
    pub label: String,
    /// A second place that explains the first.
    pub context: Option<(Range<usize>, String)>,
    /// What could stand there instead.
    pub suggestion: Option<String>,
    /// What else helps.
    pub notes: Vec<String>,
    is_unknown_option: bool,
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
            is_unknown_option: false,
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

    /// Says that what stands there is the name of no option.
    pub(crate) fn of_unknown_option(mut self) -> Self {
        self.is_unknown_option = true;
        self
    }

    /// Whether it is about an option that nobody knows and that is similar to none but
    /// secrets: what it says may be one, such as a header whose table lost its own.
    pub(crate) fn may_be_misplaced(&self) -> bool {
        let similar = self.suggestion.as_ref();
        self.is_unknown_option && similar.is_none_or(|name| is_secret_key(name) || is_secret_table(name))
    }

    /// Where it is about, unless that is the file as a whole or a table that nobody can place.
    pub(crate) fn place(&self) -> Option<&Range<usize>> {
        self.span.as_ref().filter(|span| !span.is_empty())
    }

    /// Whether it may be about one of these places.
    pub(crate) fn touches(&self, places: &[Range<usize>]) -> bool {
        let Some(span) = self.place() else { return true };
        places.iter().any(|place| span.start <= place.end && place.start <= span.end)
    }

    /// Takes secrets out of all that it says.
    pub(crate) fn forget(&mut self, secrets: &[String]) {
        self.message = without(&self.message, secrets, true);
        let others = self.notes.iter_mut().chain([&mut self.label]);
        for text in others.chain(self.context.as_mut().map(|(_, label)| label)) {
            // These list what could stand there, which a misspelt value has much in common with.
            *text = without(text, secrets, false);
        }
    }

    /// Suggests the most similar of `known`, if any is.
    pub(crate) fn did_you_mean<'a>(mut self, typed: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.suggestion = similar(typed, known).map(str::to_owned);
        self
    }

    /// Writes the suggestion as a string, for a place where a string stands.
    pub(crate) fn quoted(mut self) -> Self {
        self.suggestion = self.suggestion.map(|name| format!("\"{name}\""));
        self
    }
}

/// All slips of one pipeline file.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The file, as the user wrote it.
    pub path: String,
    /// Its text; secrets are blanked out when it is shown.
    source: String,
    /// The slips, in the order of the file.
    pub all: Vec<Diagnostic>,
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Diagnostics {
    pub(crate) fn new(path: String, source: &str, mut all: Vec<Diagnostic>) -> Self {
        all.sort_by_key(|diagnostic| diagnostic.span.as_ref().map_or(0, |span| span.start));
        let blanked = Blanked::new(source, &all);
        for slip in &mut all {
            blanked.clean(slip);
        }
        Diagnostics { path, source: blanked.source, all }
    }

    /// The slips as rustc would show them, with colours if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in &self.all {
            out.push_str(&renderer.render(&self.groups(diagnostic)));
            out.push_str("\n\n");
        }
        let n = self.all.len();
        let errors = if n == 1 { "1 error".to_owned() } else { format!("{n} errors") };
        out.push_str(&format!("{} has {errors}; nothing was run", self.path));
        out
    }

    fn groups<'a>(&'a self, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
        let title = Level::ERROR.primary_title(&diagnostic.message);
        let mut groups = Vec::new();
        let mut main = match &diagnostic.span {
            None => title.element(annotate_snippets::Origin::path(&self.path)),
            Some(span) => {
                let mut snippet = Snippet::source(&self.source)
                    .path(&self.path)
                    .annotation(AnnotationKind::Primary.span(span.clone()).label(&diagnostic.label));
                if let Some((span, label)) = &diagnostic.context {
                    snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label));
                }
                title.element(snippet)
            }
        };
        for note in &diagnostic.notes {
            main = main.element(Level::NOTE.message(note));
        }
        groups.push(main);
        if let (Some(suggestion), Some(span)) = (&diagnostic.suggestion, &diagnostic.span) {
            let patch = Snippet::source(&self.source).patch(Patch::new(span.clone(), suggestion.as_str()));
            groups.push(Level::HELP.secondary_title("a similar name exists").element(patch));
        }
        groups
    }
}
