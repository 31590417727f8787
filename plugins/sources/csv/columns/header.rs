//! Opens a file and reads what stands before its first row.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use runner_core::Name;

use super::super::files::display_path;
use super::super::input::Input;
use super::super::settings::Settings;
use crate::shared::csv::{
    BYTE_ORDER_MARK, Header, Next, RowError, RowLayout, RowLocation, Span, TableBuilder, check_sep_line,
    column_names, first_line_end, is_fixed_width_underline, is_underline_of, sep_line_delimiter,
};

/// A header in UTF-16 has a delimiter or a line end within so many bytes.
const MAX_WITHOUT_ASCII: usize = 16 << 10;

/// A file at its first row.
pub(crate) struct FileWithHeader {
    pub(crate) input: Input,
    pub(crate) header: Header,
    /// Whether a skipped line of dashes shows columns of a fixed width that no delimiter separates.
    pub(crate) is_fixed_width: bool,
    /// Whether a line that names the delimiter was skipped.
    pub(crate) has_sep_line: bool,
    /// How many NUL bytes before the text were skipped.
    pub(crate) n_nuls: u64,
}

/// Opens a file and reads its header. `None` if another program may still be writing it.
pub(crate) fn open_with_header(path: &str, settings: &Settings) -> Result<Option<FileWithHeader>> {
    read_header(Input::open(path, display_path(path), settings)?, settings)
}

/// Reads the header of a file that is open at its beginning.
pub(crate) fn read_header(mut input: Input, settings: &Settings) -> Result<Option<FileWithHeader>> {
    input.read_at_least(BYTE_ORDER_MARK.len())?;
    if input.window().starts_with(BYTE_ORDER_MARK) {
        input.advance(BYTE_ORDER_MARK.len(), 0);
    }
    let n_nuls = skip_nuls(&mut input)?;
    if n_nuls > 0 && input.window().is_empty() {
        if settings.follow {
            return Ok(None);
        }
        bail!(
            "{} has {n_nuls} NUL bytes and no text, as a file has after a power failure; restore it, or write it again",
            input.name
        );
    }
    skip_lines(&mut input, settings.dialect.skip_lines)?;
    let has_sep_line = settings.dialect.skip_lines == 0 && skip_sep_line(&mut input, settings)?;
    let mut opened = FileWithHeader {
        header: Header { names: settings.dialect.columns.clone(), line: input.line(), ..Header::default() },
        is_fixed_width: false,
        has_sep_line,
        n_nuls,
        input,
    };
    if settings.dialect.has_header {
        if !opened.read_names(settings)? {
            return Ok(None);
        }
        opened.skip_underline(settings)?;
    }
    Ok(Some(opened))
}

/// Moves behind the NUL bytes at the beginning, as a file has them that was truncated while a program wrote it.
fn skip_nuls(input: &mut Input) -> Result<u64> {
    let mut n_nuls = 0;
    loop {
        let window = input.window();
        let n_bytes = window.iter().take_while(|&&byte| byte == 0).count();
        let is_over = n_bytes < window.len() || input.is_at_end();
        input.advance(n_bytes, 0);
        n_nuls += n_bytes as u64;
        if is_over {
            return Ok(n_nuls);
        }
        input.fill()?;
    }
}

/// Moves behind a line that names the delimiter for Excel.
fn skip_sep_line(input: &mut Input, settings: &Settings) -> Result<bool> {
    const MARK: &[u8] = b"\"sep=;\"\r\n";
    let may_be_mark =
        |window: &[u8]| matches!(window.first(), Some(b's' | b'S' | b'"')) && window.len() < MARK.len();
    while may_be_mark(input.window()) && !input.window().contains(&b'\n') && !input.is_at_end() {
        input.fill()?;
    }
    let Some(named) = sep_line_delimiter(input.window()) else { return Ok(false) };
    let location = RowLocation { source: input.name, line: input.line() };
    check_sep_line(named, &settings.dialect).map_err(|error| location.error(input.window(), &error))?;
    skip_lines(input, 1)?;
    Ok(true)
}

/// Moves behind `n_lines` lines, whatever they contain.
fn skip_lines(input: &mut Input, n_lines: u64) -> Result<()> {
    while input.line() <= n_lines {
        let window = input.window();
        let n_bytes = match first_line_end(window, 0) {
            Some(end) if window[end] == b'\n' => end + 1,
            Some(end) if window.get(end + 1) == Some(&b'\n') => end + 2,
            Some(end) if end + 1 < window.len() || input.is_at_end() => end + 1,
            _ if input.is_at_end() => break,
            _ => {
                input.fill()?;
                continue;
            }
        };
        input.advance(n_bytes, 1);
    }
    Ok(())
}

