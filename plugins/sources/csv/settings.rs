//! The validated options of the source.

use std::sync::Arc;

use runner_core::BuildContext;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::shared::compression::Compression;
use crate::shared::csv::{DeclaredColumn, Dialect, Grammar, TextEncoding, Types};

/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// The validated options of the source.
pub(super) struct Settings {
    pub(super) patterns: Vec<String>,
    pub(super) dialect: Arc<Dialect>,
    pub(super) compression: Compression,
    pub(super) encoding: TextEncoding,
    /// Whether the files are read on when they grow.
    pub(super) follow: bool,
    /// Whether no program appends to the files any more, so that their last rows are complete.
    pub(super) are_files_complete: bool,
    /// Whether files may have columns that the ones before them do not have.
    pub(super) adds_columns: bool,
    pub(super) context: BuildContext,
}

impl Settings {
    /// Whether standard input is read instead of files.
    pub(super) fn is_standard_input(&self) -> bool {
        self.patterns == [STANDARD_INPUT]
    }

    /// The options that decide what a cell means, apart from those with their defaults, as a position stores them.
    pub(super) fn cell_options(&self) -> Map<String, Value> {
        let (dialect, default) = (&*self.dialect, Dialect::default());
        let numbers = dialect.numbers;
        let options = [
            ("decimal", json!(numbers.decimal), numbers.decimal == default.numbers.decimal),
            ("thousands", json!(numbers.thousands), numbers.thousands.is_none()),
            ("null_values", json!(dialect.null_values), dialect.null_values == default.null_values),
            ("extra_cells", json!("drop"), !dialect.drops_extra_cells),
            ("types", self.declared_types(), dialect.types.is_inferred()),
            ("missing_cells", json!("null"), !dialect.fills_missing_cells),
        ];
        let changed = options.into_iter().filter(|(_, _, is_default)| !is_default);
        changed.map(|(option, value, _)| (option.to_owned(), value)).collect()
    }

    /// The settings with other options that decide what a cell means, as [`cell_options`](Self::cell_options) has returned
    /// them; `None` if they are not understood.
    pub(super) fn with_cell_options(&self, stored: &Map<String, Value>) -> Option<Settings> {
        let default = Dialect::default();
        let mut dialect = (*self.dialect).clone();
        dialect.numbers.decimal = option_of(stored, "decimal", default.numbers.decimal)?;
        dialect.numbers.thousands = option_of(stored, "thousands", default.numbers.thousands)?;
        dialect.null_values = option_of(stored, "null_values", default.null_values)?;
        dialect.drops_extra_cells = stored.contains_key("extra_cells");
        dialect.fills_missing_cells = stored.contains_key("missing_cells");
        dialect.types = stored.get("types").map_or(Some(Types::Infer), types_of)?;
        Some(Settings {
            patterns: self.patterns.clone(),
            dialect: Arc::new(dialect),
            context: self.context.clone(),
            ..*self
        })
    }

    /// The declared types, by column.
    fn declared_types(&self) -> Value {
        let types = &self.dialect.types;
        if matches!(types, Types::String) {
            return json!("string");
        }
        let entry = |it: &DeclaredColumn| (it.name.clone(), json!([it.value_type.name(), it.parse]));
        types.declared().iter().map(entry).collect()
    }

    /// The options that decide where rows begin, besides the delimiter and the header, as a position stores them.
    pub(super) fn row_options(&self) -> String {
        let mut options = self.dialect.grammar.describe();
        if self.dialect.skip_lines > 0 {
            options += &format!(" skip_lines {}", self.dialect.skip_lines);
        }
        if self.encoding.name() != "UTF-8" {
            options += &format!(" encoding {}", self.encoding.name());
        }
        options.trim_start().to_owned()
    }

    /// The settings with other options that decide where rows begin: the delimiter, the header, and what
    /// [`row_options`](Self::row_options) has returned. `None` if they are not understood.
    pub(super) fn with_row_options(
        &self,
        delimiter: char,
        has_header: bool,
        stored: &str,
        columns: Vec<String>,
    ) -> Option<Settings> {
        let mut rest = format!(" {stored}");
        let mut take = |option: &str| {
            let at = rest.rfind(option)?;
            let value = rest[at + option.len()..].to_owned();
            rest.truncate(at);
            Some(value)
        };
        let encoding = take(" encoding ").unwrap_or_else(|| "auto".to_owned());
        let encoding = TextEncoding::try_from(encoding).ok()?;
        let skip_lines = take(" skip_lines ").map_or(Some(0), |n_lines| n_lines.parse().ok())?;
        let mut dialect = (*self.dialect).clone();
        dialect.grammar = Grammar::described(delimiter.try_into().ok()?, rest.trim_start())?;
        (dialect.has_header, dialect.skip_lines, dialect.encoding) =
            (has_header, skip_lines, encoding.name());
        if !has_header {
            dialect.columns = columns;
        }
        let settings = Settings {
            patterns: self.patterns.clone(),
            dialect: Arc::new(dialect),
            context: self.context.clone(),
            encoding,
            ..*self
        };
        (settings.row_options() == stored).then_some(settings)
    }

    #[cfg(test)]
    pub(super) fn of_tests() -> Settings {
        Settings {
            patterns: Vec::new(),
            dialect: Arc::default(),
            compression: Compression::Auto,
            encoding: TextEncoding::default(),
            follow: false,
            are_files_complete: false,
            adds_columns: false,
            context: runner_core::testing::context(),
        }
    }
}

/// A stored option; `None` if it is not understood.
fn option_of<T: DeserializeOwned>(stored: &Map<String, Value>, option: &str, default: T) -> Option<T> {
    stored.get(option).map_or(Some(default), |value| serde_json::from_value(value.clone()).ok())
}

/// The types that [`Settings::declared_types`] has returned.
fn types_of(stored: &Value) -> Option<Types> {
    let Some(columns) = stored.as_object() else { return serde_json::from_value(stored.clone()).ok() };
    let declared = |(name, entry): (&String, &Value)| {
        let declared = match (entry.get(0)?, entry.get(1)?) {
            (kind, Value::Null) => kind.clone(),
            (kind, parse) => json!({ "type": kind, "parse": parse }),
        };
        Some((name.clone(), declared))
    };
    let declared = columns.iter().map(declared).collect::<Option<Map<String, Value>>>()?;
    serde_json::from_value(declared.into()).ok()
}
