//! The option `fields`: a table of names, each with a source or a table of options.

use std::fmt;

use runner_core::{Error, OptionError, OptionErrors, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::field::{Absent, Constant, Field, Source, Taken};
use crate::shared::json_paths::Path;
use crate::shared::values::{ReadTime, TypeName, ValueType, WriteTime};

/// The fields in the order of the file.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, FieldOptions)>);

/// The origin and the type of a field. Set `value`, or any of the others.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct FieldOptions {
    /// The field of the record that is taken: a name, or a JSON pointer such as `"/prices/close"`.
    /// Default: the field of the same name.
    #[serde(default)]
    from: Option<String>,
    /// The type of the value. Text is read as that type. A value that does not fit rejects the record.
    /// Default: the value stays as it is.
    #[serde(default, rename = "type")]
    kind: Option<TypeName>,
    /// How a date or timestamp is read: a strftime pattern such as `"%d/%m/%Y"`, `"rfc3339"`,
    /// `"epoch"` (seconds since 1970) or `"epoch_ms"`. A time without a zone is UTC. A date is taken
    /// as written, whatever its zone. `%y` is a year from 1970 to 2069. Default: ISO 8601, such as
    /// `2024-01-31` or `2024-01-31T09:30:00Z`.
    #[serde(default)]
    parse: Option<ReadTime>,
    /// How a date or timestamp is written, in UTC; the same forms as for `parse`. Default:
    /// `%Y-%m-%d` for a date and `%Y-%m-%d %H:%M:%S%.3f` for a timestamp, which Athena can cast.
    #[serde(default)]
    format: Option<WriteTime>,
    /// The value if the record does not have the field. A null stays null. Default: the record is
    /// rejected.
    #[serde(default)]
    #[schemars(with = "Option<Value>", extend("type" = ["string", "number", "boolean"]))]
    default: Option<Constant>,
    /// Texts that mean null, in addition to those of the source.
    #[serde(default)]
    null_values: Vec<Box<str>>,
    /// Whether a record without the field is rejected. With false the field is null. Default: true.
    #[serde(default)]
    required: Option<bool>,
    /// A constant: text, a number, true or false.
    #[serde(default)]
    #[schemars(with = "Option<Value>", extend("type" = ["string", "number", "boolean"]))]
    value: Option<Constant>,
}

pub(super) fn fields_schema(generator: &mut SchemaGenerator) -> Schema {
    let options = FieldOptions::json_schema(generator);
    let name = json_schema!({ "type": "string", "description": "The field of the record that is taken." });
    json_schema!({ "type": "object", "minProperties": 1, "additionalProperties": { "oneOf": [name, options] } })
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of fields such as { Close = \"close\" }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, FieldOption(options))) = map.next_entry::<String, FieldOption>()? {
                    fields.push((name, options));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The options of a field, or only the name of the field that is taken.
struct FieldOption(FieldOptions);

impl<'de> Deserialize<'de> for FieldOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = FieldOption;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field, or a table such as { from = \"close\", type = \"float\" }")
            }

            fn visit_str<E>(self, from: &str) -> Result<FieldOption, E> {
                Ok(FieldOption(FieldOptions { from: Some(from.to_owned()), ..FieldOptions::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldOption, A::Error> {
                FieldOptions::deserialize(MapAccessDeserializer::new(map)).map(FieldOption)
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}

impl Fields {
    /// The fields, or everything that is wrong with their options.
    pub(super) fn build(self) -> Result<Vec<Field>> {
        if self.0.is_empty() {
            return Err(OptionError::new("fields", "name at least one field, as in { Close = \"close\" }"));
        }
        let (mut fields, mut errors) = (Vec::new(), Vec::new());
        for (name, options) in self.0 {
            match options.build(&name) {
                Ok(source) => fields.push(Field { name, source }),
                Err(error) => errors.push(error),
            }
        }
        OptionErrors::with(errors, Ok(fields))
    }
}

impl FieldOptions {
    fn build(self, name: &str) -> Result<Source, Error> {
        let error =
            |option: &str, message: String| OptionError::new(format!("fields.{name}.{option}"), message);
        let FieldOptions { from, kind, parse, format, default, null_values, required, value } = self;
        if let Some(value) = value {
            let others = [
                ("from", from.is_some()),
                ("type", kind.is_some()),
                ("parse", parse.is_some()),
                ("format", format.is_some()),
                ("default", default.is_some()),
                ("null_values", !null_values.is_empty()),
                ("required", required.is_some()),
            ];
            return match others.iter().find(|(_, is_set)| *is_set) {
                None => Ok(Source::Constant(value)),
                Some((option, _)) => {
                    Err(error(option, "cannot be combined with `value`, which is a constant".into()))
                }
            };
        }
        for (option, is_set) in [("parse", parse.is_some()), ("format", format.is_some())] {
            if is_set && !kind.is_some_and(TypeName::is_time) {
                return Err(error(option, "needs `type = \"date\"` or `type = \"timestamp\"`".into()));
            }
        }
        let kind = kind.map(|kind| ValueType::new(kind, parse, format));
        let absent = match (default, required) {
            (None, None | Some(true)) => Absent::Rejected,
            (None, Some(false)) => Absent::Null,
            (Some(_), Some(_)) => {
                return Err(error(
                    "required",
                    "cannot be combined with `default`: remove one of them".into(),
                ));
            }
            (Some(default), None) => Absent::Default(match &kind {
                None => default,
                Some(kind) => default.typed(kind).map_err(|misfit| error("default", misfit.to_string()))?,
            }),
        };
        let path = Path::from(from.unwrap_or_else(|| name.to_owned()));
        Ok(Source::Record(Taken { path, kind, null_values, absent }))
    }
}
