//! Infers the types of columns: before the first row, of columns that later files add, and again when options change.

use std::collections::HashMap;

use anyhow::Result;
use runner_core::ColumnType;
use tracing::{info, warn};

use super::super::files::{display_path, is_missing};
use super::super::input::IncompleteArchive;
use super::super::position::{CsvPosition, Cursor};
use super::super::settings::Settings;
use super::header::{EmptyFile, FileWithHeader, open_with_header};
use super::known::{Columns, check_declared, inferred};
use super::sample::Sample;
use crate::shared::csv::type_name;

/// Infers the column types from the first rows, of as many files as needed. `None` if no file has rows yet, because
/// others may still be writing them.
pub(crate) fn infer(settings: &Settings, files: &[Cursor]) -> Result<Option<Columns>> {
    let mut sample = Sample::new(settings);
    let (mut empty, mut unfinished, mut is_unfinished) = (None, None, false);
    let mut known_names: Option<Vec<String>> = None;
    for file in files.iter().filter(|file| !file.is_gone) {
        let opened = match open_with_header(&file.path, settings) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                is_unfinished = true;
                unfinished.get_or_insert((display_path(&file.path), "its header has no line end"));
                continue;
            }
            Err(error) if error.is::<IncompleteArchive>() => {
                is_unfinished = true;
                unfinished.get_or_insert((display_path(&file.path), "the archive is incomplete"));
                continue;
            }
            // It was renamed since it was found.
            Err(error) if settings.follow && is_missing(&error) => {
                is_unfinished = true;
                continue;
            }
            Err(error) if error.is::<EmptyFile>() => {
                empty.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let (name, header) = (opened.input.name, opened.header.clone());
        let is_first = known_names.is_none();
        let known_names = known_names.get_or_insert_with(|| header.names.clone());
        if is_first {
            warn_about(&opened, settings);
            if !settings.adds_columns {
                check_declared(settings, &header.names, name)?;
            }
        } else {
            let columns = known_names.iter().map(|name| (name.clone(), ColumnType::String)).collect();
            Columns::new(columns).check(&header.names, name, &files[0].path, settings)?;
            let added: Vec<String> =
                header.names.iter().filter(|name| !known_names.contains(name)).cloned().collect();
            known_names.extend(added);
        }
        sample.read(opened)?;
        if is_first {
            sample.check(name, &header)?;
        }
        if sample.is_complete() {
            break;
        }
    }
    if let Some(empty) = empty.filter(|_| known_names.is_none() && !is_unfinished) {
        return Err(empty);
    }
    // Beside files that are read it is said when its turn comes.
    if let Some((name, what)) = unfinished.filter(|_| known_names.is_none() && !settings.follow) {
        warn!(
            component = settings.context.component,
            "{name}: {what}, and the file was written to within the last seconds: it is left for the next run"
        );
    }
    if known_names.is_none() || sample.inference.n_rows == 0 && settings.follow {
        return Ok(None);
    }
    sample.warn_about_columns();
    Ok(Some(columns_of(sample, settings)))
}

/// What the first rows of the files say about the types of columns, as far as the files can still be read.
fn guesses_of_files(settings: &Settings, files: &[Cursor]) -> HashMap<String, ColumnType> {
    let mut sample = Sample::new(settings);
    for file in files.iter().filter(|file| !file.is_gone) {
        // What is wrong with a file is said when its rows are read.
        if let Ok(Some(opened)) = open_with_header(&file.path, settings) {
            drop(sample.read(opened));
        }
        if sample.is_complete() {
            break;
        }
    }
    sample.inference.inferred().filter_map(|(name, kind)| Some((name, kind?))).collect()
}

/// Infers the column types from the first rows of standard input, as many as come soon.
pub(crate) fn infer_from_stream(settings: &Settings, opened: &mut FileWithHeader) -> Result<Columns> {
    warn_about(opened, settings);
    check_declared(settings, &opened.header.names, opened.input.name)?;
    let mut sample = Sample::new(settings);
    sample.look_ahead(opened)?;
    sample.check(opened.input.name, &opened.header)?;
    sample.warn_about_columns();
    Ok(columns_of(sample, settings))
}

/// Says what is unusual about the first file.
fn warn_about(opened: &FileWithHeader, settings: &Settings) {
    let (component, name) = (&settings.context.component, opened.input.name);
    for warning in opened.header.warnings(&settings.dialect) {
        warn!(component, "{name}: {warning}");
    }
    if opened.n_nuls > 0 {
        warn!(
            component,
            "{name}: {} NUL bytes at the beginning were skipped, as a file has them after a power failure, or if it was \
             truncated while a program wrote it",
            opened.n_nuls
        );
    }
    if opened.has_sep_line {
        info!(component, "{name}:1: the line that names the delimiter is not a row and was skipped");
    }
    if opened.is_fixed_width {
        warn!(
            component,
            "{name}:{}: the line of dashes shows several columns of a fixed width, and no delimiter separates them; write the \
             file with one, as `sqlcmd -s \",\" -W` does",
            opened.input.line() - 1
        );
    }
    if opened.header.is_underlined {
        let line = opened.input.line() - 1;
        info!(component, "{name}:{line}: the line of dashes under the header is not a row and was skipped");
    }
}

