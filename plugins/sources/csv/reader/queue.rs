//! Which files are read, in which order, and from where.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use runner_core::Name;
use serde_json::Value;
use tracing::warn;

use super::super::columns::{self, Columns, EmptyFile, FileWithHeader, open_with_header, read_header};
use super::super::files::{self, is_being_written, is_missing, modified, uncompressed};
use super::super::input::{Changed, IncompleteArchive, Input, REPLACED, WrittenOver, ended_early};
use super::super::position::{CsvPosition, Cursor, End, Pass, is_unread_input_unchanged};
use super::super::rotation::{find_moved, is_surely_in_place, note_absent};
use super::super::settings::Settings;
use super::unfinished::{Unfinished, UnfinishedFiles};
use super::{OpenFile, Reader};
use crate::shared::csv::unknown_column;

impl Reader {
    /// Finds the files and the column types, and checks both before the first row is read.
    pub(in super::super) fn open(settings: Arc<Settings>, position: Option<Value>) -> Result<Self> {
        let is_stream = settings.is_standard_input();
        let mut saved = position.filter(|_| !is_stream).map(CsvPosition::read).transpose()?;
        // Before the first row only files that are followed are known.
        let known = saved.as_ref().filter(|saved| saved.is_started() || settings.follow);
        let mut files = known.map_or(Vec::new(), |known| known.files.clone());
        let started = saved.as_mut().filter(|saved| saved.is_started());
        if let Some(started) = &started {
            columns::check_changed_options(started, &settings)?;
        }
        if !is_stream {
            let found = find(&settings, &files)?;
            find_moved(&mut files, &found, &settings);
            add_new(&mut files, &found, &settings)?;
            if settings.follow {
                note_absent(&mut files, &settings);
            }
        }
        let (mut current, mut columns) = (0, None);
        if let Some(started) = started {
            current = started.file;
            let mut known = columns::from_position(started, &settings)?;
            known.infer_again(started, &files, &settings);
            columns = Some(known);
            let n_known = started.files.len();
            started.files.clone_from_slice(&files[..n_known]);
        } else if !is_stream {
            columns = columns::infer(&settings, &files)?;
        }
        let start = CsvPosition {
            delimiter: settings.dialect.grammar.delimiter.into(),
            header: settings.dialect.has_header,
            row_options: settings.row_options(),
            cell_options: Some(settings.cell_options()),
            ..CsvPosition::default()
        };
        let has_started = columns.is_some() && saved.as_ref().is_some_and(CsvPosition::is_started);
        let mut reader = Reader {
            n_known_columns: columns.as_ref().filter(|_| has_started).map_or(0, Columns::len),
            settings,
            columns,
            files,
            pass: Arc::new(Pass::new(start, Vec::new())),
            queue_index: 0,
            open: None,
            last_read: None,
            unfinished: UnfinishedFiles::default(),
            pending_error: None,
            capacity: (0, 0),
            n_bytes_done: 0,
            n_bytes: 0,
            is_unread_unchanged: false,
            replaced_header: None,
        };
        if !is_stream {
            reader.queue_files(current)?;
            reader.is_unread_unchanged =
                saved.is_some_and(|saved| is_unread_input_unchanged(&saved, &reader.pass.start));
        }
        Ok(reader)
    }

    /// Opens standard input and waits for its first rows.
    pub(super) fn open_stream(&mut self) -> Result<()> {
        let settings = Arc::clone(&self.settings);
        let input = Input::standard_input(Name::new("standard input"), &settings)?;
        let opened = match read_header(input, &settings) {
            // The stop came before the first row.
            Err(_) if ended_early() => None,
            opened => opened?,
        };
        let Some(mut opened) = opened else { return Ok(()) };
        let mut columns = columns::infer_from_stream(&settings, &mut opened)?;
        let layout = columns.layout(&opened, columns.len(), &settings);
        self.columns = Some(columns);
        self.files = vec![opened.input.cursor.clone()];
        let start = CsvPosition { files: self.files.clone(), ..self.pass.start.clone() };
        self.pass = Arc::new(Pass::new(start, vec![0]));
        self.open = Some(OpenFile { input: opened.input, layout, unfinished: None });
        Ok(())
    }

