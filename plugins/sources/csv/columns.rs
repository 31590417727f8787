//! The columns of the files: their names from the headers or the options, their types inferred once.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use runner_core::{ColumnType, Name};
use serde_json::{Map, Value};
use tracing::{info, warn};

use super::files::display_path;
use super::header::{Opened, open_after_header};
use super::position::{CsvPosition, Cursor};
use super::settings::Settings;
use crate::shared::csv::{
    Inference, Next, RowLayout, Types, likely_delimiter, name_of, next_row, unknown_column, unnamed_column,
    wider_rows,
};

/// How many rows are examined where no types are inferred from them.
const FEW: usize = 100;

/// How far ahead of the first row standard input is examined, in bytes.
const MAX_AHEAD: usize = 4 << 20;

/// How long that waits for more rows.
const SAMPLE_WAIT: Duration = Duration::from_millis(300);

/// All columns of the files, in the order in which they were found.
pub(super) struct Columns {
    all: Vec<(String, ColumnType)>,
    index: HashMap<String, usize>,
    /// The layout of the last file; most files have the same.
    layout: Option<(Vec<String>, usize, Arc<RowLayout>)>,
}

impl Columns {
    pub(super) fn new(all: Vec<(String, ColumnType)>) -> Self {
        let index = all.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        Columns { all, index, layout: None }
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many columns there are up to the last one of a file with these names.
    pub(super) fn n_up_to(&self, names: &[String]) -> usize {
        names.iter().filter_map(|name| self.index.get(name)).max().map_or(0, |last| last + 1)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The types as a position stores them.
    pub(super) fn as_json(&self, types: &Types) -> Map<String, Value> {
        let kind = |name: &str, inferred| types.of(name).map_or(inferred, |declared| declared.column_type());
        self.all
            .iter()
            .map(|(name, inferred)| (name.clone(), name_of(kind(name, *inferred)).into()))
            .collect()
    }

    /// Adds the columns of a file that no file before it has, with the types of its first rows.
    pub(super) fn add_new(&mut self, opened: &Opened, settings: &Settings) -> Result<()> {
        if opened.names.iter().all(|name| self.index.contains_key(name)) {
            return Ok(());
        }
        let Some(own) = open_after_header(&opened.input.cursor().path, settings)? else { return Ok(()) };
        let mut sample = Sample::new(settings);
        sample.read(own)?;
        let mut added = Vec::new();
        for (name, kind) in sample.finish() {
            if !self.index.contains_key(&name) {
                self.index.insert(name.clone(), self.all.len());
                added.push(format!("{name} {}", name_of(kind)));
                self.all.push((name, kind));
            }
        }
        let component = &settings.context.component;
        info!(component, "{} adds columns: {}", opened.input.name, added.join(", "));
        Ok(())
    }

    /// Fails if a file has other columns than the first one, unless they may be added.
    pub(super) fn check(
        &self,
        names: &[String],
        source: Name,
        first: &str,
        settings: &Settings,
    ) -> Result<()> {
        let is_same = names.len() == self.all.len() && names.iter().all(|name| self.index.contains_key(name));
        if is_same || settings.adds_columns {
            return Ok(());
        }
        let mut expected = self.all.iter().map(|(name, _)| name.as_str());
        let mut names = names.iter().map(String::as_str);
        for number in 1.. {
            let (name, expected) = (names.next(), expected.next());
            let show = |name: Option<&str>| name.map_or("missing".to_owned(), |name| format!("`{name}`"));
            ensure!(
                name == expected,
                "{source} has a different header than {}: column {number} is {} here and {} there; set new_columns = \
                 \"add\" to read files with other columns together, or read them with a separate source",
                display_path(Path::new(first)),
                show(name),
                show(expected),
            );
            if name.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The layout of a file with these names; its rows have the first `n_columns` of all columns.
    pub(super) fn layout(
        &mut self,
        names: &[String],
        n_columns: usize,
        settings: &Settings,
    ) -> Arc<RowLayout> {
        if let Some((of, n_known, layout)) = &self.layout
            && of == names
            && *n_known == n_columns
        {
            return Arc::clone(layout);
        }
        let column_of: Vec<usize> = names.iter().filter_map(|name| self.index.get(name).copied()).collect();
        let columns = self.all.iter().take(n_columns).cloned();
        let layout = Arc::new(RowLayout::with_order(columns, Some(&column_of), &settings.dialect));
        self.layout = Some((names.to_vec(), n_columns, Arc::clone(&layout)));
        layout
    }
}

/// Infers the column types from the first rows, of as many files as needed. `None` if no file has rows yet, because
/// others may still be writing them.
pub(super) fn infer(settings: &Settings, files: &[Cursor]) -> Result<Option<Columns>> {
    let mut sample = Sample::new(settings);
    for file in files {
        let Some(opened) = open_after_header(&file.path, settings)? else { continue };
        let is_first = sample.names.is_empty();
        let (name, line) = (opened.input.name, opened.line);
        if is_first {
            warn_about(&opened, settings);
            if !settings.adds_columns {
                check_declared(settings, &opened.names, name)?;
            }
        } else if !settings.adds_columns {
            let columns = sample.names.iter().map(|name| (name.clone(), ColumnType::String)).collect();
            Columns::new(columns).check(&opened.names, name, &files[0].path, settings)?;
        }
        sample.read(opened)?;
        if is_first {
            sample.check_width(name, line)?;
        }
        if sample.is_complete() {
            break;
        }
    }
    let n_rows = sample.inference.n_rows();
    if sample.names.is_empty() || n_rows == 0 && settings.read_as.follow {
        return Ok(None);
    }
    Ok(Some(sample.into_columns()))
}

/// Infers the column types from the first rows of standard input, as many as come soon.
pub(super) fn infer_from_stream(settings: &Settings, opened: &mut Opened) -> Result<Columns> {
    warn_about(opened, settings);
    check_declared(settings, &opened.names, opened.input.name)?;
    let mut sample = Sample::new(settings);
    sample.look_ahead(opened)?;
    sample.check_width(opened.input.name, opened.line)?;
    Ok(sample.into_columns())
}

/// Says what is unusual about the first file.
fn warn_about(opened: &Opened, settings: &Settings) {
    let (component, name) = (&settings.context.component, opened.input.name);
    if settings.dialect.has_header && settings.dialect.columns.is_empty() {
        let delimiter = settings.dialect.grammar.delimiter;
        for warning in [unnamed_column(&opened.names), likely_delimiter(&opened.names, delimiter)] {
            warning.inspect(|warning| warn!(component, "{name}: {warning}"));
        }
    }
    if opened.has_rule {
        let line = opened.input.line() - 1;
        info!(component, "{name}:{line}: the line of dashes under the header is not a row and was skipped");
    }
}

/// The rows from which types are inferred.
struct Sample<'a> {
    settings: &'a Settings,
    names: Vec<String>,
    index: HashMap<String, usize>,
    inference: Inference,
}

impl<'a> Sample<'a> {
    fn new(settings: &'a Settings) -> Self {
        Sample { settings, names: Vec::new(), index: HashMap::new(), inference: Inference::new(0) }
    }

    fn is_complete(&self) -> bool {
        let is_inferred = !matches!(self.settings.dialect.types, Types::String);
        self.inference.is_complete() || !is_inferred && self.inference.n_rows() >= FEW
    }

    /// The indices of the columns of a file.
    fn columns_of(&mut self, names: &[String]) -> Vec<usize> {
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let next = self.names.len();
            let column = *self.index.entry(name.clone()).or_insert(next);
            if column == next {
                self.names.push(name.clone());
            }
            columns.push(column);
        }
        self.inference.add_columns(self.names.len() - self.inference.n_columns());
        columns
    }

    /// Adds rows of standard input, which stay to be read.
    fn look_ahead(&mut self, opened: &mut Opened) -> Result<()> {
        let columns = self.columns_of(&opened.names);
        let dialect = &self.settings.dialect;
        let (input, mut at) = (&mut opened.input, 0);
        while !self.is_complete() && at < MAX_AHEAD {
            let window = &input.window()[at..];
            match next_row(window, &dialect.grammar, input.is_at_end()) {
                Next::NeedMore => {
                    let wait = (self.inference.n_rows() > 0).then_some(SAMPLE_WAIT);
                    if !input.fill_within(wait)? {
                        break;
                    }
                }
                Next::Row(span) => {
                    if span.content > 0 {
                        self.inference.observe(&window[..span.content], span.quoted, &columns, dialect);
                    }
                    at += span.len;
                }
                Next::BadQuotes(span, _) => at += span.len,
                Next::End => break,
            }
        }
        Ok(())
    }

    /// Fails if most rows have more cells than the header on `line`, which then is most likely another line.
    fn check_width(&self, name: Name, line: u64) -> Result<()> {
        let Settings { dialect, context, .. } = self.settings;
        if let Some(width) = self.inference.width_above_header() {
            let message = wider_rows(&self.names, width, line);
            if dialect.has_header && !dialect.drops_extra_cells {
                bail!("{name}:{line}: {message}");
            }
            let component = &context.component;
            warn!(component, "{name}:{line}: {message}");
        }
        Ok(())
    }

    /// Adds rows of a file until the sample is complete.
    fn read(&mut self, opened: Opened) -> Result<()> {
        let columns = self.columns_of(&opened.names);
        let dialect = &self.settings.dialect;
        let mut input = opened.input;
        while !self.is_complete() {
            let window = input.window();
            let span = match next_row(window, &dialect.grammar, input.is_at_end()) {
                Next::NeedMore => {
                    input.fill()?;
                    continue;
                }
                Next::Row(span) => {
                    if !span.is_closed && input.may_grow() {
                        break;
                    }
                    if span.content > 0 {
                        self.inference.observe(&window[..span.content], span.quoted, &columns, dialect);
                    }
                    span
                }
                Next::BadQuotes(span, _) => span,
                Next::End => break,
            };
            input.advance(span.len, span.n_lines);
        }
        Ok(())
    }

    /// The columns, which the log shows.
    fn into_columns(self) -> Columns {
        let (settings, n_rows) = (self.settings, self.inference.n_rows());
        let columns = self.finish();
        let inferred = inferred(&columns, &settings.dialect.types);
        if n_rows > 0 && !inferred.is_empty() {
            let component = &settings.context.component;
            info!(component, "types inferred from the first {n_rows} rows: {}", inferred.join(", "));
        }
        Columns::new(columns)
    }

    fn finish(self) -> Vec<(String, ColumnType)> {
        self.names.into_iter().zip(self.inference.finish()).collect()
    }
}

/// The columns with inferred types.
fn inferred(columns: &[(String, ColumnType)], types: &Types) -> Vec<String> {
    let inferred = columns.iter().filter(|(name, _)| types.of(name).is_none());
    inferred.map(|(name, kind)| format!("{name} {}", name_of(*kind))).collect()
}

/// Fails if the options declare a column that the files do not have.
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
pub(super) fn from_position(saved: &CsvPosition, settings: &Settings) -> Result<Columns> {
    let columns = saved.columns().context("the checkpoint is damaged; start over with `--from-start`")?;
    let names: HashSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let dialect = &settings.dialect;
    let is_same_format = saved.delimiter == char::from(dialect.grammar.delimiter)
        && saved.header == dialect.has_header
        && saved.format == settings.format()
        && (dialect.columns.is_empty() || columns.iter().map(|(name, _)| name).eq(&dialect.columns));
    ensure!(
        is_same_format && names.len() == columns.len(),
        "`delimiter`, `header` or `columns` have changed since the first run, or another option that decides where \
         rows begin (`quote`, `escape`, `comment`, `trim`, `skip_lines`, `encoding`); restore them, or read everything \
         again with `--from-start`"
    );
    let columns = Columns::new(columns);
    if !settings.adds_columns {
        check_declared(settings, &columns.names(), display_path(Path::new(&saved.files[saved.file].path)))?;
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferred_types_exclude_declared_columns() {
        let columns = [("a".to_owned(), ColumnType::Integer), ("b".to_owned(), ColumnType::Float)];
        assert_eq!(inferred(&columns, &Types::Infer), ["a integer", "b float"]);
        let declared: Types = serde_json::from_str(r#"{ "a": "string" }"#).unwrap();
        assert_eq!(inferred(&columns, &declared), ["b float"]);
        assert_eq!(inferred(&columns, &Types::String), [""; 0]);
    }
}
