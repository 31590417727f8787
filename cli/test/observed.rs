//! What a test observes while its pipeline runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use runner_core::{Event, Observer, Record};

/// The records that left or reached each component, and the reasons of rejects.
#[derive(Default)]
pub(super) struct Observed(Mutex<BTreeMap<String, AtComponent>>);

#[derive(Clone, Default)]
pub(super) struct AtComponent {
    pub(super) received: Vec<Vec<u8>>,
    pub(super) sent: Vec<Vec<u8>>,
    /// What was sent to each of its outputs, by their indices.
    pub(super) routed: BTreeMap<usize, Vec<Vec<u8>>>,
    pub(super) rejected: Vec<String>,
}

impl Observed {
    pub(super) fn at(&self, component: &str) -> AtComponent {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(component).cloned().unwrap_or_default()
    }
}

impl Observer for Observed {
    fn observe(&self, component: &str, event: Event<'_>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.entry(component.to_owned()).or_default();
        match event {
            Event::Received(records) => at.received.extend(records.iter().map(body)),
            Event::Sent(records) => at.sent.extend(records.iter().map(body)),
            Event::Routed(output, records) => {
                at.routed.entry(output).or_default().extend(records.iter().map(body));
            }
            Event::Rejected(_, reason) => at.rejected.push(format!("{reason:#}")),
            Event::Filtered(_) | Event::WouldStore(..) => {}
        }
    }
}

fn body(record: &Record) -> Vec<u8> {
    record.to_bytes().unwrap_or_default().to_vec()
}
