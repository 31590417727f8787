//! `runner dlq list`: a line a letter, and how many there are of each kind.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use console::Term;
use runner_core::DeadLetter;

use super::letters::Lines;
use crate::arguments::DlqListArguments;
use crate::exit::{Exit, reads_on, say, say_error};
use crate::summary::count;

pub(super) fn list(arguments: &DlqListArguments) -> Exit {
    let mut is_whole = true;
    for path in &arguments.files {
        if arguments.files.len() > 1 {
            say(&format!("{}:", path.display()));
        }
        match show(path, &mut io::stdout().lock()) {
            Ok(is_clean) => is_whole &= is_clean,
            Err(error) => return Exit::on(&error),
        }
    }
    if is_whole { Exit::Done } else { Exit::Failed }
}

/// Shows one file; false if some of its lines are no letters, which has been said.
fn show(path: &Path, out: &mut impl Write) -> Result<bool> {
    let mut is_clean = true;
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
    let mut kinds: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut lines = Lines::open(path)?;
    for line in lines.by_ref() {
        let line = line?;
        if line.is_blank() {
            continue;
        }
        match line.letter() {
            Ok(letter) => {
                table.add_row(row(line.number, &letter));
                *kinds.entry((letter.component, kind_of(&letter.reason))).or_default() += 1;
            }
            Err(error) => {
                is_clean = false;
                say_error(&error.context(format!("{}:{}", path.display(), line.number)));
            }
        }
    }
    lines.say_what_is_torn();
    if kinds.is_empty() {
        say(&format!("{} holds no dead letters", path.display()));
        return Ok(is_clean);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, n_letters)| std::cmp::Reverse(*n_letters));
    let text: String = kinds
        .into_iter()
        .map(|((component, kind), n_letters)| format!("{:>8}  {component}: {kind}\n", count(n_letters)))
        .collect();
    reads_on(write!(out, "{table}\n{text}").and_then(|()| out.flush()))?;
    Ok(is_clean)
}

fn row(number: usize, letter: &DeadLetter) -> [Cell; 6] {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let entry = letter.record.entry.map(|entry| entry.number.to_string());
    [
        right(number.to_string()),
        Cell::new(&letter.time),
        Cell::new(&letter.component),
        Cell::new(letter.record.origin.to_string()),
        right(entry.unwrap_or_default()),
        Cell::new(&letter.reason),
    ]
}

/// A reason without the numbers in it, by which those differ that are the same at heart.
fn kind_of(reason: &str) -> String {
    let mut kind = String::with_capacity(reason.len());
    let (mut before, mut is_number) = (' ', false);
    for char in reason.chars() {
        let was_number = is_number;
        // The 3 of `s3` belongs to a word.
        is_number = char.is_ascii_digit() && (was_number || !before.is_alphanumeric());
        match (is_number, was_number) {
            (true, false) => kind.push('N'),
            (true, true) => {}
            (false, _) => kind.push(char),
        }
        before = char;
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_numbers_alone_are_of_one_kind() {
        for (reason, kind) in [
            ("rows.csv:12002:5: the row has 3 cells", "rows.csv:N:N: the row has N cells"),
            ("s3://lake/stocks/stock_1.json exists", "s3://lake/stocks/stock_N.json exists"),
        ] {
            assert_eq!(kind_of(reason), kind);
        }
    }
}
