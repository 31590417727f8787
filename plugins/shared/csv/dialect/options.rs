//! Options about the dialect, for every source that reads CSV.

use std::collections::HashSet;

use runner_core::{OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Dialect;
use crate::shared::csv::encoding::TextEncoding;
use crate::shared::csv::rows::Grammar;
use crate::shared::csv::types::NumberFormat;

/// Defines a configuration with the options about the dialect, which all sources of CSV share.
///
/// `#[serde(flatten)]` would lose the position of an error in the pipeline file.
macro_rules! with_dialect_options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident;
        before { $($before:tt)* }
        $(#[$encoding:meta])*
        encoding: $encoding_type:ty;
        after { $($after:tt)* }
    ) => {
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            $($before)*
            /// The character between two cells.
            #[serde(default)]
            #[schemars(extend("default" = ","))]
            pub(crate) delimiter: $crate::shared::csv::Delimiter,
            /// Whether the first row of each file or response contains the column names.
            #[serde(default = "crate::shared::default_true")]
            pub(crate) header: bool,
            /// The column names, for rows without a header. They also replace the names in a header.
            #[serde(default)]
            pub(crate) columns: Vec<String>,
            /// The column types: `"infer"` examines the first 10,000 rows, `"string"` reads every
            /// cell as text, and a table such as `{ Volume = "float" }` declares some columns and
            /// infers the others. Types are `"integer"` (also `+5` and `5.0`), `"float"` (also `.5`, `5.` and `+5`),
            /// `"boolean"` (true/false, yes/no, t/f, y/n and 1/0 in any case), `"string"`, `"date"`, which is
            /// written as `2024-01-31`, and `"timestamp"`, written in UTC as `2024-01-31 16:00:00.000`. Dates
            /// and timestamps are read in the forms of ISO 8601, where a date takes no time of day but
            /// midnight, or as `parse` says: `{ Date = { type = "date", parse = "%d/%m/%Y" } }`, with a
            /// strftime pattern, `"rfc3339"`, `"epoch"` or `"epoch_ms"`.
            #[serde(default)]
            #[schemars(schema_with = "crate::shared::csv::types_schema", extend("default" = "infer"))]
            pub(crate) types: $crate::shared::csv::Types,
            /// Cells that become `null`, except in columns that are declared as `"string"`. They are compared as text: `"-999"`
            /// is not `-999.0`.
            #[serde(default = "crate::shared::csv::default_null_values")]
            pub(crate) null_values: Vec<String>,
            /// How many lines at the beginning of each file or response are ignored, such as titles before the header.
            #[serde(default)]
            pub(crate) skip_lines: u64,
            /// Lines that begin with this text, such as `"#"`, are ignored, before the header and after it.
            #[serde(default)]
            pub(crate) comment: Option<$crate::shared::csv::Comment>,
            /// The character around cells that contain delimiters or line ends; `""` switches quoting off.
            #[serde(default)]
            #[schemars(extend("default" = "\""))]
            pub(crate) quote: $crate::shared::csv::Quote,
            /// The character before a quote that is part of a cell, such as `"\\"`. It also escapes itself,
            /// delimiters and line ends; before other characters it has no meaning. A doubled quote is
            /// part of the cell in any case.
            #[serde(default)]
            pub(crate) escape: Option<$crate::shared::csv::Escape>,
            /// The character before the fraction of a number, such as `","`.
            #[serde(default)]
            #[schemars(extend("default" = "."))]
            pub(crate) decimal: $crate::shared::csv::NumberSeparator,
            /// The character between groups of digits, such as `"."` in `1.234.567` and `","` in
            /// `79,54,34,488`; `" "` also stands for no-break spaces. A text with groups of other sizes
            /// is not a number.
            #[serde(default)]
            pub(crate) thousands: Option<$crate::shared::csv::NumberSeparator>,
            /// Whether blanks at both ends of names and cells are removed, inside quotes as well: spaces, tabs,
            /// and spaces that do not break.
            #[serde(default)]
            pub(crate) trim: bool,
            $(#[$encoding])*
            #[serde(default)]
            pub(crate) encoding: $encoding_type,
            /// What happens to a row with more cells than there are columns: `"reject"` (default), or `"drop"`,
            /// which ignores the cells after the last column. With `"drop"` a delimiter at the end of the header
            /// names no column.
            #[serde(default)]
            pub(crate) extra_cells: $crate::shared::csv::ExtraCells,
            /// What happens to a row with fewer cells than there are columns: `"reject"` (default), or `"null"`,
            /// which adds nulls.
            #[serde(default)]
            pub(crate) missing_cells: $crate::shared::csv::MissingCells,
            $($after)*
        }
    };
}
pub(crate) use with_dialect_options;

