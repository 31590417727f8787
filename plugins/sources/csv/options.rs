//! Options about the files.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

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

/// What happens if files have columns that the first one does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum NewColumns {
    /// The run fails before the first row is read.
    #[default]
    Error,
    /// They are added.
    Add,
}
