//! The closing report: a table on a terminal, plain lines elsewhere, events in a log of JSON.

use std::io::IsTerminal as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use runner_core::{ComponentReport, PipelineReport, Status};

use crate::arguments::{Common, LogFormat};
use crate::exit::{say, say_error};

/// Shows how pipelines have ended, and what made those fail that did.
pub(crate) fn show_all<'a>(reports: impl Iterator<Item = &'a PipelineReport>, common: &Common) {
    if common.log_format == LogFormat::Json {
        // Who reads the log as JSON gets nothing else on stderr.
        return reports.for_each(log);
    }
    let mut errors = Vec::new();
    for report in reports {
        show(report);
        errors.extend(&report.error);
    }
    errors.into_iter().for_each(say_error);
}

fn status(report: &PipelineReport) -> &'static str {
    match report.status {
        Status::Completed => "completed",
        Status::Stopped => "stopped",
        Status::Failed => "failed",
    }
}

fn log(report: &PipelineReport) {
    let pipeline = &report.name;
    for it in &report.components {
        tracing::info!(
            pipeline,
            component = it.name,
            kind = %it.kind,
            r#type = it.plugin,
            records_in = it.records_in,
            records_out = it.records_out,
            bytes_out = it.bytes_out,
            filtered = it.filtered,
            rejected = it.rejected,
            retries = it.retries,
            notes = it.notes.join("; "),
            "component ended"
        );
    }
    let (status, duration_ms) = (status(report), report.duration_ms);
    if let Some(error) = &report.error {
        tracing::error!(pipeline, status, duration_ms, "{error:#}");
    } else {
        tracing::info!(pipeline, status, duration_ms, "{}", report.reason);
    }
}

fn show(report: &PipelineReport) {
    let status = status(report);
    let reason = if report.error.is_some() { String::new() } else { format!(": {}", report.reason) };
    let seconds = report.duration_ms as f64 / 1000.0;
    say(&format!("{} {status} after {seconds:.1} s{reason}", report.name));
    if std::io::stderr().is_terminal() {
        say(&table(report).to_string());
    } else {
        report.components.iter().for_each(|component| say(&plain(component)));
    }
    for component in &report.components {
        component.notes.iter().for_each(|note| say(&format!("  {}: {note}", component.name)));
    }
}

fn table(report: &PipelineReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec!["component", "type", "records in", "records out", "bytes out"];
    let extra = [
        ("filtered", report.components.iter().any(|it| it.filtered > 0)),
        ("rejected", report.components.iter().any(|it| it.rejected > 0)),
        ("retries", report.components.iter().any(|it| it.retries > 0)),
    ];
    header.extend(extra.iter().filter(|(_, shown)| *shown).map(|(name, _)| *name));
    table.set_header(header);
    for it in &report.components {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let mut row = vec![
            Cell::new(&it.name),
            Cell::new(format!("{} {}", it.plugin, it.kind)),
            right(count(it.records_in)),
            right(count(it.records_out)),
            right(bytes(it.bytes_out)),
        ];
        let values = [it.filtered, it.rejected, it.retries];
        row.extend(extra.iter().zip(values).filter(|((_, shown), _)| *shown).map(|(_, n)| right(count(n))));
        table.add_row(row);
    }
    table
}

fn plain(component: &ComponentReport) -> String {
    let ComponentReport { name, kind, plugin, records_in, records_out, .. } = component;
    let mut line = format!(
        "  {kind} {name} ({plugin}): {records_in} in, {records_out} out, {} out",
        bytes(component.bytes_out)
    );
    for (n, what) in
        [(component.filtered, "filtered"), (component.rejected, "rejected"), (component.retries, "retries")]
    {
        if n > 0 {
            line += &format!(", {n} {what}");
        }
    }
    line
}

/// A number with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes for people.
pub(crate) fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(104_224), "104,224");
        assert_eq!(count(1_000_000), "1,000,000");
    }
}
