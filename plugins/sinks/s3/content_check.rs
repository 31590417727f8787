//! Warns if the first objects are not what the ending of `key` says.

use std::sync::atomic::{AtomicU32, Ordering};

use runner_core::{Body, Record};
use serde::de::IgnoredAny;
use tracing::warn;

use crate::shared::json_text::schema_id;

/// How many records of a run are checked.
const MAX_CHECKED: u32 = 100;

/// Formats by the endings of their names, with their first bytes.
const FORMATS: [(&str, &str, &[u8]); 6] = [
    (".gz", "gzip data", b"\x1f\x8b"),
    (".zst", "Zstandard data", b"\x28\xb5\x2f\xfd"),
    (".bz2", "bzip2 data", b"BZh"),
    (".parquet", "a Parquet file", b"PAR1"),
    (".orc", "an ORC file", b"ORC"),
    (".avro", "an Avro file", b"Obj\x01"),
];

/// Compressions that Athena expects by the name of an object.
const UNPACKED: [&str; 7] = [".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate", ".lzo"];

/// The ending in lower case, if Athena unpacks objects of that name.
pub(super) fn unpacked_by_name(ending: &str) -> Option<&'static str> {
    let ending = ending.to_ascii_lowercase();
    UNPACKED.into_iter().find(|packed| ending.ends_with(packed))
}

/// Compares the first objects with their names.
#[derive(Debug)]
pub(super) struct ContentCheck {
    /// The sink, for the warning.
    component: String,
    /// The format that the ending of `key` stands for, if any.
    format: Option<Format>,
    /// The media type of the objects, if the name has no format and the type says JSON.
    json_type: Option<String>,
    n_checked: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Json,
    /// An index in [`FORMATS`].
    Other(usize),
}

impl ContentCheck {
    /// `ending` is the end of the template, `is_json` whether that is the ending of JSON.
    pub(super) fn new(component: &str, ending: &str, is_json: bool, content_type: &str) -> ContentCheck {
        let ending = ending.to_ascii_lowercase();
        let other = || FORMATS.iter().position(|(name, ..)| ending.ends_with(name));
        let format = if is_json { Some(Format::Json) } else { other().map(Format::Other) };
        let json_type = (format.is_none() && content_type.contains("json")).then(|| content_type.to_owned());
        ContentCheck { component: component.to_owned(), format, json_type, n_checked: AtomicU32::new(0) }
    }

    /// Warns of the first object that is not what its name says, among the first objects of a run.
    pub(super) fn check(&self, record: &Record, body: &[u8]) {
        let is_checked = self.format.is_some() || self.json_type.is_some();
        if !is_checked || self.n_checked.load(Ordering::Relaxed) >= MAX_CHECKED {
            return;
        }
        self.n_checked.fetch_add(1, Ordering::Relaxed);
        let is_written_as_json = matches!(record.body, Body::Value(_));
        let problem = match (self.format, &self.json_type) {
            (Some(format), _) => problem(format, body, is_written_as_json),
            (None, Some(content_type)) if matches!(record.body, Body::Row(_)) => Some(format!(
                "a record is a row of a CSV file: it is stored as a CSV line without a header, as `{content_type}`. For JSON \
                 put the transform `to_json` before this sink; for CSV lines end `key` with `.csv` and set `content_type = \
                 \"text/csv\"`"
            )),
            _ => None,
        };
        if let Some(problem) = problem
            && self.n_checked.swap(MAX_CHECKED, Ordering::Relaxed) < MAX_CHECKED
        {
            warn!(component = self.component, "{problem}");
        }
    }
}

fn problem(format: Format, body: &[u8], is_json: bool) -> Option<String> {
    match format {
        Format::Json if is_json || is_json_text(body) => None,
        Format::Json if schema_id(body).is_some() => schema_id(body).map(|schema| {
            format!("`key` ends as the name of JSON, and a record is not JSON: {schema}. It is stored as it came in")
        }),
        Format::Json => {
            let packed = FORMATS.iter().find(|(_, _, magic)| body.starts_with(magic));
            let (what, advice) = match packed {
                Some((ending, what, _)) => {
                    (format!("is {what}"), format!("End `key` with `{ending}` after `.json`"))
                }
                None => (
                    "is not JSON".to_owned(),
                    "Make JSON of the records with `to_json`, which rejects bodies that are not JSON, or end `key` with another name"
                        .to_owned(),
                ),
            };
            Some(format!(
                "`key` ends as the name of JSON, and a record {what}: it is stored as it came in, and programs that go by \
                 the name cannot read it. {advice}"
            ))
        }
        Format::Other(index) => {
            let (ending, what, magic) = FORMATS[index];
            (!body.starts_with(magic)).then(|| {
                format!(
                    "`key` ends with `{ending}`, and a record is not {what}: it is stored as it came in, and programs that \
                     go by the name cannot read it. This sink stores records as they are and compresses nothing: end `key` \
                     with the name of what the records are, such as `.json`"
                )
            })
        }
    }
}

/// Whether a body is one JSON value, or several of them.
fn is_json_text(body: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>().peekable();
    values.peek().is_some() && values.all(|value| value.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(ending: &str, is_json: bool, body: &[u8]) -> Option<String> {
        problem(ContentCheck::new("lake", ending, is_json, "application/json").format?, body, false)
    }

    #[test]
    fn content_of_another_format_than_its_name_is_a_problem() {
        for (ending, is_json, body, part) in [
            (".json", true, &b"NYA,1.5"[..], "`to_json`"),
            (".json", true, b"", "is not JSON"),
            (".json", true, b"\0\0\0\x01\x07NYA", "the number 263 of a schema"),
            (".jsonl", true, b"{\"a\":1}\n{", "is not JSON"),
            (".json", true, b"\x1f\x8b\x08\x00", "End `key` with `.gz` after `.json`"),
            (".json.gz", false, b"{\"a\":1}", "`.gz`, and a record is not gzip data"),
            (".PARQUET", false, b"{\"a\":1}", "not a Parquet file"),
        ] {
            let found = problem_of(ending, is_json, body).expect(ending);
            assert!(found.contains(part) && !found.contains("NYA"), "{found}");
        }
    }

    #[test]
    fn content_of_the_format_of_its_name_is_no_problem() {
        for (ending, is_json, body) in [
            (".json", true, &b"[1, 2]\n"[..]),
            (".jsonl", true, b"{\"a\":1}\n{\"a\":2}\n"),
            (".json.gz", false, b"\x1f\x8b\x08\x00"),
            (".csv", false, b"NYA,1.5"),
            ("", false, b"\x00"),
        ] {
            assert_eq!(problem_of(ending, is_json, body), None, "{ending}");
        }
        assert_eq!(unpacked_by_name("x.JSON.GZ"), Some(".gz"));
        assert_eq!(unpacked_by_name(".json"), None);
    }
}
