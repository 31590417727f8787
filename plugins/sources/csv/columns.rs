//! The columns of the files: named by header or options, typed once and then pinned.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use runner_core::{ColumnType, Name, TableHeader};
use serde_json::{Map, Value};
use tracing::{info, warn};

use super::files::shown;
use super::input::Input;
use super::position::{Cursor, Saved};
use super::reader::Settings;
use crate::shared::csv::{
    BYTE_ORDER_MARK, Inference, Next, Place, Types, column_names, name_of, nameless, next_row,
    other_delimiter, undeclared,
};

/// Opens a file and reads what stands before its first row; the names are those of its columns.
pub(super) fn begin(path: &str, settings: &Settings) -> Result<(Input, Vec<String>)> {
    let mut input = Input::open(path, shown(Path::new(path)), settings.compression)?;
    if input.window().starts_with(BYTE_ORDER_MARK) {
        input.pass(BYTE_ORDER_MARK.len(), 0);
    }
    if !settings.header {
        return Ok((input, settings.columns.clone()));
    }
    loop {
        let (stream, line) = (input.shown, input.line());
        let (place, window) = (Place { stream, line }, input.window());
        let span = match next_row(window, settings.dialect.delimiter, input.is_at_end()) {
            Next::More => {
                input.fill()?;
                continue;
            }
            Next::End => bail!(
                "{stream} is empty, and a header row was expected; for files without one set \
                 `header = false` and name the `columns`"
            ),
            Next::Misquoted(_, slip) => return Err(place.misquoted(window, slip)),
            Next::Row(span) => span,
        };
        let row = &window[..span.content];
        let names = column_names(row, span.quoted, &settings.dialect);
        let names = names.map_err(|fault| place.error(row, &fault))?;
        input.pass(span.len, span.n_lines);
        if span.content > 0 {
            return Ok((input, names));
        }
    }
}

/// Settles the types of the columns over the first rows, of as many files as it takes.
pub(super) fn settle(settings: &Settings, files: &[Cursor]) -> Result<Vec<(String, ColumnType)>> {
    let (first, names) = begin(&files[0].path, settings)?;
    let component = &settings.context.component;
    if settings.header {
        // Told when a file is read for the first time, and no other time.
        for doubt in [nameless(&names), other_delimiter(&names, settings.dialect.delimiter)] {
            doubt.inspect(|doubt| warn!(component, "{}: {doubt}", first.shown));
        }
    }
    check_declared(settings, &names, first.shown)?;
    let mut inference = Inference::new(names.len());
    let mut input = Some(first);
    for file in files {
        let mut input = match input.take() {
            Some(first) => first,
            None => begin(&file.path, settings)?.0,
        };
        while !inference.is_settled() && settings.dialect.types != Types::String {
            let window = input.window();
            let span = match next_row(window, settings.dialect.delimiter, input.is_at_end()) {
                Next::More => {
                    input.fill()?;
                    continue;
                }
                Next::Row(span) => {
                    if span.content > 0 {
                        inference.see_row(&window[..span.content], span.quoted, &settings.dialect);
                    }
                    span
                }
                Next::Misquoted(span, _) => span,
                Next::End => break,
            };
            input.pass(span.len, span.n_lines);
        }
        if inference.is_settled() {
            break;
        }
    }
    let n_rows = inference.n_rows();
    let columns: Vec<_> = names.into_iter().zip(inference.settle()).collect();
    let inferred = inferred(&columns, &settings.dialect.types);
    if n_rows > 0 && !inferred.is_empty() {
        info!(component, "types settled over the first {n_rows} rows: {}", inferred.join(", "));
    }
    Ok(columns)
}

/// The columns whose types nobody has declared, with these.
fn inferred(columns: &[(String, ColumnType)], types: &Types) -> Vec<String> {
    let inferred = columns.iter().filter(|(name, _)| types.of(name).is_none());
    inferred.map(|(name, kind)| format!("{name} {}", name_of(*kind))).collect()
}

fn check_declared(settings: &Settings, names: &[String], stream: Name) -> Result<()> {
    if let Some(column) = undeclared(&settings.dialect, names) {
        bail!("`types` declares a column `{column}`, and {stream} has none; it has {}", names.join(", "));
    }
    Ok(())
}

/// The columns as an earlier run has settled them.
pub(super) fn pinned(saved: &Saved, settings: &Settings) -> Result<Vec<(String, ColumnType)>> {
    let columns = saved.columns().context("the checkpoint is damaged; start over with `--from-start`")?;
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let is_read_alike = saved.delimiter == char::from(settings.dialect.delimiter)
        && saved.header == settings.header
        && (settings.header || names == settings.columns);
    ensure!(
        is_read_alike,
        "`delimiter`, `header` or `columns` are not what they were when reading began; put them back, or \
         read everything again with `--from-start`"
    );
    check_declared(settings, &names, shown(Path::new(&saved.files[saved.file].path)))?;
    Ok(columns)
}

/// The types as a position keeps them.
pub(super) fn types_of(header: &TableHeader) -> Map<String, Value> {
    header.columns().iter().map(|column| (column.name.to_string(), name_of(column.kind).into())).collect()
}

/// Refuses a file whose header is another one than that of the first file.
pub(super) fn compare(names: &[String], header: &TableHeader, stream: Name, first: &str) -> Result<()> {
    let mut expected = header.columns().iter().map(|column| &*column.name);
    let mut names = names.iter().map(String::as_str);
    for number in 1.. {
        let (name, expected) = (names.next(), expected.next());
        if name == expected && name.is_none() {
            break;
        }
        let say = |name: Option<&str>| name.map_or("missing".to_owned(), |name| format!("`{name}`"));
        ensure!(
            name == expected,
            "{stream} has another header than {}: column {number} is {} here and {} there; give files with \
             other columns a source of their own",
            shown(Path::new(first)),
            say(name),
            say(expected),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_were_settled_are_told() {
        let columns = [("a".to_owned(), ColumnType::Integer), ("b".to_owned(), ColumnType::Float)];
        assert_eq!(inferred(&columns, &Types::Infer), ["a integer", "b float"]);
        let declared = Types::Declared(vec![("a".to_owned(), ColumnType::String)]);
        assert_eq!(inferred(&columns, &declared), ["b float"]);
        assert_eq!(inferred(&columns, &Types::String), [""; 0]);
    }
}
