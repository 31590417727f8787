//! The first rows of the files, from which column types are inferred.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use runner_core::{ColumnType, Name};
use tracing::{info, warn};

use super::columns::{Columns, check_declared, inferred};
use super::files::display_path;
use super::header::{EmptyFile, Opened, open_after_header};
use super::incomplete::{IncompleteArchive, is_missing};
use super::position::Cursor;
use super::settings::Settings;
use crate::shared::csv::TextEncoding;
use crate::shared::csv::{Header, Inference, Next, QuoteError, Types, next_row, wider_rows};

/// How many rows are examined where no types are inferred from them.
const FEW: usize = 100;

/// How far ahead of the first row standard input is examined, in bytes.
const MAX_AHEAD: usize = 4 << 20;

/// How long that waits for more rows.
const SAMPLE_WAIT: Duration = Duration::from_millis(300);

/// Infers the column types from the first rows, of as many files as needed. `None` if no file has rows yet, because
/// others may still be writing them.
pub(super) fn infer(settings: &Settings, files: &[Cursor]) -> Result<Option<Columns>> {
    let mut sample = Sample::new(settings);
    let (mut empty, mut archive, mut is_held) = (None, None, false);
    for file in files.iter().filter(|file| !file.is_gone) {
        let opened = match open_after_header(&file.path, settings) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                is_held = true;
                continue;
            }
            Err(error) if error.is::<IncompleteArchive>() => {
                is_held = true;
                archive.get_or_insert_with(|| display_path(Path::new(&file.path)));
                continue;
            }
            // It was renamed since it was found.
            Err(error) if settings.read_as.follow && is_missing(&error) => {
                is_held = true;
                continue;
            }
            Err(error) if error.is::<EmptyFile>() => {
                empty.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_first = sample.names.is_empty();
        let (name, header) = (opened.input.name, is_first.then(|| (opened.written.clone(), opened.line)));
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
        if let Some((written, line)) = header {
            sample.check(name, &written, line)?;
        }
        if sample.is_complete() {
            break;
        }
    }
    if let Some(empty) = empty.filter(|_| sample.names.is_empty() && !is_held) {
        return Err(empty);
    }
    // Beside files that are read it is said when its turn comes.
    if let Some(name) = archive.filter(|_| sample.names.is_empty() && !settings.read_as.follow) {
        warn!(
            component = settings.context.component,
            "{name}: the archive is incomplete, and the file was written to within the last seconds: it is left for the next run"
        );
    }
    let n_rows = sample.inference.n_rows();
    if sample.names.is_empty() || n_rows == 0 && settings.read_as.follow {
        return Ok(None);
    }
    Ok(Some(sample.into_columns()))
}

/// What the first rows of the files say about the types of columns, as far as the files can still be read.
pub(super) fn infer_again(settings: &Settings, files: &[Cursor]) -> HashMap<String, ColumnType> {
    let mut sample = Sample::new(settings);
    for file in files.iter().filter(|file| !file.is_gone) {
        // What is wrong with a file is said when its rows are read.
        if let Ok(Some(opened)) = open_after_header(&file.path, settings) {
            drop(sample.read(opened));
        }
        if sample.is_complete() {
            break;
        }
    }
    sample.into_guesses().collect()
}

/// Infers the column types from the first rows of standard input, as many as come soon.
pub(super) fn infer_from_stream(settings: &Settings, opened: &mut Opened) -> Result<Columns> {
    warn_about(opened, settings);
    check_declared(settings, &opened.names, opened.input.name)?;
    let mut sample = Sample::new(settings);
    sample.look_ahead(opened)?;
    sample.check(opened.input.name, &opened.written, opened.line)?;
    Ok(sample.into_columns())
}

