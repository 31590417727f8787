//! Options of `csv` that are more than a string, a number or a list.

use std::fmt;

use runner_core::ColumnType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::shared::csv::Types;

/// One path or a list of paths, never empty.
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

pub(super) fn paths_schema(_: &mut SchemaGenerator) -> Schema {
    let path = json_schema!({ "type": "string", "minLength": 1 });
    json_schema!({ "oneOf": [path, { "type": "array", "items": path, "minItems": 1 }] })
}

/// The character between two cells.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r#"^[^"\r\n]$|\$\{"#))]
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
            [b'"' | b'\n' | b'\r'] => Err("a quote or a line end cannot be the delimiter".into()),
            &[byte] if byte.is_ascii() => Ok(Delimiter(byte)),
            _ => Err(format!("`{text}` is not one ASCII character, such as \",\", \";\", \"|\" or \"\\t\"")),
        }
    }
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

pub(super) fn types_schema(_: &mut SchemaGenerator) -> Schema {
    let kind = json_schema!({ "type": "string", "enum": ["integer", "float", "boolean", "string"] });
    json_schema!({
        "oneOf": [
            { "type": "string", "enum": ["infer", "string"] },
            { "type": "object", "additionalProperties": kind }
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_must_be_one_ascii_character() {
        for good in [",", ";", "\t", "|", " "] {
            assert!(Delimiter::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", ",,", "\\t", "\"", "\n", "é"] {
            assert!(Delimiter::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
