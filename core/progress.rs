//! What a component shows while it runs: counters that the engine keeps, and gauges that the
//! component sets.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::observer::{Event, Observation};

/// Counted by the engine, once a batch.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records_in: AtomicU64,
    pub(crate) records_out: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Who is told what happens to the records.
    observation: Option<Observation>,
}

impl Counters {
    /// The counters of a component that is observed.
    pub(crate) fn observed(observation: Observation) -> Self {
        Counters { observation: Some(observation), ..Counters::default() }
    }

    pub(crate) fn observe(&self, event: Event<'_>) {
        if let Some(observation) = &self.observation {
            observation.observe(event);
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Set by the component, for the terminal and the report.
#[derive(Debug)]
pub struct Gauges {
    position: AtomicU64,
    size: AtomicU64,
    lag: AtomicI64,
    notes: Mutex<Vec<String>>,
    writes_to_terminal: AtomicBool,
}

impl Default for Gauges {
    fn default() -> Self {
        Gauges {
            position: AtomicU64::new(0),
            size: AtomicU64::new(0),
            lag: AtomicI64::new(-1),
            notes: Mutex::default(),
            writes_to_terminal: AtomicBool::new(false),
        }
    }
}

impl Gauges {
    /// How many bytes of how many have been read; a size of 0 is unknown.
    pub fn set_position(&self, position: u64, size: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
    }

    /// How many records are waiting in the topics.
    pub fn set_lag(&self, n_records: u64) {
        self.lag.store(i64::try_from(n_records).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Adds a line to the final report, such as the table that a crawler has created. The same
    /// line is added once.
    pub fn note(&self, line: impl Into<String>) {
        let line = line.into();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&line) {
            notes.push(line);
        }
    }

    /// The component prints records to the terminal, so live progress lines there would be overwritten.
    pub fn set_writes_to_terminal(&self) {
        self.writes_to_terminal.store(true, Ordering::Relaxed);
    }

    /// The position and the size in bytes, if the size is known.
    pub fn position(&self) -> Option<(u64, u64)> {
        let size = self.size.load(Ordering::Relaxed);
        (size > 0).then(|| (self.position.load(Ordering::Relaxed), size))
    }

    /// How many records are waiting, if known.
    pub fn lag(&self) -> Option<u64> {
        u64::try_from(self.lag.load(Ordering::Relaxed)).ok()
    }

    /// Whether the component prints records to the terminal.
    pub fn writes_to_terminal(&self) -> bool {
        self.writes_to_terminal.load(Ordering::Relaxed)
    }

    /// The lines for the final report.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
