//! `runner dlq list`: one line per dead letter, and counts by component and reason.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use console::Term;
use runner_core::{DeadLetter, Pipeline};

use super::reader::{Line, Lines};
use super::repeats::subject;
use super::store::Store;
use crate::arguments::{Common, DlqListArguments};
use crate::exit::{Exit, is_stdout_open, print_error, print_message};
use crate::pipeline_file;
use crate::summary::count;

/// How many lines that are not dead letters are shown.
const SHOWN_ERRORS: u64 = 10;

/// The maximum number of letters in a table, which is in memory until it is printed.
const ROWS: usize = 10_000;

pub(super) fn list(arguments: &DlqListArguments, common: &Common) -> Exit {
    if let Some(pipeline) = &arguments.pipeline {
        let mut pipeline = match pipeline_file::load(pipeline, None, common) {
            Ok(pipeline) => pipeline,
            Err(exit) => return exit,
        };
        let shown = show_store(&mut pipeline, &mut io::stdout().lock());
        return shown.map_or_else(|error| Exit::from_error(&error), exit_of);
    }
    let mut is_valid = true;
    for path in &arguments.files {
        if arguments.files.len() > 1 {
            print_message(&format!("{}:", path.display()));
        }
        match show(path, &mut io::stdout().lock()) {
            Ok(is_file_valid) => is_valid &= is_file_valid,
            Err(error) => return Exit::from_error(&error),
        }
    }
    exit_of(is_valid)
}

fn exit_of(is_valid: bool) -> Exit {
    if is_valid { Exit::Done } else { Exit::Failed }
}

/// Shows the letters of the pipeline's `[dead_letter]`; see [`show_lines`].
fn show_store(pipeline: &mut Pipeline, out: &mut impl Write) -> Result<bool> {
    let (store, _) = Store::of(pipeline)?;
    let lines = store.lines()?;
    lines.notes().iter().for_each(|note| print_message(note));
    let lines = lines.map(|line| line.map(|(_, line)| line));
    show_lines(&store.location(), lines, out)
}

/// Shows one file; false if some of its lines are not dead letters. Those errors have been printed.
fn show(path: &Path, out: &mut impl Write) -> Result<bool> {
    let mut lines = Lines::open(path)?;
    let is_valid = show_lines(&path.display().to_string(), lines.by_ref(), out)?;
    lines.warn_if_truncated();
    Ok(is_valid)
}

fn show_lines(place: &str, lines: impl Iterator<Item = Result<Line>>, out: &mut impl Write) -> Result<bool> {
    let mut n_invalid = 0;
    let mut table = new_table();
    let mut reasons: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut subjects = HashSet::new();
    let mut n_repeats = 0;
    for line in lines {
        let line = line?;
        if line.is_blank() {
            continue;
        }
        match line.letter() {
            Ok(letter) if !subjects.insert(subject(&letter)) => n_repeats += 1,
            Ok(letter) => {
                if table.row_count() == ROWS {
                    if !is_stdout_open(writeln!(out, "{table}"))? {
                        return Ok(n_invalid == 0);
                    }
                    table = new_table();
                }
                table.add_row(row(line.number, &letter));
                *reasons.entry((letter.component, without_numbers(&letter.reason))).or_default() += 1;
            }
            Err(error) => {
                n_invalid += 1;
                if n_invalid <= SHOWN_ERRORS {
                    print_error(&error.context(format!("{place}:{}", line.number)));
                }
            }
        }
    }
    if n_invalid > SHOWN_ERRORS {
        print_message(&format!("{} more lines are not dead letters", count(n_invalid - SHOWN_ERRORS)));
    }
    let is_valid = n_invalid == 0;
    if reasons.is_empty() {
        let other = if is_valid { "" } else { " that this version can read" };
        print_message(&format!("{place} has no dead letters{other}"));
        return Ok(is_valid);
    }
    let summary = summary(reasons, n_repeats);
    is_stdout_open(write!(out, "{table}\n{summary}").and_then(|()| out.flush()))?;
    Ok(is_valid)
}

/// How many letters have each reason, the most frequent one first.
fn summary(reasons: BTreeMap<(String, String), u64>, n_repeats: u64) -> String {
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, n_letters)| std::cmp::Reverse(*n_letters));
    let mut text: String = reasons
        .into_iter()
        .map(|((component, reason), n_letters)| format!("{:>8}  {component}: {reason}\n", count(n_letters)))
        .collect();
    if n_repeats > 0 {
        text += &format!(
            "{:>8}  repeat one of these: the same record, rejected again by the same component\n",
            count(n_repeats)
        );
    }
    text
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "number",
        "time",
        "component",
        "origin",
        "entry",
        "reason",
    ]);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if let Some((_, width)) = Term::stdout().size_checked() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

fn row(number: usize, letter: &DeadLetter) -> [Cell; 6] {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let entry = letter.record.entry.as_ref().map(|entry| entry.text().to_string());
    [
        right(number.to_string()),
        Cell::new(&letter.time),
        Cell::new(&letter.component),
        Cell::new(letter.record.place().to_string()),
        right(entry.unwrap_or_default()),
        Cell::new(&letter.reason),
    ]
}

/// A reason with each number replaced by `N`, so that reasons that differ only in numbers are counted together.
fn without_numbers(reason: &str) -> String {
    let mut out = String::with_capacity(reason.len());
    let (mut before, mut is_number) = (' ', false);
    for char in reason.chars() {
        let was_number = is_number;
        // A digit within a word, as in `s3`, stays.
        is_number = char.is_ascii_digit() && (was_number || !before.is_alphanumeric());
        match (is_number, was_number) {
            (true, false) => out.push('N'),
            (true, true) => {}
            (false, _) => out.push(char),
        }
        before = char;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_letters_are_listed_in_several_tables() {
        let letter = |entry: usize| {
            format!(
                "{{\"version\":1,\"reason\":\"bad\",\"pipeline\":\"p\",\"component\":\"json\",\"time\":\"2026-11-30T08:00:00.000Z\",\
                 \"origin\":{{\"stream\":\"a\",\"lane\":0,\"offset\":{entry}}},\"entry\":{entry},\"source\":\"p/in\",\"body\":\"x\"}}\n"
            )
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letters.jsonl");
        std::fs::write(&path, (0..=ROWS).map(letter).collect::<String>()).expect("writing");
        let mut out = Vec::new();
        assert!(show(&path, &mut out).expect("letters"));
        let out = String::from_utf8(out).expect("text");
        assert_eq!(out.matches("│ number").count(), 2);
        assert_eq!(out.matches("2026-11-30").count(), ROWS + 1);
        assert!(out.ends_with("  10,001  json: bad\n"), "{}", &out[out.len() - 100..]);
    }

    #[test]
    fn without_numbers_replaces_numbers_but_not_digits_in_words() {
        for (reason, expected) in [
            ("rows.csv:12002:5: the row has 3 cells", "rows.csv:N:N: the row has N cells"),
            ("s3://lake/stocks/stock_1.json exists", "s3://lake/stocks/stock_N.json exists"),
        ] {
            assert_eq!(without_numbers(reason), expected);
        }
    }
}
