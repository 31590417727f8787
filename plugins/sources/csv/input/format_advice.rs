//! Files that are not CSV, and what to do about them.

use super::super::settings::Settings;
use crate::shared::compression::Compression;
use crate::shared::formats::binary::FileKind;
use crate::shared::formats::text::TextKind;

/// How many bytes a file needs before its format is known.
pub(crate) const MIN_START: usize = 4;

/// What a file is that begins with these bytes, and what to do; `None` if it may be text.
pub(crate) fn other_format(start: &[u8]) -> Option<String> {
    let kind = FileKind::of(start)?;
    Some(format!("{}, not CSV; {}", kind.name, kind.to_csv))
}

/// What a text is that begins with these bytes and is not CSV, and what to do.
pub(crate) fn other_text(start: &[u8], settings: &Settings) -> Option<String> {
    let dialect = &settings.dialect;
    let is_header =
        dialect.has_header && dialect.skip_lines == 0 && !dialect.grammar.begins_with_a_comment(start);
    let kind = TextKind::of(start, is_header)?;
    let what = match kind {
        TextKind::Html => {
            "an HTML page, not CSV; it may be an error page or a login form instead of the file: download the file again"
        }
        TextKind::Xml => {
            "XML, not CSV; it may be an error message instead of the file: download the file again, or write its content as CSV"
        }
        TextKind::Json => {
            "JSON, not CSV; it may be an error message instead of the file: download the file again, or write its content as \
             CSV, such as with `jq -r '.[] | [.id, .name] | @csv'`"
        }
        TextKind::Ndjson => {
            "NDJSON, with a JSON value in each line, which the csv source does not read; write it as CSV, such as with \
             `jq -r '[.id, .name] | @csv'`"
        }
        TextKind::LfsPointer => {
            "a pointer that Git LFS stores instead of the file; get the file with `git lfs pull`"
        }
    };
    let has_rows = kind != TextKind::LfsPointer && TextKind::of(start, false).is_none();
    let rows = if has_rows {
        ". If its lines are rows of CSV, set header = false and name the columns with `columns`"
    } else {
        ""
    };
    Some(format!("{what}{rows}"))
}

/// Why a file that begins with these bytes is not compressed as the pipeline file says, and what to do.
pub(crate) fn other_compression(start: &[u8], given: Compression) -> Option<String> {
    let (found, given_name) = (Compression::of(start), given.name());
    match (given, found) {
        _ if given == found => None,
        // Another program may still be writing the first bytes.
        (Compression::Gzip, _) if b"\x1F\x8B".starts_with(start) => None,
        (Compression::Zstd, _) if b"\x28\xB5\x2F\xFD".starts_with(start) => None,
        (Compression::Auto, _) => None,
        (Compression::None, _) => {
            let found = found.name();
            Some(format!("compressed with {found}; set compression = \"auto\" or \"{found}\""))
        }
        (_, Compression::None) => Some(format!(
            "not compressed with {given_name}; set compression = \"auto\", which looks at each file, or \"none\""
        )),
        _ => Some(format!(
            "compressed with {}, not with {given_name}; set compression = \"auto\", which looks at each file",
            found.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::shared::csv::DialectOptions;

    #[test]
    fn file_that_is_not_csv_is_known_by_its_first_bytes() {
        let zip = [b"PK\x03\x04", &[0; 26][..], b"prices.csv"].concat();
        for (start, what) in [
            (&zip[..], "a zip archive, not CSV; unpack it"),
            (
                b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
                "an old Excel workbook (xls) or another Office document, not CSV; save",
            ),
        ] {
            let found = other_format(start);
            assert!(found.as_deref().is_some_and(|found| found.starts_with(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn text_that_is_not_csv_is_refused_unless_its_lines_are_rows() {
        let settings = |options: serde_json::Value| {
            let options: DialectOptions = serde_json::from_value(options).unwrap();
            let dialect = Arc::new(options.dialect("").unwrap());
            Settings { dialect, ..Settings::of_tests() }
        };
        let rows = b"{\"id\":1}\n{\"id\":2}\n";
        let plain = settings(serde_json::json!({}));
        let found = other_text(rows, &plain).unwrap();
        assert!(found.starts_with("NDJSON") && found.contains("set header = false"), "{found}");
        let found = other_text(b"<Error><Code>NoSuchKey</Code></Error>", &plain).unwrap();
        assert!(found.starts_with("XML, not CSV"), "{found}");
        let found = other_text(b"<html>", &settings(serde_json::json!({ "skip_lines": 1 }))).unwrap();
        assert!(found.starts_with("an HTML page") && !found.contains("header = false"), "{found}");
        for options in [
            serde_json::json!({ "header": false, "columns": ["a"] }),
            serde_json::json!({ "skip_lines": 1 }),
            serde_json::json!({ "comment": "{" }),
        ] {
            assert_eq!(other_text(rows, &settings(options.clone())), None, "{options}");
        }
    }

    #[test]
    fn other_compression_names_the_right_one() {
        let gzip = Compression::Gzip.compress(b"a\n").unwrap();
        let zstd = Compression::Zstd.compress(b"a\n").unwrap();
        for (start, given, what) in [
            (&gzip[..], Compression::None, "compressed with gzip; set compression = \"auto\""),
            (&zstd, Compression::None, "compressed with zstd; set"),
            (&zstd, Compression::Gzip, "compressed with zstd, not with gzip; set compression = \"auto\""),
            (b"a,b\n", Compression::Gzip, "not compressed with gzip; set compression = \"auto\""),
            (b"a,b\n", Compression::Zstd, "not compressed with zstd"),
        ] {
            let found = other_compression(start, given);
            assert!(found.as_deref().is_some_and(|found| found.starts_with(what)), "{what}: {found:?}");
        }
        for (start, given) in [
            (&gzip[..], Compression::Gzip),
            (&zstd, Compression::Zstd),
            (b"\x50\x2A\x4D\x18", Compression::Zstd),
            (b"a,b\n", Compression::None),
            (b"", Compression::Gzip),
            (b"\x1F", Compression::Gzip),
        ] {
            assert_eq!(other_compression(start, given), None);
        }
    }
}