with_dialect_options! {
    /// How the rows are written.
    #[derive(Debug)]
    pub(crate) struct DialectOptions;
    before {}
    /// The encoding of the text, whatever the server declares: a label of the WHATWG encoding standard such as
    /// `"windows-1252"`, or `"auto"` for UTF-8. A byte order mark takes precedence. Default: what the server
    /// declares, else UTF-8. Bytes that are not valid in it reject their row.
    encoding: Option<TextEncoding>;
    after {}
}

pub(crate) fn default_null_values() -> Vec<String> {
    vec![String::new()]
}

impl DialectOptions {
    /// The dialect. Errors name an option with `prefix` before it, such as `csv.`.
    pub(crate) fn dialect(self, prefix: &'static str) -> Result<Dialect> {
        let error = |option: &str, message: String| OptionError::new(format!("{prefix}{option}"), message);
        let delimiter = self.delimiter.0;
        if !self.header && self.columns.is_empty() {
            let message = "files without a header need the names of their columns: columns = [\"Index\", …]";
            return Err(error("header", message.into()));
        }
        if let Some(duplicate) = duplicate(&self.columns) {
            return Err(error("columns", format!("duplicate column `{duplicate}`")));
        }
        if !self.columns.is_empty()
            && let Some(unknown) = self.types.declared().iter().find(|it| !self.columns.contains(&it.name))
        {
            let message = format!(
                "declares column `{}`, but `columns` has only {}",
                unknown.name,
                self.columns.join(", ")
            );
            return Err(error("types", message));
        }
        if let Some((option, message)) = self.contradiction() {
            return Err(error(option, message));
        }
        let comment = self.comment.map(|comment| comment.0);
        let thousands = self.thousands.map(|mark| mark.0);
        let escape = self.escape.map(|escape| escape.0);
        Ok(Dialect {
            grammar: Grammar::new(delimiter, self.quote.0, escape, comment, self.trim),
            skip_lines: self.skip_lines,
            has_header: self.header,
            columns: self.columns,
            null_values: self.null_values.into_iter().map(Into::into).collect(),
            types: self.types,
            numbers: NumberFormat { decimal: self.decimal.0, thousands },
            drops_extra_cells: self.extra_cells == ExtraCells::Drop,
            fills_missing_cells: self.missing_cells == MissingCells::Null,
            encoding: self.encoding.unwrap_or_default().name(),
            prefix,
        })
    }
}

impl DialectOptions {
    /// Two options that give one character two meanings.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let (delimiter, quote) = (self.delimiter.0, self.quote.0);
        // An escape that is also the quote is a doubled quote.
        let escape = self.escape.as_ref().map(|it| it.0).filter(|&escape| Some(escape) != quote);
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        for (option, character) in [("quote", quote), ("escape", escape)] {
            match character {
                Some(byte) if byte == delimiter => return Some((option, "it is the delimiter".into())),
                Some(byte) if self.trim && is_blank(byte) => {
                    return Some((option, "it is a blank, and `trim` removes blanks".into()));
                }
                _ => {}
            }
        }
        let comment = self.comment.as_ref().map_or("", |comment| &*comment.0);
        if let Some(&first) = comment.as_bytes().first() {
            let others = [(Some(delimiter), "delimiter"), (quote, "quote"), (escape, "escape character")];
            if let Some((_, name)) = others.into_iter().find(|&(other, _)| other == Some(first)) {
                let message = format!(
                    "it begins with the {name}, so that rows whose first cell begins in this way would be ignored"
                );
                return Some(("comment", message));
            }
            if self.trim && is_blank(first) {
                return Some(("comment", "it begins with a blank, and `trim` removes blanks".into()));
            }
        }
        let decimal = self.decimal.0;
        let thousands = self.thousands.map(|mark| mark.0);
        if thousands == Some(decimal) {
            return Some(("thousands", format!("`{decimal}` is the decimal mark (`decimal`)")));
        }
        for (option, mark) in [("decimal", Some(decimal)), ("thousands", thousands)] {
            if mark.is_some() && mark == escape.map(char::from) {
                return Some((option, "it is the escape character (`escape`)".into()));
            }
        }
        (Some(decimal) == quote.map(char::from)).then(|| ("decimal", "it is the quote (`quote`)".into()))
    }
}

