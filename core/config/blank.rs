//! Blanks the secrets of a pipeline file, in its lines and in what is said about them.
//!
//! Not everything can be known to be a secret: a password in the path of a URL, in a
//! comment that reads like any other, or in an option that is called like no secret is shown.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::diagnostic::Diagnostic;
use super::telltale::{is_harmless, is_secret_comment, is_secret_key, is_secret_table, secret_parts};
use super::torn::{self, inside};

/// The text of a file that can be shown, and its secrets.
pub(crate) struct Blanked {
    /// The file with asterisks for secrets, byte for byte: every span stays where it is.
    pub(crate) source: String,
    secrets: Vec<Secret>,
}

/// What must not be shown, and where it is spoken of.
struct Secret {
    texts: Vec<String>,
    places: Vec<Range<usize>>,
}

impl Blanked {
    /// Blanks a file of which `slips` will be shown.
    pub(crate) fn new(source: &str, slips: &[Diagnostic]) -> Self {
        let (root, errors) = DeTable::parse_recoverable(source);
        if !errors.is_empty() {
            return Blanked { source: blank(source, &torn::secrets(source)), secrets: Vec::new() };
        }
        let unknown: Vec<&Range<usize>> = slips
            .iter()
            .filter(|slip| slip.may_be_misplaced())
            .filter_map(|slip| slip.span.as_ref())
            .collect();
        let mut hidden = secret_comments(source);
        let mut secrets = Vec::new();
        for mut leaf in leaves(root.get_ref()) {
            leaf.is_secret |= leaf.keys.iter().any(|key| unknown.contains(&key));
            let (parts, texts) = leaf.secrets(source);
            hidden.extend(parts);
            if !texts.is_empty() {
                let mut places = leaf.keys;
                places.extend(leaf.component.into_iter().chain([leaf.value.span()]));
                secrets.push(Secret { texts, places });
            }
        }
        Blanked { source: blank(source, &hidden), secrets }
    }

    /// Takes the secrets out of what a slip says.
    pub(crate) fn clean(&self, slip: &mut Diagnostic) {
        for secret in &self.secrets {
            if slip.touches(&secret.places) {
                slip.forget(&secret.texts);
            }
        }
    }
}

/// A value that is neither a list nor a table.
pub(crate) struct Leaf<'t, 'i> {
    pub(crate) value: &'t Spanned<DeValue<'i>>,
    /// Where the names of the component's option and of what is in it stand.
    pub(crate) keys: Vec<Range<usize>>,
    /// Where the name of the component stands.
    pub(crate) component: Option<Range<usize>>,
    /// Its keys say that it is a secret.
    pub(crate) is_secret: bool,
}

impl Leaf<'_, '_> {
    /// Where in the file its secrets stand, and how an error could quote them.
    fn secrets(&self, source: &str) -> (Vec<Range<usize>>, Vec<String>) {
        let span = self.value.span();
        let written = source.get(span.clone()).unwrap_or_default();
        let text = match self.value.get_ref() {
            DeValue::String(text) => text,
            // Nobody has a secret with two values.
            DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => return Default::default(),
            _ if !self.is_secret => return Default::default(),
            number => {
                let mut texts = vec![written.to_owned(), written.replace('_', "")];
                if let DeValue::Integer(integer) = number {
                    let value = i128::from_str_radix(integer.as_str(), integer.radix());
                    texts.extend(value.map(|value| value.to_string()));
                }
                texts.extend(written.replace('_', "").parse().map(|value: f64| value.to_string()));
                return (vec![span], texts);
            }
        };
        let parts = secret_parts(text, self.is_secret);
        let mut texts = Vec::new();
        for part in &parts {
            let secret = text[part.clone()].trim();
            let escaped = format!("{secret:?}");
            texts.extend([secret.to_owned(), escaped[1..escaped.len() - 1].to_owned()]);
        }
        let at = written.find(&**text).filter(|_| !written.contains('\\'));
        let mut places: Vec<Range<usize>> = match at {
            Some(at) => parts.iter().map(|part| at + part.start..at + part.end).collect(),
            // What is written is not what is read: hidden as a whole.
            None => parts.first().map(|_| inside(written)).into_iter().collect(),
        };
        for place in &mut places {
            *place = span.start + place.start..span.start + place.end;
        }
        texts.retain(|text| !text.is_empty());
        (places, texts)
    }
}

