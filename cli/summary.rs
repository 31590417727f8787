//! The summary of a run: a table on a terminal, plain lines elsewhere, log events with `--log-format json`.

use std::io::IsTerminal as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use runner_core::{ComponentReport, Counts, Failure, PipelineReport, Status};

use crate::arguments::{Common, LogFormat};
use crate::exit::{print_error, print_message};
use crate::repeated_warnings;

/// Shows the outcome of each pipeline, then the errors of those that failed.
pub(crate) fn show_all<'a>(reports: impl Iterator<Item = &'a PipelineReport>, common: &Common) {
    repeated_warnings::log_counts();
    if common.log_format == LogFormat::Json {
        // A program reads stderr as JSON lines, so nothing else goes there.
        return reports.for_each(log);
    }
    let mut errors = Vec::new();
    for report in reports {
        show(report);
        errors.extend(report.failure.as_ref().map(Failure::error));
    }
    errors.into_iter().for_each(print_error);
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
        let counts = it.counts;
        tracing::info!(
            pipeline,
            component = it.name,
            kind = %it.kind,
            r#type = it.plugin,
            records_in = counts.records_in,
            records_out = counts.records_out,
            bytes_out = counts.bytes_out,
            filtered = counts.filtered,
            rejected = counts.rejected,
            released = counts.released,
            retries = counts.retries,
            notes = it.notes.join("; "),
            "component ended"
        );
    }
    let (status, duration_ms) = (status(report), report.duration_ms);
    if let Some(failure) = &report.failure {
        tracing::error!(pipeline, status, duration_ms, "{:#}", failure.error());
    } else {
        tracing::info!(pipeline, status, duration_ms, "{}", report.reason);
    }
}

fn show(report: &PipelineReport) {
    let status = status(report);
    let reason = if report.failure.is_some() { String::new() } else { format!(": {}", report.reason) };
    let seconds = report.duration_ms as f64 / 1000.0;
    print_message(&format!("{} {status} after {seconds:.1} s{reason}", report.name));
    if std::io::stderr().is_terminal() {
        print_message(&table(report).to_string());
    } else {
        report.components.iter().for_each(|component| print_message(&plain(component)));
    }
    for component in &report.components {
        component.notes.iter().for_each(|note| print_message(&format!("  {}: {note}", component.name)));
    }
}

fn table(report: &PipelineReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec!["component", "type", "records in", "records out", "bytes out"];
    let has_any = |count: fn(&Counts) -> u64| report.components.iter().any(|it| count(&it.counts) > 0);
    let extra = [
        ("filtered", has_any(|it| it.filtered)),
        ("rejected", has_any(|it| it.rejected)),
        ("released", has_any(|it| it.released)),
        ("retries", has_any(|it| it.retries)),
    ];
    header.extend(extra.iter().filter(|(_, shown)| *shown).map(|(name, _)| *name));
    table.set_header(header);
    for it in &report.components {
        let counts = it.counts;
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let mut row = vec![
            Cell::new(&it.name),
            Cell::new(format!("{} {}", it.plugin, it.kind)),
            right(count(counts.records_in)),
            right(count(counts.records_out)),
            right(bytes(counts.bytes_out)),
        ];
        let values = [counts.filtered, counts.rejected, counts.released, counts.retries];
        row.extend(extra.iter().zip(values).filter(|((_, shown), _)| *shown).map(|(_, n)| right(count(n))));
        table.add_row(row);
    }
    table
}

fn plain(component: &ComponentReport) -> String {
    let ComponentReport { name, kind, plugin, counts, .. } = component;
    let Counts { records_in, records_out, .. } = counts;
    let mut line = format!(
        "  {kind} {name} ({plugin}): {records_in} in, {records_out} out, {} out",
        bytes(counts.bytes_out)
    );
    let counts = [
        (counts.filtered, "filtered"),
        (counts.rejected, "rejected"),
        (counts.released, "released"),
        (counts.retries, "retries"),
    ];
    for (n, name) in counts {
        if n > 0 {
            line += &format!(", {n} {name}");
        }
    }
    line
}

/// A number with thousands separators.
pub(crate) fn count(n: u64) -> String {
    indicatif::HumanCount(n).to_string()
}

/// A number of bytes with a unit.
pub(crate) fn bytes(n: u64) -> String {
    indicatif::BinaryBytes(n).to_string()
}
