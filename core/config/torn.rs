//! Finds the secrets in a file that is no TOML, line by line.
//!
//! Where the structure is in doubt nothing can be told from a secret. So the file is cut
//! at its headers, and of a section that may hold secrets only its keys are seen.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

use super::telltale::{is_known_key, is_secret_comment, is_secret_key, is_secret_table, is_secret_word};

/// The names that a header may begin with.
const SECTIONS: [&str; 6] = ["sources", "transforms", "sinks", "dead_letter", "batch", "retry"];

/// The parts of the file that must not be seen.
pub(crate) fn secrets(source: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut sections: Vec<Vec<Line>> = vec![Vec::new()];
    for text in source.split_inclusive('\n') {
        let line = Line::new(at, text);
        at += text.len();
        if line.header().is_some() {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    let mut secrets = Vec::new();
    for section in &sections {
        let is_secret = section.iter().any(Line::may_hold_secrets);
        // Where a string may go on from line to line, what looks like a key may be a part of it.
        let is_torn = section.iter().any(|line| line.text.contains("\"\"\"") || line.text.contains("'''"));
        let mut shows_key = !is_torn;
        for line in section {
            if is_secret {
                line.hide(shows_key, &mut secrets);
            } else {
                line.hide_comment(&mut secrets);
            }
            shows_key = !is_torn && !line.is_open();
        }
    }
    secrets
}

struct Line<'s> {
    start: usize,
    text: &'s str,
    tokens: Vec<Token>,
}

impl<'s> Line<'s> {
    fn new(start: usize, text: &'s str) -> Self {
        Line { start, text, tokens: Source::new(text).lex().collect() }
    }

    fn text_of(&self, token: &Token) -> &'s str {
        &self.text[token.span().start()..token.span().end()]
    }

    /// The tokens that mean something.
    fn tokens(&self) -> impl Iterator<Item = &Token> {
        let is_silent = |kind| {
            matches!(kind, TokenKind::Whitespace | TokenKind::Newline | TokenKind::Comment | TokenKind::Eof)
        };
        self.tokens.iter().filter(move |token| !is_silent(token.kind()))
    }

    /// The names in a header of a pipeline file.
    fn header(&self) -> Option<Vec<&'s str>> {
        let text = self.text.split('#').next()?.trim();
        let names: Vec<&str> = text.strip_prefix('[')?.strip_suffix(']')?.split('.').map(str::trim).collect();
        (SECTIONS.contains(names.first()?) && names.iter().all(|name| is_bare(name))).then_some(names)
    }

    /// The names of the key that the line begins with.
    fn key(&self) -> Option<Vec<&'s str>> {
        let mut names = Vec::new();
        let mut tokens = self.tokens();
        loop {
            let name = tokens.next().filter(|token| token.kind() == TokenKind::Atom)?;
            names.push(Some(self.text_of(name)).filter(|name| is_bare(name))?);
            match tokens.next()?.kind() {
                TokenKind::Equals => return Some(names),
                TokenKind::Dot => {}
                _ => return None,
            }
        }
    }

    /// Whether the line may hold a secret, or the structure of its section is in doubt.
    fn may_hold_secrets(&self) -> bool {
        if let Some(names) = self.header() {
            return names.iter().skip(1).any(|name| is_secret_key(name) || is_secret_table(name));
        }
        let Some(first) = self.tokens().next() else { return false };
        let Some(key) = self.key() else { return true };
        let end = self.tokens().last().unwrap_or(first).span().end();
        let said = &self.text[..end];
        self.tokens().filter(|token| token.kind() == TokenKind::Equals).count() > 1
            || is_secret_word(&key.concat())
            || said.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).any(is_secret_word)
            || said.contains("//")
            || said.contains(":/")
            || said.contains(['@', '?'])
    }

    /// Whether a string is left open at the end of the line.
    fn is_open(&self) -> bool {
        let Some(last) = self.tokens().last() else { return false };
        let text = self.text_of(last).trim_end();
        match last.kind() {
            TokenKind::LiteralString => text.len() == 1 || !text.ends_with('\''),
            TokenKind::BasicString => {
                let inner = text.strip_suffix('"').unwrap_or_default();
                let escapes = inner.len() - inner.trim_end_matches('\\').len();
                inner.is_empty() || escapes % 2 == 1
            }
            TokenKind::MlBasicString | TokenKind::MlLiteralString => true,
            _ => false,
        }
    }

    fn hide_comment(&self, secrets: &mut Vec<Range<usize>>) {
        let comment = self.tokens.iter().find(|token| token.kind() == TokenKind::Comment);
        if let Some(comment) = comment.filter(|comment| is_secret_comment(self.text_of(comment))) {
            self.hide_token(comment, secrets);
        }
    }

    /// Hides all but keys, and the signs between keys and values.
    fn hide(&self, shows_key: bool, secrets: &mut Vec<Range<usize>>) {
        let is_header = self.header().is_some();
        let mut is_key = is_header || shows_key && self.key().is_some();
        for (at, token) in self.tokens.iter().enumerate() {
            is_key &= token.kind() != TokenKind::Equals;
            match token.kind() {
                TokenKind::Comment => self.hide_token(token, secrets),
                _ if is_key => {}
                TokenKind::Atom if is_known_key(self.text_of(token)) && self.is_before_equals(at) => {}
                TokenKind::Atom
                | TokenKind::Dot
                | TokenKind::LiteralString
                | TokenKind::BasicString
                | TokenKind::MlLiteralString
                | TokenKind::MlBasicString => self.hide_token(token, secrets),
                TokenKind::Equals
                | TokenKind::Comma
                | TokenKind::LeftSquareBracket
                | TokenKind::RightSquareBracket
                | TokenKind::LeftCurlyBracket
                | TokenKind::RightCurlyBracket
                | TokenKind::Whitespace
                | TokenKind::Newline
                | TokenKind::Eof => {}
            }
        }
    }

    fn is_before_equals(&self, at: usize) -> bool {
        let next = self.tokens[at + 1..].iter().find(|token| token.kind() != TokenKind::Whitespace);
        next.is_some_and(|token| token.kind() == TokenKind::Equals)
    }

    fn hide_token(&self, token: &Token, secrets: &mut Vec<Range<usize>>) {
        let inner = inside(self.text_of(token));
        let start = self.start + token.span().start();
        secrets.push(start + inner.start..start + inner.end);
    }
}

/// The inside of a string as it is written, without its quotes; a comment without its sign.
pub(crate) fn inside(written: &str) -> Range<usize> {
    let sign = written.chars().next().filter(|c| matches!(c, '"' | '\'' | '#'));
    let Some(sign) = sign else { return 0..written.len() };
    let start = written.len() - written.trim_start_matches(sign).len();
    let end = if sign == '#' { written.len() } else { written.trim_end_matches(sign).len() };
    start.min(end)..end
}

fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}