impl FileWithHeader {
    /// Reads the first row as the header; `false` if it may be incomplete.
    fn read_names(&mut self, settings: &Settings) -> Result<bool> {
        let dialect = &settings.dialect;
        let input = &mut self.input;
        loop {
            let (name, window) = (input.name, input.window());
            let location = RowLocation { source: name, line: input.line() };
            let span = match input.next_row(&dialect.grammar) {
                Next::NeedMore => {
                    let n_bytes = window.len();
                    if n_bytes > MAX_WITHOUT_ASCII && settings.encoding.is_utf_16() && has_no_ascii(window) {
                        return Err(not_utf_16(name, dialect.encoding));
                    }
                    input.fill()?;
                    continue;
                }
                Next::End if settings.follow => return Ok(false),
                Next::End => return Err(EmptyFile { name, skip_lines: dialect.skip_lines }.into()),
                Next::BadQuotes(_, error) => return Err(location.bad_quotes(window, error)),
                Next::Row(span) => span,
            };
            if !span.is_closed && input.may_grow() && span.content > 0 {
                return Ok(false);
            }
            if span.content > 0 {
                let row = &window[..span.content];
                if !span.is_closed && settings.encoding.is_utf_16() && has_no_ascii(row) {
                    return Err(not_utf_16(name, dialect.encoding));
                }
                let names = column_names(row, span.quoted, dialect);
                self.header.names = names.map_err(|error| location.error(row, &error))?;
                (self.header.raw, self.header.line) = (row.to_vec(), location.line);
                input.advance(span.len, span.n_lines);
                return Ok(true);
            }
            input.advance(span.len, span.n_lines);
        }
    }

    /// Moves behind the line of dashes that some programs draw under the header.
    fn skip_underline(&mut self, settings: &Settings) -> Result<()> {
        let grammar = &settings.dialect.grammar;
        loop {
            let window = self.input.window();
            match self.input.next_row(grammar) {
                Next::NeedMore => self.input.fill()?,
                Next::Row(Span { content, len, n_lines, is_closed: true, .. }) if content > 0 => {
                    let row = &window[..content];
                    self.is_fixed_width = self.header.names.len() == 1 && is_fixed_width_underline(row);
                    if self.is_fixed_width || is_underline_of(&self.header.names, row, &settings.dialect) {
                        self.input.advance(len, n_lines);
                        self.header.is_underlined = true;
                    }
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
    }

    /// The line of the next row, after blank lines, comments and other lines that are not rows. They stay to be read.
    pub(crate) fn line_of_row(&mut self, layout: &Arc<RowLayout>, settings: &Settings) -> Result<u64> {
        let (input, mut at) = (&mut self.input, 0);
        let mut line = input.line();
        let mut table = TableBuilder::new(Arc::clone(layout), 0, 0);
        while let Next::Row(span @ Span { is_closed: true, .. }) =
            input.row_ahead(at, &settings.dialect.grammar, None)?
        {
            if span.content > 0 {
                let pushed = table.push(&input.window()[at..at + span.content], span.quoted);
                if !matches!(pushed, Err(RowError { non_row: Some(_), .. })) {
                    break;
                }
            }
            (at, line) = (at + span.len, line + span.n_lines);
        }
        Ok(line)
    }
}

/// A file without a header.
#[derive(Debug)]
pub(crate) struct EmptyFile {
    name: Name,
    skip_lines: u64,
}

impl fmt::Display for EmptyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is empty", self.name)?;
        if self.skip_lines > 0 {
            write!(f, " after {} lines (`skip_lines`)", self.skip_lines)?;
        }
        f.write_str(
            ", and a header row was expected; for files without one set `header = false` and name the `columns`",
        )
    }
}

impl Error for EmptyFile {}

fn not_utf_16(name: Name, encoding: &str) -> anyhow::Error {
    anyhow!(
        "{name} has no line end and no delimiter of ASCII if it is read as {encoding}: most likely it has another \
         encoding; set encoding = \"auto\", or the right one"
    )
}

/// Whether a text of some length has no character of ASCII, not even a delimiter.
fn has_no_ascii(text: &[u8]) -> bool {
    !text.is_empty() && !text.iter().any(u8::is_ascii)
}