/// Says what is unusual about the first file.
fn warn_about(opened: &Opened, settings: &Settings) {
    let (component, name) = (&settings.context.component, opened.input.name);
    let header = Header { names: &opened.names, written: &opened.written, line: opened.line };
    for warning in header.warnings(&settings.dialect) {
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
    if opened.has_separator {
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
    if opened.has_rule {
        let line = opened.input.line() - 1;
        info!(component, "{name}:{line}: the line of dashes under the header is not a row and was skipped");
    }
}

/// The rows from which types are inferred.
pub(super) struct Sample<'a> {
    settings: &'a Settings,
    names: Vec<String>,
    index: HashMap<String, usize>,
    inference: Inference,
    /// How many rows in an encoding with one byte for a letter were UTF-8, and how many were not.
    n_utf_8: (usize, usize),
}

impl<'a> Sample<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Sample {
            settings,
            names: Vec::new(),
            index: HashMap::new(),
            inference: Inference::new(0),
            n_utf_8: (0, 0),
        }
    }

    fn is_complete(&self) -> bool {
        let is_inferred = !matches!(self.settings.dialect.types, Types::String);
        self.inference.is_complete() || !is_inferred && self.inference.n_rows() >= FEW
    }

    /// The indices of the columns of a file.
    fn columns_of(&mut self, names: &[String]) -> Vec<usize> {
        let n_known = self.names.len();
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let next = self.names.len();
            let column = *self.index.entry(name.clone()).or_insert(next);
            if column == next {
                self.names.push(name.clone());
            }
            columns.push(column);
        }
        self.inference.add_columns(&self.names[n_known..], &self.settings.dialect);
        columns
    }

    /// The columns of the next rows, which are those of this file.
    fn begin(&mut self, opened: &Opened) -> Vec<usize> {
        let columns = self.columns_of(&opened.names);
        self.inference.set_header(&opened.written, &self.settings.dialect);
        self.inference.set_rule(opened.has_rule);
        columns
    }

    fn observe(&mut self, row: &[u8], quoted: bool, line: u64, columns: &[usize]) {
        self.inference.set_line(line);
        self.inference.observe(row, quoted, columns, &self.settings.dialect);
        self.n_utf_8 = counted(self.n_utf_8, self.settings.read_as.encoding, row);
    }

    /// Adds rows of standard input, which stay to be read.
    fn look_ahead(&mut self, opened: &mut Opened) -> Result<()> {
        let columns = self.begin(opened);
        let settings = self.settings;
        let dialect = &settings.dialect;
        let (input, mut at) = (&mut opened.input, 0);
        let mut line = input.line();
        while !self.is_complete() && at < MAX_AHEAD {
            let window = &input.window()[at..];
            match next_row(window, &dialect.grammar, input.is_at_end()) {
                Next::NeedMore if input.is_full() => break,
                Next::NeedMore => {
                    let wait = (self.inference.n_rows() > 0).then_some(SAMPLE_WAIT);
                    if !input.fill_within(wait)? {
                        break;
                    }
                }
                Next::Row(span) => {
                    if span.content > 0 {
                        self.observe(&window[..span.content], span.quoted, line, &columns);
                    }
                    (at, line) = (at + span.len, line + span.n_lines);
                }
                Next::BadQuotes(span, _) => (at, line) = (at + span.len, line + span.n_lines),
                Next::End => break,
            }
        }
        Ok(())
    }

    /// Fails if most rows have more cells than the header on `line`, which then is most likely another line, and
    /// warns of what else is unusual about the first file.
    fn check(&self, name: Name, written: &[u8], line: u64) -> Result<()> {
        let Settings { dialect, context, .. } = self.settings;
        let component = &context.component;
        if let Some(wide) = self.inference.wider_than_header() {
            let message = wider_rows(&self.names, wide, line, dialect);
            if dialect.has_header && !dialect.drops_extra_cells {
                bail!("{name}:{line}: {message}");
            }
            warn!(component, "{name}:{line}: {message}");
        }
        if let (1.., 0) = counted(self.n_utf_8, self.settings.read_as.encoding, written) {
            let encoding = dialect.encoding;
            warn!(
                component,
                "{name}: every letter outside of ASCII has the bytes of UTF-8, and is read as {encoding}; set encoding = \"utf-8\""
            );
        }
        let header = Header { names: &self.names, written, line };
        let warnings = header.warnings_about_rows(&self.inference, dialect);
        if !written.is_empty() && !dialect.columns.is_empty() && warnings.is_empty() {
            info!(
                component,
                "{name}:{line}: this line is the header, and `columns` replaces its names; if it is a row, set header = false"
            );
        }
        for (line, warning) in warnings {
            let place = line.map_or_else(String::new, |line| format!(":{line}"));
            warn!(component, "{name}{place}: {warning}");
        }
        Ok(())
    }

    /// Adds rows of a file until the sample is complete.
    pub(super) fn read(&mut self, opened: Opened) -> Result<()> {
        let columns = self.begin(&opened);
        let settings = self.settings;
        let dialect = &settings.dialect;
        let mut input = opened.input;
        while !self.is_complete() {
            let window = input.window();
            let span = match input.next_row(&dialect.grammar) {
                Next::NeedMore => match input.fill() {
                    Err(error) if error.is::<IncompleteArchive>() => break,
                    filled => {
                        filled?;
                        continue;
                    }
                },
                Next::Row(span) => {
                    if !span.is_closed && input.may_grow() {
                        break;
                    }
                    if span.content > 0 {
                        self.observe(&window[..span.content], span.quoted, input.line(), &columns);
                    }
                    span
                }
                // The lines behind it may be parts of the cell. A followed file needs a row before its rows are read.
                Next::BadQuotes(_, QuoteError::Unclosed(_))
                    if !input.is_full()
                        && input.may_grow()
                        && (self.inference.n_rows() > 0 || !input.follows()) =>
                {
                    break;
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
        let (settings, n_rows) = (self.settings, self.inference.n_valid());
        let columns = self.finish();
        let inferred = inferred(&columns, &settings.dialect.types);
        if n_rows > 0 && !inferred.is_empty() {
            let component = &settings.context.component;
            info!(component, "types inferred from the first {n_rows} rows: {}", inferred.join(", "));
        }
        Columns::new(columns)
    }

    /// The types that the rows tell, by the name of the column.
    pub(super) fn into_guesses(self) -> impl Iterator<Item = (String, ColumnType)> {
        let guesses: Vec<Option<ColumnType>> = self.inference.guesses().collect();
        self.names.into_iter().zip(guesses).filter_map(|(name, guess)| Some((name, guess?)))
    }

    pub(super) fn finish(self) -> Vec<(String, ColumnType)> {
        self.names.into_iter().zip(self.inference.finish()).collect()
    }
}

/// The counts with one more text.
fn counted((n_utf_8, n_others): (usize, usize), encoding: TextEncoding, text: &[u8]) -> (usize, usize) {
    match encoding.was_utf_8(text) {
        None => (n_utf_8, n_others),
        Some(true) => (n_utf_8 + 1, n_others),
        Some(false) => (n_utf_8, n_others + 1),
    }
}
