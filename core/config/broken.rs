//! Says what keeps a file from being TOML: one slip a cause, where it stands.

use std::ops::Range;

use toml::de::Error as TomlError;

use super::diagnostic::Diagnostic;

const TWICE: &str = "duplicate key";

/// The slips of a file that the parser has refused.
pub(crate) fn slips(errors: &[TomlError], source: &str) -> Vec<Diagnostic> {
    let end = source.len();
    let mut slips = Vec::new();
    // The header of a table that stands there twice: its keys clash with those of the first as well.
    let mut second: Option<Range<usize>> = None;
    for error in errors {
        let at = error.span().unwrap_or(end..end);
        if error.message() != TWICE {
            slips.push(Diagnostic::new(error.message(), at, "not TOML from here on"));
            continue;
        }
        let line = line_of(source, at.start);
        if is_header(&source[line.clone()]) {
            second = Some(line.clone());
        } else if second.as_ref().is_some_and(|second| header_above(source, at.start) == Some(second.start)) {
            continue;
        }
        slips.push(twice(source, at, line));
    }
    slips
}

fn twice(source: &str, at: Range<usize>, line: Range<usize>) -> Diagnostic {
    let text = &source[line.clone()];
    let (what, from) = match is_header(text) {
        true => ("table", 0),
        false => ("key", header_above(source, at.start).unwrap_or_default()),
    };
    let name = name_of(text);
    let first = source[from..line.start].split_inclusive('\n').scan(from, |start, line| {
        let this = (*start, line);
        *start += line.len();
        Some(this)
    });
    let first = first.into_iter().find(|(_, line)| name_of(line) == name);
    let slip = Diagnostic::new(format!("the {what} `{name}` stands there twice"), at, "the second one");
    match first {
        Some((start, line)) if !name.is_empty() => {
            let indent = line.len() - line.trim_start().len();
            let start = start + indent;
            let length = if what == "table" { line.trim().len() } else { name.len() };
            slip.context(start..start + length, "the first one")
        }
        _ => slip,
    }
}

/// The name of the table that a header opens, or of the key in front of `=`.
fn name_of(line: &str) -> &str {
    let line = line.trim();
    match line.strip_prefix('[') {
        Some(header) => header.split(']').next().unwrap_or_default().trim(),
        None => line.split('=').next().unwrap_or_default().trim(),
    }
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

fn line_of(source: &str, at: usize) -> Range<usize> {
    let start = source[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = source[at..].find('\n').map_or(source.len(), |length| at + length);
    start..end
}

/// Where the line of the header above begins.
fn header_above(source: &str, at: usize) -> Option<usize> {
    let mut start = line_of(source, at).start;
    while start > 0 {
        let line = line_of(source, start - 1);
        if is_header(&source[line.clone()]) {
            return Some(line.start);
        }
        start = line.start;
    }
    None
}
