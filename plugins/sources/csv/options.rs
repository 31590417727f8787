//! Options of `csv` that are more than a string, a number or a list.

use std::borrow::Cow;
use std::fmt;

use runner_core::ColumnType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::shared::csv::Types;

/// One path or a list of them; there is at least one.
#[derive(Debug)]
pub(super) struct Paths(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathsVisitor;

        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a list of paths")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<Paths, E> {
                if path.is_empty() {
                    return Err(E::custom("the path is empty"));
                }
                Ok(Paths(vec![path.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element::<String>()? {
                    if path.is_empty() {
                        return Err(A::Error::custom("one of the paths is empty"));
                    }
                    paths.push(path);
                }
                if paths.is_empty() {
                    return Err(A::Error::custom("the list of paths is empty"));
                }
                Ok(Paths(paths))
            }
        }

        deserializer.deserialize_any(PathsVisitor)
    }
}

impl JsonSchema for Paths {
    fn schema_name() -> Cow<'static, str> {
        "Paths".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let path = json_schema!({ "type": "string", "minLength": 1 });
        json_schema!({ "oneOf": [path, { "type": "array", "items": path, "minItems": 1 }] })
    }
}

/// The one character between two cells.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Delimiter(pub(super) u8);

impl Default for Delimiter {
    fn default() -> Self {
        Delimiter(b',')
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            [b'"' | b'\n' | b'\r'] => Err("quotes and line ends have a meaning already".into()),
            &[byte] if byte.is_ascii() => Ok(Delimiter(byte)),
            _ => Err(format!("`{text}` is not one ASCII character, such as \",\", \";\", \"|\" or \"\\t\"")),
        }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> Self {
        char::from(delimiter.0).into()
    }
}

impl JsonSchema for Delimiter {
    fn schema_name() -> Cow<'static, str> {
        "Delimiter".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r#"^[^"\r\n]$|\$\{"# })
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Compression {
    /// As its first bytes say.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// As `gzip` does.
    Gzip,
    /// As `zstd` does.
    Zstd,
}

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TypesVisitor;

        impl<'de> Visitor<'de> for TypesVisitor {
            type Value = Types;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"infer\", \"string\" or a table such as { Volume = \"float\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Types, E> {
                match text {
                    "infer" => Ok(Types::Infer),
                    "string" => Ok(Types::String),
                    _ => Err(E::custom(format!(
                        "`{text}` is neither \"infer\" nor \"string\" nor a table such as {{ Volume = \"float\" }}"
                    ))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Types, A::Error> {
                let mut columns: Vec<(String, ColumnType)> = Vec::new();
                while let Some((name, kind)) = map.next_entry::<String, ColumnType>()? {
                    if columns.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("column `{name}` is declared twice")));
                    }
                    columns.push((name, kind));
                }
                Ok(Types::Declared(columns))
            }
        }

        deserializer.deserialize_any(TypesVisitor)
    }
}

impl Serialize for Types {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Types::Infer => serializer.serialize_str("infer"),
            Types::String => serializer.serialize_str("string"),
            Types::Declared(columns) => {
                let mut map = serializer.serialize_map(Some(columns.len()))?;
                for (name, kind) in columns {
                    map.serialize_entry(name, kind)?;
                }
                map.end()
            }
        }
    }
}

impl JsonSchema for Types {
    fn schema_name() -> Cow<'static, str> {
        "Types".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "string", "enum": ["infer", "string"] },
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "string",
                        "enum": ["integer", "float", "boolean", "string"]
                    }
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character() {
        for good in [",", ";", "\t", "|", " "] {
            assert!(Delimiter::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", ",,", "\\t", "\"", "\n", "é"] {
            assert!(Delimiter::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
