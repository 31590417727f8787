//! Stops: one token for the run, one for its sources, and one for each component.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Class, Failure};
use crate::stop::StopReason;

/// What ended the run, if it did not end by itself.
#[derive(Debug)]
pub(crate) struct RunFailure {
    pub(crate) component: String,
    pub(crate) failure: Failure,
}

/// The stop tokens of a run and the first failure.
#[derive(Debug)]
pub(crate) struct Control {
    /// Cancelled when the whole run must stop: by a signal, or by a failure.
    pub(crate) stop: CancellationToken,
    /// Cancelled with `stop`, or when a source has failed or a bad record ends the run: the rest of the run may
    /// take the drain timeout.
    pub(crate) draining: CancellationToken,
    /// Cancelled with `draining`, or when a source has failed whose records cannot be read again: no source
    /// reads any more, and what was read is delivered.
    pub(crate) input_ended: CancellationToken,
    /// Cancelled with `stop` by a failure, not by the caller: what cannot be read again is delivered after a stop.
    failed: CancellationToken,
    /// Cancelled by the caller of the run.
    requested: CancellationToken,
    /// The writes of all sinks. They have tasks of their own, which may outlive that of their sink for a moment.
    pub(crate) writes: TaskTracker,
    components: Vec<ComponentStop>,
    /// In the order in which they occurred, each with the component that rejected a record, if that is the cause.
    failures: Mutex<Vec<(Option<usize>, RunFailure)>>,
    /// The components that wanted no more records, and so ended the run.
    limits: Mutex<Vec<usize>>,
}

#[derive(Debug)]
struct ComponentStop {
    name: String,
    stop: CancellationToken,
    inputs: Vec<usize>,
    is_source: bool,
    /// For a source: whether what it has read can be read again.
    can_read_again: bool,
    /// Whether it passes on all that it receives after a stop was requested: some of it cannot be read again.
    finishes: bool,
}

/// A component as the stops see it.
#[derive(Debug)]
pub(crate) struct ComponentInfo {
    pub(crate) name: String,
    pub(crate) inputs: Vec<usize>,
    /// Whether it is a source that can never read again what it has read.
    pub(crate) reads_once: bool,
}

impl Control {
    /// For components with their inputs as indices, each after its inputs. The sink of `[dead_letter]` has none, and
    /// comes behind the first `n_components`, which are those of the file.
    pub(crate) fn new(
        described: impl IntoIterator<Item = ComponentInfo>,
        n_components: usize,
        stop: &CancellationToken,
    ) -> Self {
        let requested = stop.clone();
        let stop = stop.child_token();
        let draining = stop.child_token();
        let input_ended = draining.child_token();
        let failed = CancellationToken::new();
        let mut components: Vec<ComponentStop> = Vec::new();
        for (index, ComponentInfo { name, inputs, reads_once }) in described.into_iter().enumerate() {
            let is_source = inputs.is_empty() && index < n_components;
            // Any component may have sent the dead letters.
            let finishes = if index < n_components {
                inputs.iter().any(|&input| components[input].finishes || !components[input].can_read_again)
            } else {
                components.iter().any(|component| !component.can_read_again)
            };
            let parent = match (is_source, finishes) {
                (true, _) => &input_ended,
                (false, true) => &failed,
                (false, false) => &stop,
            };
            let stop = parent.child_token();
            components.push(ComponentStop {
                name,
                stop,
                inputs,
                is_source,
                can_read_again: !reads_once,
                finishes,
            });
        }
        Control {
            writes: TaskTracker::new(),
            components,
            stop: stop.clone(),
            failed,
            draining: draining.clone(),
            input_ended: input_ended.clone(),
            requested,
            failures: Mutex::default(),
            limits: Mutex::default(),
        }
    }

    /// The token that tells one component to stop.
    pub(crate) fn token(&self, component: usize) -> CancellationToken {
        self.components[component].stop.clone()
    }

    /// Whether a component passes on all that it receives after a stop was requested.
    pub(crate) fn finishes(&self, component: usize) -> bool {
        self.components[component].finishes
    }

    /// Whether what this source has read can be read again.
    pub(crate) fn can_read_again(&self, source: usize) -> bool {
        self.components[source].can_read_again
    }

