//! The first rows of the files, from which column types are inferred.

use std::time::Duration;

use anyhow::{Result, bail};
use runner_core::Name;
use tracing::{info, warn};

use super::super::input::IncompleteArchive;
use super::super::settings::Settings;
use super::header::FileWithHeader;
use crate::shared::csv::{Header, Inference, Next, QuoteError, Types, wider_rows};

/// How many rows are examined where no types are inferred from them.
const FEW: usize = 100;

/// How far ahead of the first row standard input is examined, in bytes.
const MAX_AHEAD: usize = 4 << 20;

/// How long that waits for more rows.
const SAMPLE_WAIT: Duration = Duration::from_millis(300);

/// The rows from which types are inferred.
pub(crate) struct Sample<'a> {
    settings: &'a Settings,
    pub(crate) inference: Inference,
    /// The files whose rows were examined.
    names: Vec<Name>,
    /// How many texts in an encoding with one byte for a letter were UTF-8, and how many were not.
    n_utf_8: usize,
    n_not_utf_8: usize,
}

impl<'a> Sample<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        let inference = Inference::new(&settings.dialect);
        Sample { settings, inference, names: Vec::new(), n_utf_8: 0, n_not_utf_8: 0 }
    }

    pub(crate) fn is_complete(&self) -> bool {
        let is_inferred = !matches!(self.settings.dialect.types, Types::String);
        self.inference.is_complete() || !is_inferred && self.inference.n_rows >= FEW
    }

    fn begin(&mut self, opened: &FileWithHeader) {
        self.names.push(opened.input.name);
        self.inference.begin(&opened.header);
    }

    fn observe(&mut self, row: &[u8], quoted: bool, line: u64) {
        self.inference.observe(row, quoted, line);
        self.count_utf_8(row);
    }

    fn count_utf_8(&mut self, text: &[u8]) {
        let was_utf_8 = self.settings.encoding.was_utf_8(text);
        self.n_utf_8 += usize::from(was_utf_8 == Some(true));
        self.n_not_utf_8 += usize::from(was_utf_8 == Some(false));
    }

    /// Adds rows of standard input, which stay to be read.
    pub(crate) fn look_ahead(&mut self, opened: &mut FileWithHeader) -> Result<()> {
        self.begin(opened);
        let grammar = &self.settings.dialect.grammar;
        let (input, mut at) = (&mut opened.input, 0);
        let mut line = input.line();
        while !self.is_complete() && at < MAX_AHEAD {
            let wait = (self.inference.n_rows > 0).then_some(SAMPLE_WAIT);
            let span = match input.row_ahead(at, grammar, wait)? {
                Next::Row(span) => {
                    if span.content > 0 {
                        self.observe(&input.window()[at..at + span.content], span.quoted, line);
                    }
                    span
                }
                Next::BadQuotes(span, _) => span,
                Next::NeedMore | Next::End => break,
            };
            (at, line) = (at + span.len, line + span.n_lines);
        }
        Ok(())
    }

    /// Fails if most rows have more cells than the header of the first file, which then is most likely another line, and
    /// warns of what else is unusual about it.
    pub(crate) fn check(&mut self, name: Name, header: &Header) -> Result<()> {
        let Settings { dialect, context, .. } = self.settings;
        let (component, line) = (&context.component, header.line);
        if let Some(wide) = self.inference.wider_than_header() {
            let message = wider_rows(header, wide, dialect);
            if dialect.has_header && !dialect.drops_extra_cells {
                bail!("{name}:{line}: {message}");
            }
            warn!(component, "{name}:{line}: {message}");
        }
        self.count_utf_8(&header.raw);
        if self.n_utf_8 > 0 && self.n_not_utf_8 == 0 {
            let encoding = dialect.encoding;
            warn!(
                component,
                "{name}: every letter outside of ASCII has the bytes of UTF-8, and is read as {encoding}; set encoding = \"utf-8\""
            );
        }
        let warnings = header.warnings_about_rows(&self.inference);
        if !header.raw.is_empty() && !dialect.columns.is_empty() && warnings.is_empty() {
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

    /// Warns of what is unusual about the columns of all files.
    pub(crate) fn warn_about_columns(&self) {
        let component = &self.settings.context.component;
        for (place, warning) in self.inference.warnings_about_columns() {
            let name = self.names[place.map_or(0, |place| place.text)];
            let line = place.map_or_else(String::new, |place| format!(":{}", place.line));
            warn!(component, "{name}{line}: {warning}");
        }
    }

    /// Adds rows of a file until the sample is complete.
    pub(crate) fn read(&mut self, opened: FileWithHeader) -> Result<()> {
        self.begin(&opened);
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
                        self.observe(&window[..span.content], span.quoted, input.line());
                    }
                    span
                }
                // The lines behind it may be parts of the cell. A followed file needs a row before its rows are read.
                Next::BadQuotes(_, QuoteError::Unclosed(_))
                    if !input.is_full()
                        && input.may_grow()
                        && (self.inference.n_rows > 0 || !input.follow) =>
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
}