/// What happens to a row with more cells than there are columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum ExtraCells {
    /// The row is rejected.
    #[default]
    Reject,
    /// The cells after the last column are ignored.
    Drop,
}

/// What happens to a row with fewer cells than there are columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum MissingCells {
    /// The row is rejected.
    #[default]
    Reject,
    /// The missing cells are null.
    Null,
}

/// The first name that occurs twice.
fn duplicate(names: &[String]) -> Option<&str> {
    let mut known = HashSet::with_capacity(names.len());
    names.iter().map(String::as_str).find(|name| !known.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: &str) -> String {
        match toml_like(options) {
            Ok(options) => options.dialect("csv.").unwrap_err().to_string(),
            Err(error) => error,
        }
    }

    fn toml_like(json: &str) -> Result<DialectOptions, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn characters_that_contradict_each_other_are_refused() {
        for (options, message) in [
            (r#"{ "decimal": ",", "thousands": "," }"#, "`csv.thousands`: `,` is the decimal mark"),
            (r#"{ "thousands": "." }"#, "`csv.thousands`: `.` is the decimal mark"),
            (r#"{ "delimiter": "'", "quote": "'" }"#, "`csv.quote`: it is the delimiter"),
            (r#"{ "delimiter": "|", "escape": "|" }"#, "`csv.escape`: it is the delimiter"),
            (r#"{ "delimiter": "|", "comment": "||" }"#, "`csv.comment`: it begins with the delimiter"),
            (r#"{ "comment": "\"" }"#, "`csv.comment`: it begins with the quote"),
            (r#"{ "quote": "'", "comment": "'#" }"#, "`csv.comment`: it begins with the quote"),
            (r#"{ "escape": "\\", "comment": "\\" }"#, "`csv.comment`: it begins with the escape character"),
            (r#"{ "trim": true, "comment": " #" }"#, "`csv.comment`: it begins with a blank"),
            (r#"{ "trim": true, "quote": " " }"#, "`csv.quote`: it is a blank"),
            (r#"{ "trim": true, "escape": "\t" }"#, "`csv.escape`: it is a blank"),
            (r#"{ "decimal": "\"" }"#, "`csv.decimal`: it is the quote"),
            (r#"{ "escape": "'", "thousands": "'" }"#, "`csv.thousands`: it is the escape character"),
            (r#"{ "escape": "\\", "decimal": "\\" }"#, "`csv.decimal`: it is the escape character"),
            (r#"{ "comment": "\n" }"#, "it must be the text that a comment line begins with"),
            (r#"{ "quote": "\n" }"#, "a line end cannot have this meaning"),
            (r#"{ "header": false }"#, "`csv.header`: files without a header need the names"),
            (r#"{ "columns": ["a", "a"] }"#, "`csv.columns`: duplicate column `a`"),
            (r#"{ "columns": ["a"], "types": { "b": "date" } }"#, "`csv.types`: declares column `b`"),
            (r#"{ "quote": "''" }"#, "`''` is not one ASCII character"),
            (r#"{ "decimal": "5" }"#, "`5` is not one character such as"),
            (r#"{ "comment": "" }"#, "it must be the text that a comment line begins with"),
            (
                r#"{ "types": { "n": { "type": "float", "parse": "%d" } } }"#,
                "`parse` is for dates and timestamps",
            ),
            (r#"{ "types": { "n": { "type": "date", "parse": "day" } } }"#, "`day` is not"),
        ] {
            let error = error(options);
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn characters_with_one_meaning_each_are_accepted() {
        for options in [
            r#"{ "decimal": ",", "thousands": "." }"#,
            r#"{ "thousands": "," }"#,
            r#"{ "quote": "", "comment": "\"" }"#,
            r#"{ "quote": "'", "thousands": "'" }"#,
            r#"{ "escape": "\"" }"#,
            r#"{ "delimiter": " ", "trim": true }"#,
            r#"{ "delimiter": "\t", "trim": true, "comment": "--" }"#,
        ] {
            assert!(toml_like(options).unwrap().dialect("").is_ok(), "{options}");
        }
    }

    #[test]
    fn default_options_give_the_plain_dialect() {
        let dialect = toml_like("{}").unwrap().dialect("").unwrap();
        assert!(dialect.grammar.is_plain() && dialect.numbers.is_plain());
        assert_eq!(format!("{dialect:?}"), format!("{:?}", Dialect::default()));
    }
}
