//! Options of `csv` that are more than a string, a number or a list.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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
