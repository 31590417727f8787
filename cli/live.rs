//! What flows: one live line a component on a terminal, now and then a line a pipeline elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner_core::Monitor;

use crate::summary::{bytes, count};

/// How often the lines are drawn anew.
const EVERY: Duration = Duration::from_millis(250);

/// How it is told what flows where nobody looks at a terminal.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    /// How often, as long as something flows.
    pub(crate) every: Duration,
    /// Takes a line.
    pub(crate) say: fn(&str),
}

impl Plain {
    /// Lines of the log.
    pub(crate) const LOG: Plain =
        Plain { every: Duration::from_secs(30), say: |line| tracing::info!("{line}") };
}

/// The live lines, or what is said in their place.
pub(crate) struct Live {
    lines: Vec<(Monitor, ProgressBar)>,
    bars: MultiProgress,
    plain: Plain,
    pipelines: Vec<(String, Vec<Monitor>)>,
}

impl Live {
    /// Lines for the components of these pipelines, each under the name of its own if there are several.
    pub(crate) fn new(pipelines: Vec<(String, Vec<Monitor>)>, bars: MultiProgress, plain: Plain) -> Self {
        let monitors = || pipelines.iter().flat_map(|(_, monitors)| monitors);
        // Records that go to the same terminal would tear the lines apart.
        let shares_terminal =
            std::io::stdout().is_terminal() && monitors().any(|monitor| monitor.plugin == "console");
        if !std::io::stderr().is_terminal() || shares_terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
            return Live { lines: Vec::new(), bars, plain, pipelines };
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
        Live { lines, bars, plain, pipelines }
    }

    /// Shows for ever what flows.
    pub(crate) async fn show(&self) {
        if self.lines.is_empty() { self.tell().await } else { self.draw().await }
    }

    async fn tell(&self) {
        let mut told = vec![String::new(); self.pipelines.len()];
        loop {
            tokio::time::sleep(self.plain.every).await;
            for ((pipeline, monitors), told) in self.pipelines.iter().zip(&mut told) {
                let line = plain_line(pipeline, monitors);
                if *told != line {
                    (self.plain.say)(&line);
                    *told = line;
                }
            }
        }
    }

    async fn draw(&self) {
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
        // These lines alone: what comes after may have some of its own.
        for (_, bar) in &self.lines {
            self.bars.remove(bar);
        }
    }
}

/// A line that moves for as long as something is waited for, where somebody looks.
pub(crate) fn waiting(bars: &MultiProgress) -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = bars.add(ProgressBar::new_spinner().with_style(style));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// How many records each component of a pipeline has sent on.
fn plain_line(pipeline: &str, monitors: &[Monitor]) -> String {
    let component = |monitor: &Monitor| format!("{} {}", monitor.name, count(monitor.counts().records_out));
    let components: Vec<_> = monitors.iter().map(component).collect();
    format!("{pipeline}: {} records", components.join(", "))
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
