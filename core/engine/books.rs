//! The books of a run: what became of the records of each source, and what every
//! component may say of itself in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Error;

use super::ack_tracker::AckTracker;
use super::control::Control;
use crate::pipeline::{Counts, Monitor};
use crate::plugin::Kind;
use crate::progress::Counters;

pub(crate) struct Books {
    /// The trackers of the sources.
    pub(crate) trackers: Vec<(usize, Arc<AckTracker>)>,
    /// For every component those that take their input from it.
    pub(crate) consumers: Vec<Vec<usize>>,
}

impl Books {
    /// Takes out of the counters what was not delivered after all, and fails the run if anything
    /// was lost without an error to show for it.
    pub(crate) fn close(&self, monitors: &[Monitor], is_aborted: bool, control: &Control) {
        for (node, tracker) in &self.trackers {
            let lost = tracker.n_failed();
            if lost > 0 && !is_aborted && !control.has_failed() {
                control.fail(*node, Error::msg(format!(
                    "{lost} records were dropped on their way without being stored; they will be read again. This is a bug in a plugin"
                )));
            }
        }
        // Where everything was delivered every count is true as it stands.
        if self.trackers.iter().any(|(_, tracker)| tracker.n_failed() + tracker.n_released() > 0) {
            self.correct(monitors);
        }
    }

    /// What waited somewhere when the run ended is unread again, and nobody has dealt with it:
    /// sinks have dealt with what they have stored or rejected, and whoever is in front of
    /// another component with what that one has dealt with.
    fn correct(&self, monitors: &[Monitor]) {
        let mut counts: Vec<Counts> = monitors.iter().map(Monitor::counts).collect();
        // Every component comes after its inputs.
        for (node, monitor) in monitors.iter().enumerate().rev() {
            if monitor.kind == Kind::Transform {
                let taken = self.consumers[node].iter().map(|&next| counts[next].records_in).max();
                counts[node].records_out = taken.unwrap_or(counts[node].records_out);
            }
            let Counts { records_out, filtered, rejected, .. } = counts[node];
            counts[node].records_in = records_out + filtered + rejected;
        }
        for (node, tracker) in &self.trackers {
            let n_ended = tracker.n_delivered() + tracker.n_refused();
            let mut n_out = n_ended.saturating_sub(counts[*node].rejected);
            let line = self.line_behind(*node);
            // What a transform has filtered out of records that were released is unread as well.
            let transforms = || line.iter().copied().filter(|&it| monitors[it].kind == Kind::Transform);
            if let Some(&first) = line.first() {
                let n_filtered: u64 = transforms().map(|it| counts[it].filtered).sum();
                let mut surplus = counts[first].records_in.saturating_sub(n_out).min(n_filtered);
                for it in transforms() {
                    let here = surplus.min(counts[it].filtered);
                    counts[it].records_in -= surplus;
                    counts[it].filtered -= here;
                    surplus -= here;
                    counts[it].records_out -= surplus;
                }
                // What was stored when everything was dropped has been stored.
                n_out = n_out.max(counts[first].records_in);
            }
            counts[*node].records_out = n_out;
            counts[*node].records_in = n_out + counts[*node].rejected;
        }
        for (monitor, counts) in monitors.iter().zip(&counts) {
            set(&monitor.counters, counts);
        }
    }

    /// The components behind a source up to the first that is a sink, sends to several, or has
    /// several inputs (which does not belong to it).
    fn line_behind(&self, source: usize) -> Vec<usize> {
        let n_inputs = |node| self.consumers.iter().flatten().filter(|&&it| it == node).count();
        let mut line = Vec::new();
        let mut node = source;
        while let [next] = self.consumers[node][..]
            && n_inputs(next) == 1
        {
            line.push(next);
            node = next;
        }
        line
    }
}

/// Sets the counters; the bytes, of which nobody knows whose they were, in proportion.
fn set(counters: &Counters, counts: &Counts) {
    let set = |records: &AtomicU64, bytes: &AtomicU64, n: u64| {
        let before = records.swap(n, Relaxed).max(1);
        if n < before {
            let share = n as f64 / before as f64;
            bytes.store((bytes.load(Relaxed) as f64 * share).round() as u64, Relaxed);
        }
    };
    set(&counters.records_in, &counters.bytes_in, counts.records_in);
    set(&counters.records_out, &counters.bytes_out, counts.records_out);
    counters.filtered.store(counts.filtered, Relaxed);
}