/// The columns of a sample, which the log shows.
fn columns_of(sample: Sample<'_>, settings: &Settings) -> Columns {
    let n_rows = sample.inference.n_valid;
    let columns: Vec<_> = sample.inference.inferred().collect();
    let inferred = inferred(&columns, &settings.dialect.types);
    if n_rows > 0 && !inferred.is_empty() {
        let component = &settings.context.component;
        info!(component, "types inferred from the first {n_rows} rows: {}", inferred.join(", "));
    }
    let or_text = |(name, kind): (String, Option<_>)| (name, kind.unwrap_or(ColumnType::String));
    Columns::new(columns.into_iter().map(or_text).collect())
}

impl Columns {
    /// Infers types anew where options have changed since the position was saved, and says so: those of all columns
    /// if cells mean something else by now, and those of columns of text if other types are declared. A type changes
    /// only if the same rows tell another one with the options of now than with those of then: the rows from which
    /// it was inferred may be gone.
    pub(crate) fn infer_again(&mut self, saved: &CsvPosition, files: &[Cursor], settings: &Settings) {
        let (Some(then), now) = (&saved.cell_options, settings.cell_options()) else { return };
        let mut options: Vec<String> = then
            .keys()
            .chain(now.keys())
            .filter(|option| then.get(*option) != now.get(*option))
            .map(|option| format!("`{option}`"))
            .collect();
        options.sort();
        options.dedup();
        let types = &settings.dialect.types;
        // Rows that were rejected may be valid by now, so a column of text may have been one without a valid row.
        let is_about_types = options == ["`types`"];
        let is_open =
            |name: &str, kind| types.of(name).is_none() && (!is_about_types || kind == ColumnType::String);
        if options.is_empty() || !self.all.iter().any(|(name, kind)| is_open(name, *kind)) {
            return;
        }
        let Some(settings_then) = settings.with_cell_options(then) else { return };
        let guesses = guesses_of_files(settings, files);
        let component = &settings.context.component;
        if guesses.is_empty() && !is_about_types {
            warn!(
                component,
                "{} changed since the last run, and no file is left from which types could be inferred again: they stay; \
                 declare columns in `types` if they should have another one",
                options.join(", ")
            );
            return;
        }
        let guesses_then = guesses_of_files(&settings_then, files);
        let mut changes = Vec::new();
        for (name, kind) in self.all.iter_mut().filter(|(name, kind)| is_open(name, *kind)) {
            let guess_then = match settings_then.dialect.types.of(name) {
                // It was declared. Only text may become narrower.
                Some(_) => Some(*kind).filter(|kind| *kind == ColumnType::String),
                // A column without any value is text.
                None => Some(guesses_then.get(name).copied().unwrap_or(ColumnType::String)),
            };
            if let Some(&guess) = guesses.get(name)
                && guess != *kind
                && guess_then != Some(guess)
                && (guess_then == Some(*kind) || is_wider(guess, *kind))
            {
                changes.push(format!("{name} {} instead of {}", type_name(guess), type_name(*kind)));
                *kind = guess;
            }
        }
        if !changes.is_empty() {
            warn!(
                component,
                "{} changed since the last run, so the types were inferred again from the first rows: {}; records that were \
                 delivered before keep their types, and `--from-start` reads everything again",
                options.join(", "),
                changes.join(", ")
            );
        }
    }

    /// Adds the columns of a file that no file before it has, with the types of its first rows.
    pub(crate) fn add_new(&mut self, opened: &FileWithHeader, settings: &Settings) -> Result<()> {
        if opened.header.names.iter().all(|name| self.index.contains_key(name)) {
            return Ok(());
        }
        let Some(own) = open_with_header(&opened.input.cursor.path, settings)? else { return Ok(()) };
        let mut sample = Sample::new(settings);
        sample.read(own)?;
        let mut added = Vec::new();
        for (name, kind) in sample.inference.finish() {
            if !self.index.contains_key(&name) {
                self.index.insert(name.clone(), self.all.len());
                added.push(format!("{name} {}", type_name(kind)));
                self.all.push((name, kind));
            }
        }
        let component = &settings.context.component;
        info!(component, "{} adds columns: {}", opened.input.name, added.join(", "));
        Ok(())
    }
}

/// Whether a type accepts all values of another one.
fn is_wider(kind: ColumnType, other: ColumnType) -> bool {
    matches!((kind, other), (ColumnType::String, _) | (ColumnType::Float, ColumnType::Integer))
}