    /// Whether more rows may come after the last one.
    pub(in super::super) fn follows(&self) -> bool {
        self.settings.follow
    }

    /// Looks for new rows and new files.
    pub(in super::super) fn refresh(&mut self) -> Result<()> {
        self.warn_of_long_waits();
        // What was written to a file before it was renamed comes first.
        if let Some((file, mut open)) = self.last_read.take_if(|(_, open)| open.input.was_moved_or_removed())
        {
            open.input.read_on_to_end();
            open.unfinished = None;
            let start = CsvPosition { file, files: self.files.clone(), ..self.pass.start.clone() };
            self.pass = Arc::new(Pass::new(start, vec![file]));
            (self.queue_index, self.open) = (0, Some(open));
            return Ok(());
        }
        let found = find(&self.settings, &self.files)?;
        find_moved(&mut self.files, &found, &self.settings);
        add_new(&mut self.files, &found, &self.settings)?;
        if self.columns.is_none() {
            self.columns = columns::infer(&self.settings, &self.files)?;
        }
        let current = self.pass.queue.last().copied().unwrap_or(self.pass.start.file);
        self.queue_files(current)
    }

    /// Queues the files with unread rows: from the current one to the last, then the ones
    /// before it, which may have grown.
    fn queue_files(&mut self, current: usize) -> Result<()> {
        let mut queue = Vec::new();
        (self.n_bytes, self.n_bytes_done) = (0, 0);
        let n_files = if self.columns.is_some() { self.files.len() } else { 0 };
        for index in (current..n_files).chain(0..current.min(n_files)) {
            let cursor = &mut self.files[index];
            if cursor.is_gone {
                continue;
            }
            let is_at_end = cursor.end != End::NotReached || self.unfinished.contains(index);
            let is_done = is_at_end
                && match std::fs::metadata(&cursor.path) {
                    Ok(metadata) => cursor.size == metadata.len() && cursor.modified == modified(&metadata),
                    // A file that was read to its end may be deleted.
                    Err(_) => true,
                };
            if is_done
                && self.unfinished.contains(index)
                && (cursor.is_moved || self.unfinished.is_wait_over(index, cursor.offset))
            {
                // No program appends to it any more: its last row is complete after a while.
            } else if is_done {
                if cursor.end != End::NotReached {
                    cursor.snapshot = None;
                }
                self.n_bytes += cursor.size;
                self.n_bytes_done += cursor.size;
                continue;
            }
            self.last_read.take_if(|(last, _)| *last == index);
            let Some(open) = self.open_file(index)? else { continue };
            let cursor = &mut self.files[index];
            cursor.snapshot.clone_from(&open.input.cursor.snapshot);
            cursor.n_columns = open.input.cursor.n_columns;
            self.n_bytes += open.input.cursor.size;
            if queue.is_empty() {
                self.open = Some(open);
            }
            queue.push(index);
        }
        if let Some(columns) = &self.columns
            && self.settings.adds_columns
        {
            let names = columns.names();
            if let Some(column) = unknown_column(&self.settings.dialect, &names) {
                bail!(
                    "`types` declares column `{column}`, but no file has it; they have {}",
                    names.join(", ")
                );
            }
        }
        let types = &self.settings.dialect.types;
        if queue.is_empty() && !self.pass.start.files.is_empty() && self.follows() {
            return Ok(());
        }
        let start = CsvPosition {
            columns: self.columns.as_ref().map(|columns| columns.as_json(types)).unwrap_or_default(),
            file: current,
            files: self.files.clone(),
            bytes: (0, 0),
            ..self.pass.start.clone()
        };
        self.pass = Arc::new(Pass::new(start, queue));
        self.queue_index = 0;
        Ok(())
    }

