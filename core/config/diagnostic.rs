//! A diagnostic says what is wrong in a pipeline file, where, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use super::similar::similar;

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
        Diagnostics { path, source: blank_secrets(source), all }
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

/// Words in a key that make its value a secret, whatever the schema says: a
/// file that is shown may be so wrong that no schema applies.
const SECRET_WORDS: [&str; 6] = ["password", "passphrase", "secret", "token", "key_pass", "authorization"];

/// Whether an option of this name is one to hide.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether a key looks like one that holds a secret, also when it is misspelt.
fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_near = |word: &&str| strsim::damerau_levenshtein(&key, word) <= 2;
    is_secret_name(&key) || key == "value" || SECRET_WORDS.iter().any(is_near)
}

/// Replaces the string values of secret keys by asterisks, byte for byte, so
/// that every span stays where it is.
fn blank_secrets(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut quote: Option<char> = None;
    let mut hides = false;
    // The key that is being read, bare or quoted, and whether anything has stood between.
    let mut key = String::new();
    let mut has_ended = false;
    for c in source.chars() {
        match quote {
            Some(q) if c == q => {
                quote = None;
                has_ended = true;
                out.push(c);
            }
            Some(_) => {
                key.push(c);
                if hides && c != '\n' {
                    out.extend(std::iter::repeat_n('*', c.len_utf8()));
                } else {
                    out.push(c);
                }
            }
            None => {
                match c {
                    '"' | '\'' => {
                        quote = Some(c);
                        key.clear();
                    }
                    '=' => hides = looks_secret(&key),
                    ',' | '{' | '}' | '\n' => {
                        hides &= c == ',' || c == '\n';
                        key.clear();
                    }
                    c if c.is_whitespace() => has_ended = true,
                    c => {
                        if std::mem::take(&mut has_ended) {
                            key.clear();
                        }
                        key.push(c);
                    }
                }
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_line_never_holds_a_secret() {
        let source = "a = 1\npasword = \"s3cr3t\"\ntoken = [\n  \"s3cr3t\",\n]\nsasl = { username = \"u\", password = \"h\u{fc}nter2\", mech = 3 }\n\
                      auth = { strategy = \"api_key\", in = \"query\", name = \"k\", value = \"s3cr3t\" }\n\
                      headers = { \"Authorization\" = \"Bearer s3cr3t\" }\n";
        let shown = blank_secrets(source);
        assert!(!shown.contains("nter2") && !shown.contains("s3cr3t"), "{shown}");
        assert_eq!(shown.len(), source.len());
        assert!(shown.contains("username = \"u\"") && shown.contains("mech = 3"), "{shown}");
    }
}