    /// Cancelled when what was read is not delivered any more, also if it cannot be read again.
    pub(crate) fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// What becomes of records that are abandoned, for messages.
    pub(crate) fn fate_of_abandoned(&self) -> &'static str {
        if self.components.iter().all(|component| component.can_read_again) {
            "the rest will be read again"
        } else {
            "the rest is abandoned"
        }
    }

    /// Whether the caller has asked the run to stop; a failure does not count.
    pub(crate) fn is_stop_requested(&self) -> bool {
        self.requested.is_cancelled()
    }

    /// Why the whole run stops, if it does.
    pub(crate) fn stop_reason(&self) -> StopReason {
        if self.has_failed() {
            StopReason::Failed
        } else if self.is_stop_requested() {
            StopReason::Requested
        } else if self.limit().is_some() {
            StopReason::LimitReached
        } else {
            StopReason::InputEnded
        }
    }

    pub(crate) fn name(&self, component: usize) -> &str {
        &self.components[component].name
    }

    /// Ends the run: the first failure is the one that is reported.
    pub(crate) fn fail(&self, component: usize, failure: Failure) {
        self.fail_as(self.name(component).to_owned(), failure);
    }

    /// Ends the run because a source cannot read on. What the sources have returned before is delivered.
    pub(crate) fn fail_source(&self, component: usize, failure: Failure) {
        let ended = if failure.delivers_first() { &self.input_ended } else { &self.draining };
        self.note(None, self.name(component).to_owned(), failure);
        ended.cancel();
    }

    /// Ends the run because of a record that `component` has rejected. What `component` has passed on before it is
    /// delivered, in the drain timeout; everything else stops. If that is enough for a limit after `component`, the run
    /// has not failed: this record was only read ahead.
    pub(crate) fn fail_for_record(&self, component: usize, failure: Failure) {
        self.note(Some(component), self.name(component).to_owned(), failure);
        self.draining.cancel();
        let is_downstream = self.downstream_of(component);
        for (other, _) in
            self.components.iter().zip(&is_downstream).filter(|(_, is_downstream)| !**is_downstream)
        {
            other.stop.cancel();
        }
    }

    pub(crate) fn fail_as(&self, component: String, failure: Failure) {
        self.note(None, component, failure);
        self.stop.cancel();
        self.failed.cancel();
    }

    /// Keeps a failure, and logs all but the first.
    fn note(&self, rejected_by: Option<usize>, component: String, failure: Failure) {
        let mut failures = lock(&self.failures);
        if !failures.is_empty() && failure.class() != Class::OutputClosed {
            tracing::warn!(component, "failed as well: {:#}", failure.error());
        }
        failures.push((rejected_by, RunFailure { component, failure }));
    }

    /// Whether a failure counts. That of a rejected record does not if a limit downstream was reached before it.
    fn counts(&self, rejected_by: Option<usize>) -> bool {
        rejected_by.is_none_or(|component| {
            let after = self.downstream_of(component);
            !lock(&self.limits).iter().any(|&limit| after[limit])
        })
    }

    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.failures).iter().any(|(rejected_by, _)| self.counts(*rejected_by))
    }

    /// The first failure, for messages.
    pub(crate) fn describe_failure(&self) -> Option<String> {
        let failures = lock(&self.failures);
        let (_, first) = failures.iter().find(|(rejected_by, _)| self.counts(*rejected_by))?;
        Some(format!("`{}` has failed: {:#}", first.component, first.failure.error()))
    }

    /// The component whose limit has ended the run, if there is one.
    pub(crate) fn limit(&self) -> Option<&str> {
        lock(&self.limits).first().map(|&limit| self.name(limit))
    }

    pub(crate) fn take_failure(&self) -> Option<RunFailure> {
        for (rejected_by, failure) in std::mem::take(&mut *lock(&self.failures)) {
            if self.counts(rejected_by) {
                return Some(failure);
            }
            tracing::warn!(
                component = failure.component,
                "{:#}. This run has reached its limit before that record; a later run ends there",
                failure.failure.error()
            );
        }
        None
    }

    /// `component` wants no more records: stops the sources that feed it and everything that they feed,
    /// except `component` and what it feeds, which has records to finish.
    pub(crate) fn stop_upstream(&self, component: usize) {
        if !self.components[component].stop.is_cancelled() {
            lock(&self.limits).push(component);
        }
        let is_upstream =
            self.reachable_from(component, |from, to| self.components[from].inputs.contains(&to));
        let is_downstream = self.downstream_of(component);
        for source in
            (0..self.components.len()).filter(|&it| is_upstream[it] && self.components[it].is_source)
        {
            let is_fed = self.downstream_of(source);
            for other in (0..self.components.len()).filter(|&it| is_fed[it] && !is_downstream[it]) {
                self.components[other].stop.cancel();
            }
        }
    }

    /// Which components get records of this one, itself included.
    fn downstream_of(&self, component: usize) -> Vec<bool> {
        self.reachable_from(component, |from, to| self.components[to].inputs.contains(&from))
    }

    /// Which components can be reached from `start`, itself included.
    fn reachable_from(&self, start: usize, is_edge: impl Fn(usize, usize) -> bool) -> Vec<bool> {
        let mut seen = vec![false; self.components.len()];
        let mut waiting = vec![start];
        while let Some(from) = waiting.pop() {
            if !std::mem::replace(&mut seen[from], true) {
                waiting.extend((0..self.components.len()).filter(|&to| !seen[to] && is_edge(from, to)));
            }
        }
        seen
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_stops_its_sources_and_siblings_but_nothing_downstream() {
        // source 0 feeds the limit 1 and the sink 3; the limit feeds the sink 2; 4 feeds 5.
        let inputs: [&[usize]; 6] = [&[], &[0], &[1], &[0], &[], &[4]];
        let stop = CancellationToken::new();
        let component = |inputs: &[usize]| ComponentInfo {
            name: String::new(),
            inputs: inputs.to_vec(),
            reads_once: false,
        };
        let control = Control::new(inputs.map(component), 6, &stop);
        control.stop_upstream(1);
        let is_stopped: Vec<bool> = (0..6).map(|component| control.token(component).is_cancelled()).collect();
        assert_eq!(is_stopped, [true, false, false, true, false, false]);
    }

    #[test]
    fn requested_stop_reaches_all_but_readers_of_a_pipe() {
        // The pipe 0 and the file 1 feed the transform 2, and that the sink 3; the file 1 feeds the sink 4; 5 is the sink
        // of the dead letters.
        let inputs: [&[usize]; 6] = [&[], &[], &[0, 1], &[2], &[1], &[]];
        let component = |(index, inputs): (usize, &[usize])| ComponentInfo {
            name: String::new(),
            inputs: inputs.to_vec(),
            reads_once: index == 0,
        };
        let stop = CancellationToken::new();
        let control = Control::new(inputs.into_iter().enumerate().map(component), 5, &stop);
        let stopped = || [0, 1, 2, 3, 4, 5].map(|component| control.token(component).is_cancelled());
        stop.cancel();
        assert_eq!(stopped(), [true, true, false, false, true, false]);
        control.fail(3, Failure::fatal(anyhow::anyhow!("broken")));
        assert_eq!(stopped(), [true; 6]);
    }
}