    /// Opens a file at its cursor, or after its header; `None` if that may still be incomplete.
    pub(super) fn open_file(&mut self, index: usize) -> Result<Option<OpenFile>> {
        match self.open_whole_file(index) {
            Err(error) if error.is::<IncompleteArchive>() => {
                let cursor = &self.files[index];
                self.leave_rest(index, Unfinished::Archive, cursor.offset, cursor.lines + 1);
                Ok(None)
            }
            // It was renamed or truncated since it was found.
            Err(error) if self.follows() && (is_missing(&error) || error.is::<WrittenOver>()) => Ok(None),
            opened => opened,
        }
    }

    fn open_whole_file(&mut self, index: usize) -> Result<Option<OpenFile>> {
        if self.columns.is_none() {
            return Ok(None);
        }
        let shared = Arc::clone(&self.settings);
        let settings = &*shared;
        let cursor = &self.files[index];
        let has_started = cursor.offset > 0;
        let name = files::display_path(&cursor.path);
        let opened = match open_with_header(&cursor.path, settings) {
            Err(error) if !has_started && self.files.len() > 1 && error.is::<EmptyFile>() => {
                warn!(component = settings.context.component, "{name} is empty, and was left out");
                return Ok(None);
            }
            opened => opened,
        };
        let opened = if has_started {
            // The header is read again, but the first thing to know is whether this is still the file.
            opened.with_context(|| cannot_resume(name, cursor, settings))?
        } else {
            opened?
        };
        let Some(mut opened) = opened else {
            self.warn_left_for_next_run(index, "its header has no line end", "it is");
            return Ok(None);
        };
        opened.input.cursor.is_moved = cursor.is_moved;
        let mut was_row_continued = false;
        if has_started {
            match resume_at_cursor(opened, cursor, name, settings)? {
                Some(resumed) => (opened, was_row_continued) = resumed,
                None => return Ok(None),
            }
        } else {
            self.check_header(&opened, name)?;
        }
        let n_columns = self.n_columns_of(index, &opened.header.names);
        if settings.adds_columns {
            opened.input.cursor.n_columns = n_columns;
        }
        let Some(columns) = &mut self.columns else { return Ok(None) };
        let layout = columns.layout(&opened, n_columns, settings);
        if was_row_continued {
            let line = opened.line_of_row(&layout, settings)?;
            let component = &settings.context.component;
            warn!(
                component,
                "{name}:{line}: this row was read before its line had ended, and has been continued since: the whole \
                 row is read again, as a new record"
            );
        }
        Ok(Some(OpenFile { input: opened.input, layout, unfinished: None }))
    }

    /// Fails if the header of a file does not match those of earlier files. Adds new columns if the options say so.
    fn check_header(&mut self, opened: &FileWithHeader, name: Name) -> Result<()> {
        let (settings, Some(columns)) = (&self.settings, &mut self.columns) else { return Ok(()) };
        if settings.dialect.columns.is_empty() {
            columns.check(&opened.header.names, name, &self.files[0].path, settings)?;
            if settings.adds_columns {
                columns.add_new(opened, settings)?;
            }
        } else if settings.dialect.has_header {
            let first = self.replaced_header.get_or_insert_with(|| (opened.header.raw.clone(), name));
            if first.0 != opened.header.raw {
                bail!(
                    "{name} has a different header than {}, and `columns` replaces the names of both: read files with \
                     other columns with a separate source",
                    first.1
                );
            }
        }
        Ok(())
    }

    /// How many columns the rows of a file have in a table: those that are known by then.
    fn n_columns_of(&mut self, index: usize, names: &[String]) -> usize {
        let columns = self.columns.as_ref();
        match self.files[index].n_columns {
            0 if self.settings.adds_columns => {
                let n_of_file = columns.map_or(0, |columns| columns.n_up_to(names));
                self.n_known_columns = self.n_known_columns.max(n_of_file);
                self.n_known_columns
            }
            0 => columns.map_or(0, Columns::len),
            n_columns => n_columns,
        }
    }
}

