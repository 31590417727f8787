//! The columns of the files: their names from the headers or the options, their types inferred once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use runner_core::{ColumnType, Name};
use serde_json::{Map, Value};

use super::super::files::display_path;
use super::super::position::CsvPosition;
use super::super::settings::Settings;
use super::header::FileWithHeader;
use crate::shared::csv::{RowLayout, Types, type_name, unknown_column};

/// All columns of the files, in the order in which they were found.
pub(crate) struct Columns {
    pub(super) all: Vec<(String, ColumnType)>,
    pub(super) index: HashMap<String, usize>,
    /// The layout of the last file; most files have the same.
    layout: Option<LastLayout>,
}

struct LastLayout {
    names: Vec<String>,
    n_columns: usize,
    is_underlined: bool,
    layout: Arc<RowLayout>,
}

impl Columns {
    pub(crate) fn new(all: Vec<(String, ColumnType)>) -> Self {
        let index = all.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        Columns { all, index, layout: None }
    }

    /// How many columns there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many columns there are up to the last one of a file with these names.
    pub(crate) fn n_up_to(&self, names: &[String]) -> usize {
        names.iter().filter_map(|name| self.index.get(name)).max().map_or(0, |last| last + 1)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.all.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The types as a position stores them.
    pub(crate) fn as_json(&self, types: &Types) -> Map<String, Value> {
        let kind = |name: &str, inferred| types.of(name).map_or(inferred, |declared| declared.column_type());
        self.all
            .iter()
            .map(|(name, inferred)| (name.clone(), type_name(kind(name, *inferred)).into()))
            .collect()
    }

    /// Fails if a file has other columns than the first one, or none of them where columns may be added.
    pub(crate) fn check(
        &self,
        names: &[String],
        source: Name,
        first: &str,
        settings: &Settings,
    ) -> Result<()> {
        let is_same = names.len() == self.all.len() && names.iter().all(|name| self.index.contains_key(name));
        if is_same {
            return Ok(());
        }
        if settings.adds_columns {
            ensure!(
                self.all.is_empty() || names.iter().any(|name| self.index.contains_key(name)),
                "{source} has none of the columns of {}: it may have another delimiter, or be an error message instead of the \
                 file; write it again, or read it with a separate source",
                display_path(first)
            );
            return Ok(());
        }
        let mut expected = self.all.iter().map(|(name, _)| name.as_str());
        let mut names = names.iter().map(String::as_str);
        for number in 1.. {
            let (name, expected) = (names.next(), expected.next());
            let show = |name: Option<&str>| {
                name.map_or("missing".to_owned(), |name| format!("`{}`", name.escape_debug()))
            };
            ensure!(
                name == expected,
                "{source} has a different header than {}: column {number} is {} here and {} there; set new_columns = \
                 \"add\" to read files with other columns together, or read them with a separate source",
                display_path(first),
                show(name),
                show(expected),
            );
            if name.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The layout of a file with this header; its rows have the first `n_columns` of all columns.
    pub(crate) fn layout(
        &mut self,
        opened: &FileWithHeader,
        n_columns: usize,
        settings: &Settings,
    ) -> Arc<RowLayout> {
        let header = &opened.header;
        if let Some(last) = &self.layout
            && last.names == header.names
            && (last.n_columns, last.is_underlined) == (n_columns, header.is_underlined)
        {
            return Arc::clone(&last.layout);
        }
        let column_of = header.names.iter().filter_map(|name| self.index.get(name).copied());
        let column_of: Vec<usize> = column_of.collect();
        let columns = self.all.iter().take(n_columns).cloned();
        let layout = Arc::new(RowLayout::new(columns, Some(&column_of), header, &settings.dialect));
        self.layout = Some(LastLayout {
            names: header.names.clone(),
            n_columns,
            is_underlined: header.is_underlined,
            layout: Arc::clone(&layout),
        });
        layout
    }
}

/// The columns with inferred types, as the log shows them. A column without any value is text.
pub(crate) fn inferred(columns: &[(String, Option<ColumnType>)], types: &Types) -> Vec<String> {
    let inferred = columns.iter().filter(|(name, _)| types.of(name).is_none());
    let shown = |(name, kind): &(String, Option<ColumnType>)| match kind {
        Some(kind) => format!("{name} {}", type_name(*kind)),
        None => format!("{name} {} (it has no value in them)", type_name(ColumnType::String)),
    };
    inferred.map(shown).collect()
}

/// Fails if the options declare a column that the files do not have.
pub(crate) fn check_declared(settings: &Settings, names: &[String], name: Name) -> Result<()> {
    if let Some(column) = unknown_column(&settings.dialect, names) {
        bail!(
            "`types` declares column `{column}`, but {name} has no such column; it has {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// The columns of a saved position.
pub(crate) fn from_position(saved: &CsvPosition, settings: &Settings) -> Result<Columns> {
    const DAMAGED: &str = "the checkpoint is damaged; start over with `--from-start`";
    let columns = saved.columns().context(DAMAGED)?;
    let names: HashSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(names.len() == columns.len(), DAMAGED);
    let given = &settings.dialect.columns;
    ensure!(
        given.is_empty() || columns.iter().map(|(name, _)| name).eq(given),
        "`columns` has changed since the first run; restore it, or read everything again with `--from-start`"
    );
    let columns = Columns::new(columns);
    if !settings.adds_columns {
        check_declared(settings, &columns.names(), display_path(&saved.files[saved.file].path))?;
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferred_types_exclude_declared_columns() {
        let columns = [("a".to_owned(), Some(ColumnType::Integer)), ("b".to_owned(), None)];
        assert_eq!(inferred(&columns, &Types::Infer), ["a integer", "b string (it has no value in them)"]);
        let declared: Types = serde_json::from_str(r#"{ "a": "string" }"#).unwrap();
        assert_eq!(inferred(&columns, &declared), ["b string (it has no value in them)"]);
        assert_eq!(inferred(&columns, &Types::String), [""; 0]);
    }
}
