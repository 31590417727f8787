//! Options that decide where rows begin, and have changed between two runs: whether they change rows that were read.

use std::path::Path;

use anyhow::{Result, bail};
use tracing::info;

use super::super::input::Input;
use super::super::position::{CsvPosition, Cursor, End};
use super::super::settings::Settings;
use super::header::open_with_header;
use crate::shared::csv::{CellTexts, Dialect, Next};

/// Fails if options have changed that give other rows in the parts of the files that were read.
pub(crate) fn check_changed_options(saved: &CsvPosition, settings: &Settings) -> Result<()> {
    let now = settings.row_options();
    let (delimiter, has_header) =
        (char::from(settings.dialect.grammar.delimiter), settings.dialect.has_header);
    if (saved.delimiter, saved.header, &saved.row_options) == (delimiter, has_header, &now) {
        return Ok(());
    }
    let columns = saved.columns.keys().cloned().collect();
    let then = settings.with_row_options(saved.delimiter, saved.header, &saved.row_options, columns);
    let begun = saved.files.iter().filter(|file| file.offset > 0 && !file.is_gone);
    // A file that was read to its end may be deleted.
    let mut present = begun.filter(|file| file.end == End::NotReached || Path::new(&file.path).exists());
    // What is wrong with a file is said once the options are those of the last run.
    let is_same = |file: &Cursor| {
        then.as_ref().is_some_and(|then| has_same_rows(file, then, settings).unwrap_or(false))
    };
    if !present.all(is_same) {
        bail!(
            "`delimiter`, `header` or another option that decides where rows begin (`quote`, `escape`, `comment`, `trim`, \
             `skip_lines`, `encoding`) has changed since the last run, and rows that were read would be other ones; \
             restore it, or read everything again with `--from-start`, which delivers all rows again. \"Read rows that a \
             `csv` source rejected\" in docs/dead-letters.md reads only those again"
        );
    }
    info!(
        component = settings.context.component,
        "options of rows have changed since the last run; the rows that were read are the same with them"
    );
    Ok(())
}

/// Whether a file has the same rows before the cursor with the options of an earlier run and with those of now. Rows that
/// were not valid may be others by now, or none.
fn has_same_rows(cursor: &Cursor, then: &Settings, now: &Settings) -> Result<bool> {
    // The text before the cursor must be the same, too.
    let is_same_text = |settings| -> Result<bool> {
        let opened = open_with_header(&cursor.path, settings)?;
        Ok(opened.is_some_and(|mut opened| matches!(opened.input.seek_to(cursor), Ok(None))))
    };
    if !is_same_text(then)? || !is_same_text(now)? {
        return Ok(false);
    }
    let Some(mut before) = open_with_header(&cursor.path, then)? else { return Ok(false) };
    let Some(mut opened) = open_with_header(&cursor.path, now)? else { return Ok(false) };
    if opened.header.names != before.header.names {
        return Ok(false);
    }
    let n_columns = before.header.names.len();
    let (mut old, mut new) = (RowBefore::default(), RowBefore::default());
    let mut has_old = old.read(&mut before.input, &then.dialect, cursor.offset)?;
    let mut has_new = new.read(&mut opened.input, &now.dialect, cursor.offset)?;
    while has_old || has_new {
        let was_valid = has_old && old.is_valid(&then.dialect, n_columns);
        let is_same_place = has_old && has_new && (old.start, old.end) == (new.start, new.end);
        if was_valid && !(is_same_place && new.is_quoted_well && old.texts == new.texts) {
            return Ok(false);
        }
        let is_old_first = has_old && (!has_new || old.end <= new.end);
        let is_new_first = has_new && (!has_old || new.end <= old.end);
        if is_old_first {
            has_old = old.read(&mut before.input, &then.dialect, cursor.offset)?;
        }
        if is_new_first {
            has_new = new.read(&mut opened.input, &now.dialect, cursor.offset)?;
        }
    }
    Ok(before.input.cursor.offset == opened.input.cursor.offset)
}

/// A row before some place of a file.
#[derive(Default)]
struct RowBefore {
    start: u64,
    end: u64,
    texts: CellTexts,
    is_quoted_well: bool,
    is_utf_8: bool,
}

impl RowBefore {
    /// Reads the next row, without blank lines and comments; `false` if it begins at `end` or behind it.
    fn read(&mut self, input: &mut Input, dialect: &Dialect, end: u64) -> Result<bool> {
        loop {
            self.start = input.cursor.offset;
            if self.start >= end {
                return Ok(false);
            }
            let window = input.window();
            let span = match input.next_row(&dialect.grammar) {
                Next::NeedMore => {
                    input.fill()?;
                    continue;
                }
                Next::End => return Ok(false),
                Next::Row(span) => {
                    let row = &window[..span.content];
                    self.texts.read(row, span.quoted, dialect);
                    (self.is_quoted_well, self.is_utf_8) = (true, std::str::from_utf8(row).is_ok());
                    span
                }
                Next::BadQuotes(span, _) => {
                    self.is_quoted_well = false;
                    span
                }
            };
            input.advance(span.len, span.n_lines);
            self.end = input.cursor.offset;
            if span.content > 0 {
                return Ok(true);
            }
        }
    }

    fn is_valid(&self, dialect: &Dialect, n_columns: usize) -> bool {
        self.is_quoted_well && self.is_utf_8 && dialect.accepts_width(self.texts.len(), n_columns)
    }
}
