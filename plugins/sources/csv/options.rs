//! Options about the files.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// One path or a list of paths, never empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PathsOption")]
pub(super) struct Paths(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a path or a list of paths")]
enum PathsOption {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<PathsOption> for Paths {
    type Error = &'static str;

    fn try_from(option: PathsOption) -> Result<Self, Self::Error> {
        match option {
            PathsOption::One(path) if path.is_empty() => Err("the path is empty"),
            PathsOption::One(path) => Ok(Paths(vec![path])),
            PathsOption::Several(paths) if paths.is_empty() => Err("the list of paths is empty"),
            PathsOption::Several(paths) if paths.iter().any(String::is_empty) => {
                Err("one of the paths is empty")
            }
            PathsOption::Several(paths) => Ok(Paths(paths)),
        }
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