/// All values of a pipeline file.
pub(crate) fn leaves<'t, 'i>(root: &'t DeTable<'i>) -> Vec<Leaf<'t, 'i>> {
    let mut walk = Walk { leaves: Vec::new(), component: None, keys: Vec::new() };
    let open = Table::default();
    let hidden = Table { is_secret: true, ..open };
    for (key, value) in root {
        match (&**key.get_ref(), value.get_ref()) {
            ("sources" | "transforms" | "sinks", DeValue::Table(components)) => {
                for (name, component) in components {
                    walk.component = Some(name.span());
                    match component.get_ref() {
                        // Else it may be a table of secrets whose header is wrong.
                        DeValue::Table(options)
                            if options.contains_key("type") || options.contains_key("inputs") =>
                        {
                            walk.table(options, open);
                        }
                        _ => walk.value(component, hidden),
                    }
                }
                walk.component = None;
            }
            ("dead_letter" | "batch" | "retry", DeValue::Table(options)) => {
                walk.component = Some(key.span());
                walk.table(options, open);
                walk.component = None;
            }
            (_, DeValue::Table(_) | DeValue::Array(_)) => walk.option(key, value, hidden),
            _ => walk.option(key, value, open),
        }
    }
    walk.leaves
}

/// A walk through the values of a file, with where it has come from.
struct Walk<'t, 'i> {
    leaves: Vec<Leaf<'t, 'i>>,
    component: Option<Range<usize>>,
    keys: Vec<Range<usize>>,
}

/// What is known of a table whose options are looked at.
#[derive(Clone, Copy, Default)]
struct Table<'t> {
    name: &'t str,
    /// Nothing in it may be seen,
    is_secret: bool,
    /// but for what is harmless: the tables around it are no secrets.
    shows_harmless: bool,
}

impl<'t, 'i> Walk<'t, 'i> {
    fn table(&mut self, options: &'t DeTable<'i>, table: Table<'t>) {
        for (key, value) in options {
            self.option(key, value, table);
        }
    }

    fn option(&mut self, key: &'t Spanned<DeString<'i>>, value: &'t Spanned<DeValue<'i>>, table: Table<'t>) {
        let name = &**key.get_ref();
        let is_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let tells = |name: &str| is_secret_key(name) || is_table && is_secret_table(name);
        let is_seen = table.shows_harmless && !is_table && is_harmless(table.name, name);
        let is_secret = !is_seen
            // A dot too much cuts a name in two.
            && (table.is_secret || tells(name) || tells(&format!("{}{name}", table.name)));
        self.keys.push(key.span());
        self.value(value, Table { name, is_secret, shows_harmless: !table.is_secret });
        self.keys.pop();
    }

    /// Walks through what an option says that is called like `option`.
    fn value(&mut self, value: &'t Spanned<DeValue<'i>>, option: Table<'t>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, option),
            DeValue::Array(items) => items.iter().for_each(|item| self.value(item, option)),
            _ => self.leaves.push(Leaf {
                value,
                keys: self.keys.clone(),
                component: self.component.clone(),
                is_secret: option.is_secret,
            }),
        }
    }
}

/// Comments inside of a value, and those that look like options.
fn secret_comments(source: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut depth = 0_usize;
    for token in Source::new(source).lex() {
        let span = token.span().start()..token.span().end();
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            TokenKind::Comment if depth > 0 || is_secret_comment(&source[span.clone()]) => {
                secrets.push(span.start + 1..span.end);
            }
            _ => {}
        }
    }
    secrets
}

/// Puts asterisks into the places, and leaves the lines as they are.
fn blank(source: &str, places: &[Range<usize>]) -> String {
    let mut hidden = vec![false; source.len()];
    for place in places {
        hidden[place.clone()].fill(true);
    }
    let mut shown = String::with_capacity(source.len());
    for (at, c) in source.char_indices() {
        if hidden[at] && !matches!(c, '\n' | '\r') {
            shown.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Takes secrets out of a text, whatever case they are in. With `in_parts` also what the
/// text has in common with a secret that it does not hold as a whole.
pub(crate) fn without(text: &str, secrets: &[String], in_parts: bool) -> String {
    let lower = text.to_ascii_lowercase();
    let mut hidden = vec![false; text.len()];
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let secret = secret.to_ascii_lowercase();
        let mut is_whole = false;
        for (at, found) in lower.match_indices(&secret) {
            let end = at + found.len();
            let is_part = is_word(text[..at].chars().next_back()) || is_word(text[end..].chars().next());
            // A short one is part of many a word.
            if secret.len() >= TELLING || !is_part {
                hidden[at..end].fill(true);
                is_whole = true;
            }
        }
        if in_parts && !is_whole {
            let parts: HashSet<&str> = windows(&secret).map(|it| &secret[it]).collect();
            let common = windows(&lower).filter(|it| parts.contains(&lower[it.clone()]));
            common.for_each(|it| hidden[it].fill(true));
        }
    }
    cut(text, &hidden)
}

fn windows(text: &str) -> impl Iterator<Item = Range<usize>> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).skip(TELLING);
    text.char_indices().map(|(at, _)| at).zip(ends).map(|(start, end)| start..end)
}

/// So many characters of a secret say too much.
const TELLING: usize = 5;

fn cut(text: &str, hidden: &[bool]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (at, c) in text.char_indices() {
        match (hidden[at], was_hidden) {
            (true, false) => shown.push_str("***"),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        was_hidden = hidden[at];
    }
    shown
}
