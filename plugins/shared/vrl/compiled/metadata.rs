//! What a program can read as `%name`.

use runner_core::Record;
use runner_core::diagnostics::similar;
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::{ObjectMap, Value};

/// The names that programs of transforms can read.
const OF_RECORDS: [&str; 6] = ["topic", "partition", "offset", "key", "timestamp", "headers"];

/// Values by name: a program reads the value of `name` as `%name`.
#[derive(Clone)]
pub(crate) struct Metadata(pub(super) Value);

impl Default for Metadata {
    fn default() -> Self {
        Metadata(Value::Object(ObjectMap::new()))
    }
}

impl Metadata {
    /// From values in JSON.
    #[allow(dead_code, reason = "for the elements of `for_each`")]
    pub(crate) fn new<'a>(named: impl IntoIterator<Item = (&'a str, serde_json::Value)>) -> Self {
        let named = named.into_iter().map(|(name, value)| (name.into(), Value::from(value)));
        Metadata(Value::Object(named.collect()))
    }

    /// Where a record was read, and what Kafka keeps beside its body.
    pub(super) fn of(record: &Record) -> Self {
        let bytes = |bytes: Option<&bytes::Bytes>| bytes.cloned().map_or(Value::Null, Value::Bytes);
        let time = record.timestamp.and_then(chrono::DateTime::from_timestamp_millis);
        // If a name occurs twice, the last header counts, as in `Headers::get`.
        let headers = record.headers.iter().map(|it| ((*it.name).into(), bytes(it.value.as_ref())));
        let values = [
            Value::from(record.origin.source.as_str()),
            Value::Integer(record.origin.partition.into()),
            Value::Integer(i64::try_from(record.origin.offset).unwrap_or(i64::MAX)),
            bytes(record.key.as_ref()),
            time.map_or(Value::Null, Value::Timestamp),
            Value::Object(headers.collect()),
        ];
        Metadata(Value::Object(OF_RECORDS.into_iter().map(Into::into).zip(values).collect()))
    }
}

/// Whether one of the paths that a program reads is in the metadata.
pub(super) fn is_read(paths: &[OwnedTargetPath]) -> bool {
    paths.iter().any(|path| path.prefix == PathPrefix::Metadata)
}

/// What is wrong with the names that a program of a transform reads.
pub(super) fn unknown_names(paths: &[OwnedTargetPath]) -> impl Iterator<Item = String> {
    let names =
        paths.iter().filter(|path| path.prefix == PathPrefix::Metadata).filter_map(|path| {
            match path.path.segments.first() {
                Some(OwnedSegment::Field(name)) => Some(name.as_str()),
                _ => None,
            }
        });
    names.filter(|name| !OF_RECORDS.contains(name)).map(|name| {
        let advice = match similar(name, OF_RECORDS) {
            Some(known) => format!("did you mean `%{known}`?"),
            None => format!("a record has `%{}`", OF_RECORDS.join("`, `%")),
        };
        format!("`%{name}` is always null: {advice}")
    })
}
