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
    let (what, from) = if is_header(text) {
        ("table", 0)
    } else {
        ("key", header_above(source, at.start).unwrap_or_default())
    };
    // In an inline table it is not the key that the line begins with.
    let is_in_front = at.end <= line.start + text.find('=').unwrap_or(text.len());
    let name = if is_in_front { name_of(text) } else { source.get(at.clone()).unwrap_or_default() };
    let slip = Diagnostic::new(format!("the {what} `{name}` stands there twice"), at, "the second one");
    if !is_in_front {
        return slip;
    }
    let mut start = from;
    for line in source[from..line.start].split_inclusive('\n') {
        if name_of(line) == name && is_header(line) == (what == "table") {
            let start = start + line.len() - line.trim_start().len();
            let length = if what == "table" { header_of(line).len() } else { name.len() };
            return slip.context(start..start + length, "the first one");
        }
        start += line.len();
    }
    slip
}

/// The header that a line is, without what stands behind it.
fn header_of(line: &str) -> &str {
    let line = line.trim();
    &line[..line.rfind(']').map_or(line.len(), |end| end + 1)]
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
