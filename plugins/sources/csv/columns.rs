//! The columns of the files: their names from the header or the options, their types inferred once.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use runner_core::{ColumnType, Name, TableHeader};
use serde_json::{Map, Value};
use tracing::{info, warn};

use super::files::display_path;
use super::input::Input;
use super::position::{CsvPosition, Cursor};
use super::reader::Settings;
use crate::shared::csv::{
    BYTE_ORDER_MARK, Inference, Next, RowLocation, Types, column_names, likely_delimiter, name_of, next_row,
    unknown_column, unnamed_column,
};

/// Opens a file and reads its header. Returns the column names.
pub(super) fn open_after_header(path: &str, settings: &Settings) -> Result<(Input, Vec<String>)> {
    let mut input = Input::open(path, display_path(Path::new(path)), settings.compression)?;
    if input.window().starts_with(BYTE_ORDER_MARK) {
        input.advance(BYTE_ORDER_MARK.len(), 0);
    }
    if !settings.header {
        return Ok((input, settings.columns.clone()));
    }
    loop {
        let (name, window) = (input.name, input.window());
        let location = RowLocation { source: name, line: input.line() };
        let span = match next_row(window, settings.dialect.delimiter, input.is_at_end()) {
            Next::NeedMore => {
                input.fill()?;
                continue;
            }
            Next::End => bail!(
                "{name} is empty, and a header row was expected; for files without one set \
                 `header = false` and name the `columns`"
            ),
            Next::BadQuotes(_, error) => return Err(location.bad_quotes(window, error)),
            Next::Row(span) => span,
        };
        let row = &window[..span.content];
        let names = column_names(row, span.quoted, &settings.dialect);
        let names = names.map_err(|error| location.error(row, &error))?;
        input.advance(span.len, span.n_lines);
        if span.content > 0 {
            return Ok((input, names));
        }
    }
}

/// Infers the column types from the first rows, of as many files as needed.
pub(super) fn infer(settings: &Settings, files: &[Cursor]) -> Result<Vec<(String, ColumnType)>> {
    let (first, names) = open_after_header(&files[0].path, settings)?;
    let component = &settings.context.component;
    if settings.header {
        // Warn only when a file is read for the first time.
        for warning in [unnamed_column(&names), likely_delimiter(&names, settings.dialect.delimiter)] {
            warning.inspect(|warning| warn!(component, "{}: {warning}", first.name));
        }
    }
    check_declared(settings, &names, first.name)?;
    let mut inference = Inference::new(names.len());
    let mut input = Some(first);
    for file in files {
        let mut input = match input.take() {
            Some(first) => first,
            None => open_after_header(&file.path, settings)?.0,
        };
        while !inference.is_complete() && settings.dialect.types != Types::String {
            let window = input.window();
            let span = match next_row(window, settings.dialect.delimiter, input.is_at_end()) {
                Next::NeedMore => {
                    input.fill()?;
                    continue;
                }
                Next::Row(span) => {
                    if span.content > 0 {
                        inference.observe(&window[..span.content], span.quoted, &settings.dialect);
                    }
                    span
                }
                Next::BadQuotes(span, _) => span,
                Next::End => break,
            };
            input.advance(span.len, span.n_lines);
        }
        if inference.is_complete() {
            break;
        }
    }
    let n_rows = inference.n_rows();
    let columns: Vec<_> = names.into_iter().zip(inference.finish()).collect();
    let inferred = inferred(&columns, &settings.dialect.types);
    if n_rows > 0 && !inferred.is_empty() {
        info!(component, "types inferred from the first {n_rows} rows: {}", inferred.join(", "));
    }
    Ok(columns)
}

/// The columns with inferred types.
fn inferred(columns: &[(String, ColumnType)], types: &Types) -> Vec<String> {
    let inferred = columns.iter().filter(|(name, _)| types.of(name).is_none());
    inferred.map(|(name, kind)| format!("{name} {}", name_of(*kind))).collect()
}

fn check_declared(settings: &Settings, names: &[String], name: Name) -> Result<()> {
    if let Some(column) = unknown_column(&settings.dialect, names) {
        bail!(
            "`types` declares column `{column}`, but {name} has no such column; it has {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// The columns of a saved position.
pub(super) fn from_position(saved: &CsvPosition, settings: &Settings) -> Result<Vec<(String, ColumnType)>> {
    let columns = saved.columns().context("the checkpoint is damaged; start over with `--from-start`")?;
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let is_same_format = saved.delimiter == char::from(settings.dialect.delimiter)
        && saved.header == settings.header
        && (settings.header || names == settings.columns);
    ensure!(
        is_same_format,
        "`delimiter`, `header` or `columns` have changed since the first run; restore them, or read everything \
         again with `--from-start`"
    );
    check_declared(settings, &names, display_path(Path::new(&saved.files[saved.file].path)))?;
    Ok(columns)
}

/// The types as a position stores them.
pub(super) fn types_as_json(header: &TableHeader) -> Map<String, Value> {
    header.columns().iter().map(|column| (column.name.to_string(), name_of(column.kind).into())).collect()
}

/// Fails if the header of a file differs from that of the first file.
pub(super) fn check_same_header(
    names: &[String],
    header: &TableHeader,
    source: Name,
    first: &str,
) -> Result<()> {
    let mut expected = header.columns().iter().map(|column| &*column.name);
    let mut names = names.iter().map(String::as_str);
    for number in 1.. {
        let (name, expected) = (names.next(), expected.next());
        if name == expected && name.is_none() {
            break;
        }
        let show = |name: Option<&str>| name.map_or("missing".to_owned(), |name| format!("`{name}`"));
        ensure!(
            name == expected,
            "{source} has a different header than {}: column {number} is {} here and {} there; read files with \
             other columns with a separate source",
            display_path(Path::new(first)),
            show(name),
            show(expected),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferred_types_exclude_declared_columns() {
        let columns = [("a".to_owned(), ColumnType::Integer), ("b".to_owned(), ColumnType::Float)];
        assert_eq!(inferred(&columns, &Types::Infer), ["a integer", "b float"]);
        let declared = Types::Declared(vec![("a".to_owned(), ColumnType::String)]);
        assert_eq!(inferred(&columns, &declared), ["b float"]);
        assert_eq!(inferred(&columns, &Types::String), [""; 0]);
    }
}
