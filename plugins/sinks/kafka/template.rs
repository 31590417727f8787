//! Text with placeholders for fields of the record: `px.{{ .Index }}`.

use bytes::{Bytes, BytesMut};
use runner_core::{Body, Record, Result};

use crate::shared::record_field::{Field, check_placeholder, parse_placeholders};

/// The template of a topic or of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

impl Template {
    /// The value of one field.
    pub(super) fn field(name: &str, option: &'static str) -> Template {
        Template(vec![Part::Field(Field { name: name.to_owned(), option })])
    }

    /// Parses the value of `option`; the error says what is not valid.
    pub(super) fn parse(text: &str, option: &'static str) -> Result<Template, String> {
        let literal = |text: &str| Ok(Part::Literal(text.to_owned()));
        let field = |name: &str| parse_field(name, option).map(Part::Field);
        parse_placeholders(text, ".Index", literal, field).map(Template)
    }

    /// The text, if it has no placeholders.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text without its placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Literal(text) = part { Some(&**text) } else { None })
    }

    /// The text with this value for every field.
    pub(super) fn with(&self, value: &str) -> String {
        self.0.iter().map(|part| if let Part::Literal(text) = part { &**text } else { value }).collect()
    }

    /// The text for a record; an error if the record does not have a field.
    pub(super) fn render(&self, record: &Record) -> Result<Bytes> {
        if let [Part::Field(field)] = self.0.as_slice() {
            return field.get(record);
        }
        let mut text = BytesMut::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Field(field) => text.extend_from_slice(&field.get(record)?),
            }
        }
        Ok(text.freeze())
    }

    /// The text as the key of a record. A tombstone has no fields and keeps its key: `None`.
    pub(super) fn key(&self, record: &Record) -> Result<Option<Bytes>> {
        match record.body {
            Body::Tombstone if record.key.is_some() => Ok(None),
            Body::Tombstone => {
                anyhow::bail!(
                    "the record has neither a body with fields nor a key, and one of them is required"
                )
            }
            _ => self.render(record).map(Some),
        }
    }
}

fn parse_field(placeholder: &str, option: &'static str) -> Result<Field, String> {
    match placeholder.strip_prefix('.') {
        Some(field) if !field.is_empty() => {
            check_placeholder(field)?;
            Ok(Field { name: field.to_owned(), option })
        }
        _ => Err(format!(
            "`{{{{ {placeholder} }}}}` is not a valid placeholder: a field of the record is written \
             `{{{{ .{} }}}}`, with a dot before its name",
            if placeholder.is_empty() || placeholder == "." { "Index" } else { placeholder }
        )),
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;

    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text, "topic").unwrap()
    }

    #[test]
    fn template_renders_text_and_numbers_of_fields() {
        let record = record(r#"{"Index":"NYA","Adj Close":1.50,"n":7}"#, 0);
        let text = |of: &str| template(of).render(&record).unwrap();
        assert_eq!(text("px.{{ .Index }}"), "px.NYA");
        assert_eq!(text("{{.Index}}-{{ .n }}/{{ .Adj Close }}"), "NYA-7/1.50");
        assert_eq!(text("px"), "px");
        assert_eq!((template("px").literal(), template("px.{{ .n }}").literal()), (Some("px"), None));
    }

    #[test]
    fn record_without_a_field_of_the_template_is_an_error() {
        let error = template("px.{{ .Index }}").render(&record("{}", 0)).unwrap_err().to_string();
        assert!(error.contains("no field `Index` (`topic`)"), "{error}");
    }

    #[test]
    fn key_of_a_tombstone_is_kept() {
        let mut tombstone = record("", 0);
        tombstone.body = Body::Tombstone;
        let key = Template::field("Index", "key_field");
        assert!(key.key(&tombstone).is_err());
        tombstone.key = Some("NYA".into());
        assert_eq!(key.key(&tombstone).unwrap(), None);
    }

    #[test]
    fn invalid_placeholders_are_refused_with_the_right_form() {
        let error = |text: &str| Template::parse(text, "topic").unwrap_err();
        assert!(
            error("px.{{ Index }}").contains("`{{ .Index }}`, with a dot"),
            "{}",
            error("px.{{ Index }}")
        );
        assert!(error("px.{{ .Index").contains("no closing"));
        assert!(error("px.{.Index}").contains("two braces"));
        assert!(error("px.{{ .Index[:2] }}").contains("`remap`"));
        assert!(error("{{ . }}").contains("`{{ .Index }}`"));
    }
}
