//! Prints the way of each record through a pipeline.

use std::fmt::Write as _;

use super::trace::{Step, Trace, Traced, TracedStep};

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The trace of a pipeline as text with colours.
pub(super) fn text(trace: &Trace) -> String {
    let records = trace.sorted();
    let mut text = String::new();
    for (traced, number) in records.iter().zip(1..) {
        write_record(&mut text, trace, traced, number).expect("writing to a string does not fail");
    }
    if records.is_empty() {
        text += &format!("{}: no source has given a record\n", trace.pipeline);
    }
    text
}

fn write_record(text: &mut String, trace: &Trace, traced: &Traced, number: usize) -> std::fmt::Result {
    let entry = traced.entry.as_ref().map_or_else(String::new, |entry| format!(", entry {entry}"));
    writeln!(text, "{BOLD}{}: record {number}{entry}{PLAIN}", trace.pipeline)?;
    let name_width = trace.components.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let type_width = trace.components.iter().map(|(.., plugin)| plugin.len()).max().unwrap_or(0);
    let mut last = None;
    for TracedStep { component, entry, step } in &traced.steps {
        let (name, _, plugin) = &trace.components[*component];
        write!(text, "  {name:<name_width$}  {DIM}{plugin:<type_width$}{PLAIN}  ")?;
        // A part of a record has a number of its own.
        if *entry != traced.entry
            && let Some(entry) = entry
        {
            write!(text, "{DIM}entry {entry}{PLAIN}  ")?;
        }
        match step {
            Step::Sent { .. } if last == Some((entry, step)) => writeln!(text, "{DIM}unchanged{PLAIN}")?,
            Step::Sent { body, columns } => {
                write!(text, "{}", shown(body))?;
                // A transform may give other names to the same cells.
                if let (Some(columns), Some((_, Step::Sent { columns: Some(before), .. }))) = (columns, last)
                    && columns != before
                {
                    write!(text, "  {DIM}columns {}{PLAIN}", shown(columns.as_bytes()))?;
                }
                text.push('\n');
                last = Some((entry, step));
            }
            Step::Routed(output) => writeln!(text, "to {name}.{output}")?,
            Step::Filtered => {
                let reason = trace.filter_reasons[*component];
                let colon = if reason.is_empty() { "" } else { ": " };
                writeln!(text, "{DIM}filtered{colon}{reason}{PLAIN}")?;
            }
            Step::Rejected(reason) => writeln!(text, "{RED}rejected{PLAIN}: {reason}")?,
            Step::Stored(Some(place)) => writeln!(text, "{GREEN}would store{PLAIN}: {place}")?,
            Step::Stored(None) => writeln!(text, "{GREEN}would receive it{PLAIN}")?,
        }
    }
    text.push('\n');
    Ok(())
}

/// A body on one line, with control characters escaped: a terminal would execute them.
fn shown(body: &[u8]) -> String {
    if body.is_empty() {
        return format!("{DIM}(no body){PLAIN}");
    }
    let mut shown = String::new();
    for char in String::from_utf8_lossy(body).chars() {
        if char.is_control() { shown.extend(char.escape_default()) } else { shown.push(char) }
    }
    shown
}
