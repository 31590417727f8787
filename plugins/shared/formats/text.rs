//! Formats of text that are not CSV, known by the first bytes.

use serde::de::IgnoredAny;

use super::super::csv::BYTE_ORDER_MARK;
use super::super::json_text::string_end;

/// The format of a text that is not CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    Html,
    Xml,
    Json,
    /// One JSON value in each line.
    Ndjson,
    /// What Git stores in place of a large file.
    LfsPointer,
}

impl TextKind {
    /// The format of a text that begins with these bytes; `None` if it may be CSV. A row of CSV may begin as JSON does, a
    /// header does not: `is_header` says whether the first line is one.
    pub(crate) fn of(start: &[u8], is_header: bool) -> Option<TextKind> {
        let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
        let has_tag = |tag: &[u8]| {
            start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag))
                && start.get(tag.len()).is_some_and(|next| next.is_ascii_whitespace() || *next == b'>')
        };
        if has_tag(b"<!doctype") || has_tag(b"<html") {
            return Some(TextKind::Html);
        }
        if has_tag(b"<?xml") {
            return Some(TextKind::Xml);
        }
        match start.first()? {
            _ if !is_header => None,
            b'<' => begins_with_an_element(start).then_some(TextKind::Xml),
            b'{' | b'[' => json_kind(start),
            _ => {
                start.starts_with(b"version https://git-lfs.github.com/spec/").then_some(TextKind::LfsPointer)
            }
        }
    }

    /// What the text is.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TextKind::Html => "an HTML page",
            TextKind::Xml => "XML",
            TextKind::Json => "JSON",
            TextKind::Ndjson => "NDJSON",
            TextKind::LfsPointer => "a pointer of Git LFS, not the file that it stands for",
        }
    }
}

/// Whether a text begins with an element of XML, and not with a name such as `<TICKER>`, as a header may have.
fn begins_with_an_element(start: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    let n_name = start[1..].iter().take_while(|byte| is_name(byte)).count();
    let (tag, rest) = start.split_at(1 + n_name);
    let has = |text: &[u8], part: &[u8]| memchr::memmem::find(text, part).is_some();
    match rest.first() {
        _ if n_name == 0 => false,
        Some(b'/') => rest.starts_with(b"/>"),
        Some(b'>') => {
            let first_line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let holds_an_element = rest[1..].trim_ascii_start().starts_with(b"<");
            has(first_line, &[b"</", &tag[1..]].concat())
                || holds_an_element && (has(rest, b"</") || has(rest, b"/>"))
        }
        // An attribute.
        Some(blank) if blank.is_ascii_whitespace() => {
            let attribute = rest.trim_ascii_start();
            let n_name = attribute.iter().take_while(|byte| is_name(byte)).count();
            n_name > 0 && attribute[n_name..].trim_ascii_start().starts_with(b"=")
        }
        _ => false,
    }
}

/// The format of a text that begins with `{` or `[`, if it is one of JSON.
fn json_kind(start: &[u8]) -> Option<TextKind> {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_value = serde_json::from_slice::<IgnoredAny>(line).is_ok();
    if is_value && !start[line.len()..].trim_ascii().is_empty() {
        return Some(TextKind::Ndjson);
    }
    (is_value || begins_as_json(start)).then_some(TextKind::Json)
}

fn begins_as_json(start: &[u8]) -> bool {
    let inner = start[1..].trim_ascii_start();
    match (start[0], inner.first()) {
        (b'{', Some(b'"')) => {
            after_string(inner).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
        }
        (b'[', Some(b'{')) => begins_as_json(inner),
        (b'[', Some(b'[')) => {
            let first = inner[1..].trim_ascii_start().first();
            first.is_some_and(|byte| byte.is_ascii_digit() || b"-\"{[]".contains(byte))
        }
        (b'[', Some(b'"')) => after_string(inner)
            .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), Some(b',' | b']'))),
        _ => false,
    }
}

/// What follows the string at the beginning.
fn after_string(text: &[u8]) -> Option<&[u8]> {
    text.get(string_end(text, 0)?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_csv_is_known_by_its_first_bytes() {
        for (start, kind) in [
            ("\n<!DOCTYPE html><html>", TextKind::Html),
            ("<HTML lang=\"en\">", TextKind::Html),
            ("<?xml version=\"1.0\"?>\n<rows/>", TextKind::Xml),
            ("\u{feff}<?xml version=\"1.0\"?>", TextKind::Xml),
            ("<Error><Code>NoSuchKey</Code></Error>", TextKind::Xml),
            ("<rows>\n  <row id=\"1\"/>\n", TextKind::Xml),
            ("<feed xmlns=\"http://www.w3.org/2005/Atom\">\n", TextKind::Xml),
            ("<message>denied</message>", TextKind::Xml),
            ("{\"a\":1,\"b\":2}\n{\"a\":2,\"b\":3}\n", TextKind::Ndjson),
            ("{\"a\":1}", TextKind::Json),
            ("\u{feff}{\n  \"a\\\"\" : 1,\n", TextKind::Json),
            ("[{\"a\":1},{\"a\":2}]\n", TextKind::Json),
            ("[\n {\"a\": 1},\n", TextKind::Json),
            ("[[1,2],\n[3,4]]", TextKind::Json),
            ("[\"a\",\"b\"]\n[\"c\",\"d\"]\n", TextKind::Ndjson),
            ("{}", TextKind::Json),
            ("[]\n", TextKind::Json),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", TextKind::LfsPointer),
        ] {
            assert_eq!(TextKind::of(start.as_bytes(), true), Some(kind), "{start}");
        }
    }

    #[test]
    fn header_of_csv_is_not_taken_for_another_format() {
        for start in [
            "",
            "a,b\n",
            "<html_id>,x\n",
            "<TICKER>,<PER>,<DATE>\nA,D,1\n",
            "<DATE>\t<OPEN>\t<VOL>\n2024.01.02\t1\t2\n",
            "<DATE> <OPEN>\n1 2\n",
            "[id],[name]\n1,a\n",
            "[Open Time],b\n",
            "{id},{name}\n",
            "{\"id\",b\n",
            "\"{\"\"a\"\":1}\",b\n",
            "version,oid\n",
        ] {
            assert_eq!(TextKind::of(start.as_bytes(), true), None, "{start}");
        }
        assert_eq!(TextKind::of(b"{\"a\":1}\n{\"a\":2}\n", false), None, "a row");
        assert_eq!(TextKind::of(b"<?xml version=\"1.0\"?>", false), Some(TextKind::Xml));
    }
}