/// Seeks to the position where reading a file stopped, and says whether its last row has been continued since. `None` if
/// the file may still be incomplete, or was rotated. Fails if it is another file, or was changed.
fn resume_at_cursor(
    mut opened: FileWithHeader,
    cursor: &Cursor,
    name: Name,
    settings: &Settings,
) -> Result<Option<(FileWithHeader, bool)>> {
    match opened.input.seek_to(cursor)? {
        None => Ok(Some((opened, false))),
        Some(Changed::LastRow) if settings.follow && cursor.open_row.is_some() => {
            Ok(open_at_last_row(cursor, name, settings)?.map(|again| (again, true)))
        }
        // It was rotated since it was found.
        Some(_) if settings.follow && !is_surely_in_place(cursor, settings) => Ok(None),
        Some(what) => {
            let n_lines = cursor.lines;
            let follow = advice_to_follow(settings);
            bail!(
                "{name} has changed since it was read up to line {n_lines}: {what}. Restore the old file, or \
                 {REPLACED}{follow}"
            );
        }
    }
}

/// A file before its last row, which was delivered before its line had ended; `None` if the file may still be incomplete.
fn open_at_last_row(cursor: &Cursor, name: Name, settings: &Settings) -> Result<Option<FileWithHeader>> {
    let Some(mut opened) = open_with_header(&cursor.path, settings)? else { return Ok(None) };
    let before = cursor.before_open_row().unwrap_or_default();
    if let Some(what) = opened.input.seek_to(&before)? {
        bail!("{name} was changed while it was read: {what}");
    }
    Ok(Some(opened))
}

/// Advice for files that other programs write while they are read.
const FOLLOW: &str = ". For files that are rotated, or written while they are read, set follow = true";

fn cannot_resume(name: Name, cursor: &Cursor, settings: &Settings) -> String {
    let n_lines = cursor.lines;
    let follow = advice_to_follow(settings);
    format!(
        "{name} was read up to line {n_lines} and cannot be opened now; restore it, or {REPLACED}{follow}"
    )
}

fn advice_to_follow(settings: &Settings) -> &'static str {
    if settings.follow { "" } else { FOLLOW }
}

/// The files that the patterns match.
fn find(settings: &Settings, known: &[Cursor]) -> Result<Vec<PathBuf>> {
    let known: HashSet<&Path> =
        known.iter().filter(|cursor| !cursor.is_gone).map(|cursor| Path::new(&cursor.path)).collect();
    files::list(&settings.patterns, settings, &known)
}

/// Adds those of the files that are not known yet.
fn add_new(cursors: &mut Vec<Cursor>, found: &[PathBuf], settings: &Settings) -> Result<()> {
    let mut known: HashSet<PathBuf> =
        cursors.iter().filter(|cursor| !cursor.is_gone).map(|cursor| PathBuf::from(&cursor.path)).collect();
    for path in found {
        if known.contains(path) {
            continue;
        }
        // A file that was read may be deleted or renamed.
        let Ok(now) = std::fs::metadata(path) else { continue };
        // The program that compresses a file may have removed it since the files were found.
        if let Some(original) = original_of(path).filter(|it| known.contains(it) && found.contains(it))
            && (is_being_written(&now) || !original.exists())
        {
            if !settings.follow {
                warn!(
                    component = settings.context.component,
                    "{} was written to within the last seconds, beside the file without that ending: it is left for the next \
                     run, in case a program is compressing that file",
                    files::display_path(path)
                );
            }
            continue;
        }
        let name = path.to_str().with_context(|| format!("the name of {} is not UTF-8", path.display()))?;
        cursors.push(Cursor::at_start(name, &now));
        known.insert(path.clone());
    }
    Ok(())
}

/// The file that a program may be compressing into this one, and will then remove.
fn original_of(path: &Path) -> Option<PathBuf> {
    let original = path.with_file_name(uncompressed(files::file_name(path)));
    (original != path).then_some(original)
}
