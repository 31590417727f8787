//! Takes the text of one field from a record.

use std::fmt;

use bytes::Bytes;
use runner_core::{Body, Record, Result, quoting};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The name of a field of a JSON object or of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The option that names the field, for errors.
    pub(crate) option: &'static str,
}

impl Field {
    /// The value of the field: text without quotes, other values as JSON. It is an error if there is none.
    pub(crate) fn get(&self, record: &Record) -> Result<Bytes> {
        let found = match &record.body {
            Body::Tombstone => {
                anyhow::bail!("the record has no body, so it has no field {self}")
            }
            Body::Bytes(bytes) => self.in_json(bytes)?,
            Body::ParsedBytes(_, value) => value.get(&self.name).and_then(text_of),
            Body::Value(value) => value.get(&self.name).and_then(text_of),
            Body::Row(row) => {
                let header = row.header();
                let column = header.columns().iter().position(|column| *column.name == *self.name);
                let cell = column.map(|column| (column, row.cell(column)));
                cell.filter(|&(column, cell)| !header.is_null_in(column, cell))
                    .map(|(_, cell)| Bytes::copy_from_slice(cell))
            }
        };
        found.ok_or_else(|| {
            let hint = match self.name.split_once('.') {
                Some(_) => "; a field of an object in the record first becomes one of the record, with the transform `select`",
                None => "",
            };
            anyhow::anyhow!("the record has no field {self}, or the field is null{hint}")
        })
    }

    /// Finds one field without parsing the others into values.
    fn in_json(&self, bytes: &[u8]) -> Result<Option<Bytes>> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let found = json.deserialize_map(Lookup(&self.name)).and_then(|found| json.end().map(|()| found));
        let found = found.map_err(|error| {
            // The error quotes the body.
            quoting(format_args!("the body is not a JSON object, so it has no field {self}: "), error, "")
        })?;
        let Some(raw) = found else { return Ok(None) };
        Ok(match raw.get() {
            "null" => None,
            text if text.starts_with('"') => Some(serde_json::from_str::<String>(text)?.into()),
            other => Some(Bytes::copy_from_slice(other.as_bytes())),
        })
    }
}

/// The parts of a text with placeholders such as `{{ .Index }}`. An error shows the placeholder `example`.
pub(crate) fn parse_placeholders<P>(
    text: &str,
    example: &str,
    parse_literal: impl Fn(&str) -> Result<P, String>,
    parse_name: impl Fn(&str) -> Result<P, String>,
) -> Result<Vec<P>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, inner) = match rest.split_once("{{") {
            Some((literal, inner)) => (literal, Some(inner)),
            None => (rest, None),
        };
        if let Some(brace) = literal.find(['{', '}']) {
            return Err(format!(
                "a placeholder has two braces on either side, as in `{{{{ {example} }}}}`; found `{}`",
                &literal[brace..]
            ));
        }
        if !literal.is_empty() {
            parts.push(parse_literal(literal)?);
        }
        let Some(inner) = inner else { break };
        let closed = inner.split_once("}}");
        let (name, after) = closed.ok_or_else(|| format!("`{{{{` in `{text}` has no closing `}}}}`"))?;
        parts.push(parse_name(name.trim())?);
        rest = after;
    }
    Ok(parts)
}

/// Checks the name of a field in a placeholder `{{ .NAME }}`: it names one field, and is not an expression. Languages of
/// other programs cut and convert there, as in `.Date[:4]`, `.Date | upper` or `.Date.slice(0, 4)`.
pub(crate) fn check_placeholder(name: &str) -> Result<(), String> {
    let slice = name.rsplit_once('[').and_then(|(field, rest)| Some((field, rest.strip_suffix(']')?)));
    let is_slice = |range: &str| {
        range.contains(':')
            && range.chars().all(|char| char.is_ascii_digit() || matches!(char, ':' | '-' | ' '))
    };
    let call = name.strip_suffix(')').and_then(|rest| rest.split_once('('));
    let format = name.split_once(":%").or_else(|| name.split_once(": %"));
    let field = match (slice, name.split_once('|').or(format), call) {
        (Some((field, range)), ..) if is_slice(range) => field,
        (_, Some((field, _)), _) => field,
        (_, _, Some((field, _))) if field.contains('.') => field.split('.').next().unwrap_or(field),
        _ => return Ok(()),
    };
    let field = field.trim();
    Err(format!(
        "`{{{{ .{name} }}}}` is not a field: a placeholder takes a whole field and does not change it. The transform `remap` \
         makes a part of a field into a field of its own, as in `.part = slice!(.{field}, 0, 4)`; then write \
         `{{{{ .part }}}}`. A field that has this name gets another one with the transform `select`"
    ))
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (`{}`)", self.name, self.option)
    }
}

fn text_of(value: &Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        other => Some(other.to_string().into()),
    }
}

struct Lookup<'a>(&'a str);

impl<'de> Visitor<'de> for Lookup<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = fields.next_key_seed(IsName(self.0))? {
            if is_wanted {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a name without copying it.
struct IsName<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::record;

    fn index() -> Field {
        Field { name: "Index".into(), option: "key_field" }
    }

    fn text(body: &str) -> Result<Bytes> {
        index().get(&record(body, 0))
    }

    #[test]
    fn field_is_unquoted_text_or_the_digits_of_a_number() {
        assert_eq!(text(r#"{"Open":{"Index":1},"Index":"N\u0059A"}"#).unwrap(), "NYA");
        assert_eq!(text(r#"{"Index":1.50}"#).unwrap(), "1.50");
    }

    #[test]
    fn record_without_the_field_is_an_error() {
        for body in [r#"{"Open":1}"#, r#"{"Index":null}"#, "[1]", "Hello", r#"{"Index":1} x"#] {
            let error = text(body).unwrap_err().to_string();
            assert!(error.contains("`Index` (`key_field`)"), "{error}");
        }
        let mut tombstone = record("", 0);
        tombstone.body = Body::Tombstone;
        assert!(index().get(&tombstone).is_err());
    }

    #[test]
    fn missing_field_with_a_dot_in_its_name_says_how_to_reach_into_an_object() {
        let nested = Field { name: "quote.symbol".into(), option: "topic" };
        let error = nested.get(&record(r#"{"quote":{"symbol":"NYA"}}"#, 0)).unwrap_err().to_string();
        assert!(error.contains("`quote.symbol` (`topic`)") && error.contains("`select`"), "{error}");
        assert_eq!(nested.get(&record(r#"{"quote.symbol":"NYA"}"#, 0)).unwrap(), "NYA");
    }

    #[test]
    fn placeholder_with_an_expression_is_refused_with_a_fix() {
        for name in
            ["Date[:4]", "Date[0:4]", "Date[-4:]", "Date | upper", "Date|slice(0,4)", "Date.slice(0, 4)"]
        {
            let error = check_placeholder(name).unwrap_err();
            assert!(error.contains("slice!(.Date, 0, 4)"), "{error}");
        }
        for name in
            ["Date", "Adj Close", "1. open", "Price [USD]", "rows[0]", "Close (USD)", "quote.symbol", "%"]
        {
            check_placeholder(name).unwrap();
        }
    }

    #[test]
    fn field_of_a_parsed_body_is_the_same() {
        let mut parsed = record(r#"{"Index":"NYA"}"#, 0);
        parsed.value().unwrap();
        assert_eq!(index().get(&parsed).unwrap(), "NYA");
    }
}
