//! `runner dlq show`: prints dead letters in full, or only the body of one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use runner_core::{Body, DeadLetter};
use serde_json::value::RawValue;

use super::indent_json::indent_json;
use super::reader::{Line, Lines};
use super::store::Store;
use crate::arguments::{Common, DlqShowArguments};
use crate::exit::{Exit, is_stdout_open};
use crate::pipeline_file;

pub(super) fn show(arguments: &DlqShowArguments, common: &Common) -> Exit {
    let (file, words) = match (&arguments.pipeline, arguments.words.split_first()) {
        (None, Some((file, numbers))) => (Some(Path::new(file)), numbers),
        (_, _) => (None, arguments.words.as_slice()),
    };
    let numbers: Result<Vec<usize>, _> = words.iter().map(|word| word.parse()).collect();
    let Ok(numbers) = numbers else {
        return Exit::usage_error(&anyhow!(
            "after the file, name dead letters by their numbers, as `list` prints them"
        ));
    };
    if arguments.body && numbers.len() != 1 {
        return Exit::usage_error(&anyhow!("--body needs the NUMBER of exactly one dead letter"));
    }
    let out = &mut io::stdout().lock();
    let show = |place: &str, lines: &mut dyn Iterator<Item = Result<Line>>, out: &mut _| {
        show_all(place, lines, &numbers, arguments.body, out)
    };
    if let Some(file) = file {
        let lines = Lines::open(file);
        let place = file.display().to_string();
        return Exit::from_result(lines.and_then(|mut lines| show(&place, &mut lines, out)));
    }
    let pipeline = arguments.pipeline.as_ref().map(|pipeline| pipeline_file::load(pipeline, None, common));
    let mut pipeline = match pipeline.transpose() {
        Ok(pipeline) => pipeline.expect("clap requires a file or a pipeline"),
        Err(exit) => return exit,
    };
    Exit::from_result(Store::of(&mut pipeline).and_then(|(store, _)| {
        let mut lines = store.lines()?.map(|line| line.map(|(_, line)| line));
        show(&store.location(), &mut lines, out)
    }))
}

/// Shows the letters with these numbers, or all.
fn show_all(
    path: &str,
    lines: &mut dyn Iterator<Item = Result<Line>>,
    numbers: &[usize],
    is_body_only: bool,
    out: &mut impl Write,
) -> Result<()> {
    let mut wanted: BTreeSet<usize> = numbers.iter().copied().collect();
    for line in lines {
        let line = line?;
        let is_wanted = wanted.remove(&line.number) || numbers.is_empty();
        if !is_wanted || line.is_blank() {
            continue;
        }
        let letter = line.letter().with_context(|| format!("{path}:{}", line.number))?;
        let text = if is_body_only {
            let body = letter.record.to_bytes();
            body.with_context(|| format!("{path}:{}: the record has no body", line.number))?.to_vec()
        } else {
            describe(line.number, &letter).into_bytes()
        };
        if !is_stdout_open(out.write_all(&text).and_then(|()| out.flush()))? {
            return Ok(());
        }
    }
    if let Some(number) = wanted.first() {
        bail!("{path} has no dead letter {number}; `runner dlq list` shows the numbers");
    }
    Ok(())
}

fn describe(number: usize, letter: &DeadLetter) -> String {
    let DeadLetter { reason, pipeline, component, time, record } = letter;
    let mut text = format!("dead letter {number}\n");
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<10} {value}").expect("writing to a string does not fail");
    };
    line("reason", reason);
    line("component", &format!("{component} of pipeline {pipeline}"));
    line("time", time);
    line("origin", &record.place().to_string());
    if let Some(entry) = &record.entry {
        line("entry", &format!("{} of {}", entry.text(), entry.source));
    }
    if let Some(timestamp) = record.timestamp {
        line("timestamp", &format!("{timestamp} ms since 1970 UTC"));
    }
    if let Some(key) = &record.key {
        line("key", &printable(key));
    }
    for header in &record.headers {
        let value = header.value.as_deref().map_or_else(|| "(no value)".into(), printable);
        line("header", &format!("{} = {value}", header.name));
    }
    if let Body::Row(row) = &record.body {
        let names: Vec<&str> = row.header().columns().iter().map(|column| &*column.name).collect();
        line("columns", &names.join(", "));
    }
    let body = record.to_bytes();
    line("body", &body.as_ref().map_or_else(|| "(none)".into(), |body| format!("{} bytes", body.len())));
    for part in pretty(&body.unwrap_or_default()).lines() {
        writeln!(text, "    {part}").expect("writing to a string does not fail");
    }
    text
}

/// Text with control characters escaped, because a terminal would execute them; other bytes in base64.
fn printable(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("(base64) {}", BASE64_STANDARD.encode(bytes));
    };
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\t' => out.push(char),
            control if control.is_control() => out.extend(control.escape_default()),
            other => out.push(other),
        }
    }
    out
}

/// JSON, indented; anything else as by [`printable`].
fn pretty(body: &[u8]) -> String {
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(json) => indent_json(json.get()),
        Err(_) => printable(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::record;

    #[test]
    fn describe_prints_every_field() {
        let mut record = record("{\"a\":[1.50]}", 3);
        record.key = Some("NYA".into());
        record.timestamp = Some(7);
        let letter = DeadLetter {
            reason: "too long".into(),
            pipeline: "producer".into(),
            component: "broker".into(),
            time: "2026-01-02T03:04:05.678Z".into(),
            record,
        };
        let expected = "dead letter 4
  reason     too long
  component  broker of pipeline producer
  time       2026-01-02T03:04:05.678Z
  origin     test/0/3
  timestamp  7 ms since 1970 UTC
  key        NYA
  body       12 bytes
    {
      \"a\": [
        1.50
      ]
    }
";
        assert_eq!(describe(4, &letter), expected);
    }

    #[test]
    fn pretty_prints_binary_as_base64_and_escapes_control_characters() {
        assert_eq!(pretty(b"\xff\x00"), "(base64) /wA=");
        assert_eq!(pretty(b"a\x1b[2Jb"), "a\\u{1b}[2Jb");
    }
}
