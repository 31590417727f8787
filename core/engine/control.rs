//! Who stops whom: one token for the run, one for each component below it.

use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Error;
use tokio_util::sync::CancellationToken;

/// What ended the run, if it did not end by itself.
#[derive(Debug)]
pub(crate) struct RunFailure {
    pub(crate) component: String,
    pub(crate) error: Error,
}

/// The stop tokens of a run and the first failure.
#[derive(Debug)]
pub(crate) struct Control {
    /// Cancelled when the whole run is to stop: by a signal, or by a failure.
    pub(crate) stop: CancellationToken,
    /// Cancelled by whoever asks the run to stop.
    asked: CancellationToken,
    nodes: Vec<Node>,
    failure: Mutex<Option<RunFailure>>,
    /// Who wanted nothing more, and so ended the run in order.
    satisfied: OnceLock<String>,
}

#[derive(Debug)]
struct Node {
    name: String,
    stop: CancellationToken,
    inputs: Vec<usize>,
}

impl Control {
    /// For components given by name and inputs, the inputs as indices.
    pub(crate) fn new(
        components: impl IntoIterator<Item = (String, Vec<usize>)>,
        stop: &CancellationToken,
    ) -> Self {
        let asked = stop.clone();
        let stop = stop.child_token();
        let node = |(name, inputs)| Node { name, stop: stop.child_token(), inputs };
        Control {
            nodes: components.into_iter().map(node).collect(),
            stop: stop.clone(),
            asked,
            failure: Mutex::default(),
            satisfied: OnceLock::new(),
        }
    }

    /// The token that tells one component to stop.
    pub(crate) fn token(&self, node: usize) -> CancellationToken {
        self.nodes[node].stop.clone()
    }

    /// Whether somebody has asked the run to stop; a failure does not ask.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.asked.is_cancelled()
    }

    pub(crate) fn name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    /// Ends the run: the first failure is the one that is reported.
    pub(crate) fn fail(&self, node: usize, error: Error) {
        self.fail_as(self.name(node).to_owned(), error);
    }

    pub(crate) fn fail_as(&self, component: String, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some(RunFailure { component, error });
        } else {
            tracing::warn!(component, "failed as well: {error:#}");
        }
        self.stop.cancel();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The component whose limit has ended the run, if one has.
    pub(crate) fn satisfied(&self) -> Option<&str> {
        self.satisfied.get().map(String::as_str)
    }

    pub(crate) fn take_failure(&self) -> Option<RunFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// `node` wants nothing more: stops the sources that feed it and all that
    /// they feed, but for `node` and what lies behind it, which has records to finish.
    pub(crate) fn stop_upstream(&self, node: usize) {
        if !self.nodes[node].stop.is_cancelled() {
            self.satisfied.get_or_init(|| self.name(node).to_owned());
        }
        let above = self.reach(node, |from, to| self.nodes[from].inputs.contains(&to));
        let below = self.reach(node, |from, to| self.nodes[to].inputs.contains(&from));
        for source in (0..self.nodes.len()).filter(|&it| above[it] && self.nodes[it].inputs.is_empty()) {
            let fed = self.reach(source, |from, to| self.nodes[to].inputs.contains(&from));
            for it in (0..self.nodes.len()).filter(|&it| fed[it] && !below[it]) {
                self.nodes[it].stop.cancel();
            }
        }
    }

    /// Which nodes can be reached from `start`, itself included.
    fn reach(&self, start: usize, is_edge: impl Fn(usize, usize) -> bool) -> Vec<bool> {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![start];
        while let Some(from) = waiting.pop() {
            if !std::mem::replace(&mut seen[from], true) {
                waiting.extend((0..self.nodes.len()).filter(|&to| !seen[to] && is_edge(from, to)));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_stops_what_feeds_it_and_its_siblings_but_not_what_lies_behind() {
        // source 0 feeds the limit 1 and the sink 3; the sink 2 lies behind the limit; 4 feeds 5.
        let inputs: [&[usize]; 6] = [&[], &[0], &[1], &[0], &[], &[4]];
        let stop = CancellationToken::new();
        let control = Control::new(inputs.map(|inputs| (String::new(), inputs.to_vec())), &stop);
        control.stop_upstream(1);
        let is_stopped: Vec<bool> = (0..6).map(|node| control.token(node).is_cancelled()).collect();
        assert_eq!(is_stopped, [true, false, false, true, false, false]);
    }
}
