//! Progress of running pipelines: a live line per component on a terminal, log lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runner_core::Monitor;
use tokio::time::Instant;

use crate::summary::{bytes, count};

/// How often the live lines are redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// How progress is reported without a terminal.
#[derive(Clone, Copy)]
pub(crate) struct LineOutput {
    /// The time between two lines.
    pub(crate) interval: Duration,
    /// The time after which a line is printed again though no record has moved.
    pub(crate) idle_interval: Duration,
    /// Prints a line.
    pub(crate) print: fn(&ProgressLine),
}

/// What a pipeline has done so far.
pub(crate) struct ProgressLine {
    /// The name of the pipeline.
    pub(crate) pipeline: String,
    /// The records that each component has sent on or stored.
    pub(crate) text: String,
    /// How many records wait in the topics of its sources, where that is known.
    pub(crate) lag: Option<u64>,
}

impl LineOutput {
    /// Reports progress in the log.
    pub(crate) const LOG: LineOutput = LineOutput {
        interval: Duration::from_secs(30),
        idle_interval: Duration::from_mins(5),
        print: |line| {
            let ProgressLine { pipeline, text, lag } = line;
            tracing::info!(pipeline, lag, "{text}");
        },
    };
}

/// The progress display of one or more pipelines.
pub(crate) struct Progress {
    /// The live lines; empty if progress is printed line by line.
    live: Vec<(Monitor, ProgressBar)>,
    bars: MultiProgress,
    output: LineOutput,
    pipelines: Vec<(String, Vec<Monitor>)>,
}

impl Progress {
    /// A display of these pipelines, each with its name and the monitors of its components.
    pub(crate) fn new(
        pipelines: Vec<(String, Vec<Monitor>)>,
        bars: MultiProgress,
        output: LineOutput,
    ) -> Self {
        let monitors = || pipelines.iter().flat_map(|(_, monitors)| monitors);
        // Records that a sink prints to the same terminal would overwrite the live lines.
        let shares_terminal = monitors().any(|monitor| monitor.gauges.writes_to_terminal());
        if !std::io::stderr().is_terminal() || shares_terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
            return Progress { live: Vec::new(), bars, output, pipelines };
        }
        let width = monitors().map(|monitor| monitor.name.len()).max().unwrap_or(0);
        let name_width = pipelines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let style = style("{prefix} {wide_msg}");
        let live_line = |pipeline: &str, monitor: &Monitor| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
            let component = format!("{:<9} {:<width$}", monitor.kind, monitor.name);
            bar.set_prefix(if pipelines.len() > 1 {
                format!("  {pipeline:<name_width$}  {component}")
            } else {
                format!("  {component}")
            });
            (monitor.clone(), bar)
        };
        let live_lines = |(pipeline, monitors): &(String, Vec<Monitor>)| {
            monitors.iter().map(|monitor| live_line(pipeline, monitor)).collect::<Vec<_>>()
        };
        let live = pipelines.iter().flat_map(live_lines).collect();
        Progress { live, bars, output, pipelines }
    }

    /// Shows progress; does not return.
    pub(crate) async fn show(&self) {
        if self.live.is_empty() { self.print_lines().await } else { self.draw().await }
    }

    async fn print_lines(&self) {
        // The last line of each pipeline, when it was printed, and when it had changed.
        let mut printed = vec![(String::new(), Instant::now(), Instant::now()); self.pipelines.len()];
        loop {
            tokio::time::sleep(self.output.interval).await;
            for ((pipeline, monitors), (printed, printed_at, moved_at)) in
                self.pipelines.iter().zip(&mut printed)
            {
                let mut line = pipeline_line(pipeline, monitors);
                if *printed != line.text {
                    printed.clone_from(&line.text);
                    *moved_at = Instant::now();
                } else if printed_at.elapsed() < self.output.idle_interval {
                    continue;
                } else {
                    line.text += &format!("; no record for {} s", moved_at.elapsed().as_secs());
                }
                *printed_at = Instant::now();
                (self.output.print)(&line);
            }
        }
    }

    async fn draw(&self) {
        let mut samples: Vec<(Instant, u64, f64)> = vec![(Instant::now(), 0, 0.0); self.live.len()];
        loop {
            for ((monitor, bar), (sampled, n_before, rate)) in self.live.iter().zip(&mut samples) {
                let n_records = monitor.counts().records_out;
                let seconds = sampled.elapsed().as_secs_f64();
                if seconds > 0.9 {
                    *rate = n_records.saturating_sub(*n_before) as f64 / seconds;
                    (*sampled, *n_before) = (Instant::now(), n_records);
                }
                bar.set_message(component_line(monitor, *rate));
            }
            tokio::time::sleep(REDRAW_INTERVAL).await;
        }
    }

    /// Removes the live lines before the summary is printed.
    pub(crate) fn clear(&self) {
        // This fails only if the terminal is gone.
        let _ = self.bars.clear();
        // The caller may add bars of its own later, so only these are removed.
        for (_, bar) in &self.live {
            self.bars.remove(bar);
        }
    }
}

/// A spinner that turns while the caller waits; hidden if stderr is not a terminal.
pub(crate) fn spinner(bars: &MultiProgress) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner().with_style(style("  {spinner} {wide_msg}")));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn pipeline_line(pipeline: &str, monitors: &[Monitor]) -> ProgressLine {
    let component = |monitor: &Monitor| format!("{} {}", monitor.name, count(monitor.counts().records_out));
    let components: Vec<_> = monitors.iter().map(component).collect();
    ProgressLine {
        pipeline: pipeline.to_owned(),
        text: format!("records out: {}", components.join(", ")),
        lag: monitors.iter().filter_map(|monitor| monitor.gauges.lag()).reduce(|sum, lag| sum + lag),
    }
}

fn component_line(monitor: &Monitor, rate: f64) -> String {
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
    for (n, name) in
        [(counts.filtered, "filtered"), (counts.rejected, "rejected"), (counts.retries, "retries")]
    {
        if n > 0 {
            line += &format!("  {} {name}", count(n));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn idle_pipeline_is_reported_every_few_minutes() {
        let output = LineOutput {
            print: |line| PRINTED.lock().expect("no panic").push(line.text.clone()),
            ..LineOutput::LOG
        };
        let progress = Progress {
            live: Vec::new(),
            bars: MultiProgress::new(),
            output,
            pipelines: vec![("p".into(), Vec::new())],
        };
        let ended = tokio::time::timeout(Duration::from_mins(11), progress.print_lines()).await;
        assert!(ended.is_err());
        let printed = PRINTED.lock().expect("no panic");
        assert_eq!(printed.len(), 3, "{printed:?}");
        for (line, idle) in printed[1..].iter().zip(["no record for 300 s", "no record for 600 s"]) {
            assert!(line.contains(idle), "{printed:?}");
        }
    }
}
