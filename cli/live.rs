//! What flows, on a terminal: one live line a component.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner_core::Monitor;

use crate::summary::{bytes, count};

/// How often the lines are drawn anew.
const EVERY: Duration = Duration::from_millis(250);

/// The live lines; none where stderr is no terminal.
pub(crate) struct Live {
    lines: Vec<(Monitor, ProgressBar)>,
    bars: MultiProgress,
}

impl Live {
    /// Lines for the components of these pipelines, each under the name of its own if there are several.
    pub(crate) fn new(pipelines: &[(String, Vec<Monitor>)], bars: MultiProgress) -> Self {
        let monitors = || pipelines.iter().flat_map(|(_, monitors)| monitors);
        // Records that go to the same terminal would tear the lines apart.
        let shares_terminal =
            std::io::stdout().is_terminal() && monitors().any(|monitor| monitor.plugin == "console");
        if !std::io::stderr().is_terminal() || shares_terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
            return Live { lines: Vec::new(), bars };
        }
        let width = monitors().map(|monitor| monitor.name.len()).max().unwrap_or(0);
        let name_width = pipelines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let style = ProgressStyle::with_template("{prefix} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = |pipeline: &str, monitor: &Monitor| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
            let component = format!("{:<9} {:<width$}", monitor.kind, monitor.name);
            bar.set_prefix(if pipelines.len() > 1 {
                format!("  {pipeline:<name_width$}  {component}")
            } else {
                format!("  {component}")
            });
            (monitor.clone(), bar)
        };
        let of = |(pipeline, monitors): &(String, Vec<Monitor>)| {
            monitors.iter().map(|monitor| line(pipeline, monitor)).collect::<Vec<_>>()
        };
        let lines = pipelines.iter().flat_map(of).collect();
        Live { lines, bars }
    }

    /// Draws for ever.
    pub(crate) async fn draw(&self) {
        let mut before: Vec<(Instant, u64, f64)> = vec![(Instant::now(), 0, 0.0); self.lines.len()];
        loop {
            for ((monitor, bar), (then, n_then, rate)) in self.lines.iter().zip(&mut before) {
                let n_records = monitor.counts().records_out;
                let seconds = then.elapsed().as_secs_f64();
                if seconds > 0.9 {
                    *rate = n_records.saturating_sub(*n_then) as f64 / seconds;
                    (*then, *n_then) = (Instant::now(), n_records);
                }
                bar.set_message(line(monitor, *rate));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Takes the lines away, to make place for the summary.
    pub(crate) fn clear(&self) {
        // A terminal that is gone needs no clearing.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn line(monitor: &Monitor, rate: f64) -> String {
    let counts = monitor.counts();
    let mut line = format!(
        "{:>12} records {:>10}/s {:>10}",
        count(counts.records_out),
        count(rate.round() as u64),
        bytes(counts.bytes_out)
    );
    if let Some((position, size)) = monitor.gauges.position() {
        line += &format!("  {:.1} % of {}", position as f64 * 100.0 / size as f64, bytes(size));
    }
    if let Some(lag) = monitor.gauges.lag() {
        line += &format!("  lag {}", count(lag));
    }
    for (n, what) in
        [(counts.filtered, "filtered"), (counts.rejected, "rejected"), (counts.retries, "retries")]
    {
        if n > 0 {
            line += &format!("  {} {what}", count(n));
        }
    }
    line
}
