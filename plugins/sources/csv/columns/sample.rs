//! The first rows of the files, from which column types are inferred.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};
use runner_core::{ColumnType, Name};
use tracing::{info, warn};

use super::super::input::IncompleteArchive;
use super::super::settings::Settings;
use super::header::Opened;
use crate::shared::csv::{Header, Inference, Next, QuoteError, TextEncoding, Types, next_row, wider_rows};

/// How many rows are examined where no types are inferred from them.
const FEW: usize = 100;

/// How far ahead of the first row standard input is examined, in bytes.
const MAX_AHEAD: usize = 4 << 20;

/// How long that waits for more rows.
const SAMPLE_WAIT: Duration = Duration::from_millis(300);

/// The rows from which types are inferred.
pub(crate) struct Sample<'a> {
    settings: &'a Settings,
    pub(crate) names: Vec<String>,
    index: HashMap<String, usize>,
    pub(crate) inference: Inference,
    /// How many rows in an encoding with one byte for a letter were UTF-8, and how many were not.
    n_utf_8: (usize, usize),
}

impl<'a> Sample<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Sample {
            settings,
            names: Vec::new(),
            index: HashMap::new(),
            inference: Inference::new(0),
            n_utf_8: (0, 0),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
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
    pub(crate) fn look_ahead(&mut self, opened: &mut Opened) -> Result<()> {
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
    pub(crate) fn check(&self, name: Name, written: &[u8], line: u64) -> Result<()> {
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
    pub(crate) fn read(&mut self, opened: Opened) -> Result<()> {
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

    /// The types that the rows tell, by the name of the column.
    pub(crate) fn into_guesses(self) -> impl Iterator<Item = (String, ColumnType)> {
        let guesses: Vec<Option<ColumnType>> = self.inference.guesses().collect();
        self.names.into_iter().zip(guesses).filter_map(|(name, guess)| Some((name, guess?)))
    }

    pub(crate) fn finish(self) -> Vec<(String, ColumnType)> {
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
