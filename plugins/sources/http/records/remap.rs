//! The `remap` option: a program in VRL that makes records of elements or of whole answers.

use std::path::PathBuf;

use runner_core::{BuildContext, OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::super::elements::Element;
use crate::shared::vrl::{Program, ProgramText};

pub(crate) use crate::shared::vrl::{Input, Metadata, ProgramResult};

/// The program, as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(inline, extend("type" = ["string", "object"], "properties" = {
    "source": { "type": "string", "description": "The program." },
    "file": {
        "type": "string",
        "description": "A file with the program. A relative path starts in the folder of the pipeline file.",
    },
    "on": {
        "enum": ["element", "answer"],
        "default": "element",
        "description": "`\"answer\"`: the program gets all elements of a response at once, as an array.",
    },
}))]
pub(crate) struct RemapConfig {
    source: Option<String>,
    file: Option<PathBuf>,
    on: On,
    /// Whether the option is the program itself.
    is_text: bool,
}

/// What the program runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    /// Each element of the records.
    #[default]
    Element,
    /// All of them at once.
    Answer,
}

/// The table form of the option.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    source: Option<String>,
    file: Option<PathBuf>,
    #[serde(default)]
    on: On,
}

impl TryFrom<Value> for RemapConfig {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let is_text = value.is_string();
        let table = match value {
            Value::String(source) => Table { source: Some(source), file: None, on: On::Element },
            table @ Value::Object(_) => serde_json::from_value(table).map_err(|error| error.to_string())?,
            _ => return Err("expected a program, or a table with `source` or `file`".into()),
        };
        let Table { source, file, on } = table;
        if source.is_some() == file.is_some() {
            return Err("set one of `source` and `file`".into());
        }
        Ok(RemapConfig { source, file, on, is_text })
    }
}

/// A compiled program.
pub(crate) struct Remap {
    program: Program,
    pub(crate) on: On,
    pub(crate) text: String,
    /// The hash of its text.
    pub(crate) hash: u64,
}

impl std::fmt::Debug for Remap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remap").field("on", &self.on).finish_non_exhaustive()
    }
}

impl RemapConfig {
    pub(crate) fn compile(&self, context: &BuildContext) -> Result<Remap> {
        let text = match (&self.source, &self.file) {
            (Some(source), _) if self.is_text => ProgramText::inline("remap", source)?,
            (Some(source), _) => ProgramText::inline("remap.source", source)?,
            (None, Some(file)) => ProgramText::read("remap.file", file, context)?,
            (None, None) => return Err(OptionError::new("remap", "set one of `source` and `file`")),
        };
        let hash = xxh3_64(text.text.as_bytes());
        let program = Program::compile(&text, None, context)?;
        Ok(Remap { program, on: self.on, text: text.text.to_string(), hash })
    }
}

impl Remap {
    pub(crate) fn run(&self, input: &Input<'_>, metadata: &Metadata) -> Result<ProgramResult> {
        self.program.run(input, metadata)
    }
}

/// The fields of an element, which the program reads as `%symbol`.
pub(crate) fn metadata(element: &Element) -> Metadata {
    Metadata::new(element.fields().iter().map(|(name, value)| (name.as_str(), value.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::TextError;
    use runner_core::testing::context;
    use serde_json::json;

    #[test]
    fn program_is_a_text_or_a_table() {
        let read = |value: Value| RemapConfig::try_from(value);
        assert_eq!(read(json!(".")).unwrap().on, On::Element);
        assert_eq!(read(json!({"file": "a.vrl", "on": "answer"})).unwrap().on, On::Answer);
        assert!(read(json!({"on": "answer"})).unwrap_err().contains("set one of"));
        assert!(read(json!({"source": ".", "file": "a"})).unwrap_err().contains("set one of"));
        assert!(read(json!({"source": ".", "x": 1})).unwrap_err().contains("unknown field"));
        assert!(read(json!(1)).is_err());
    }

    #[test]
    fn error_names_the_option_that_holds_the_program() {
        for (value, option) in [
            (json!(". = foo(.)"), "remap"),
            (json!({"source": ". = foo(.)", "on": "answer"}), "remap.source"),
        ] {
            let error = RemapConfig::try_from(value).unwrap().compile(&context()).unwrap_err();
            let error = error.downcast_ref::<TextError>().unwrap();
            assert_eq!((&*error.option, error.span.clone()), (option, 4..7));
        }
    }
}
