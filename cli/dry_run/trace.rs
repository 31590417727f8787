//! What a dry run has observed, sorted by the records of the sources.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runner_core::{Body, Event, Kind, Name, Observer, Origin, Pipeline, Record};

/// The way of each record through one pipeline.
pub(super) struct Trace {
    pub(super) pipeline: String,
    /// The name of each component, its kind and its type, in the order of the flow.
    pub(super) components: Vec<(String, Kind, &'static str)>,
    /// Why each component filters a record.
    pub(super) filter_reasons: Vec<&'static str>,
    /// The names of the outputs of each component; none if it has one output without a name.
    outputs: Vec<Vec<String>>,
    records: Mutex<Vec<Traced>>,
}

/// One record of a source.
pub(super) struct Traced {
    origin: Origin,
    /// The source that gave the record its entry number. Two sources that read one file give equal origins.
    counted_by: Option<Name>,
    /// Its entry number, if it has one.
    pub(super) entry: Option<String>,
    /// What has happened, in the order in which it happened.
    pub(super) steps: Vec<TracedStep>,
}

/// What has become of a record, or of a part of it, at one component.
pub(super) struct TracedStep {
    /// The index of the component.
    pub(super) component: usize,
    /// The entry number of the record or part, if it has one.
    pub(super) entry: Option<String>,
    pub(super) step: Step,
}

/// What a component has done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// The columns are those of a row.
    Sent {
        body: Vec<u8>,
        columns: Option<String>,
    },
    Routed(String),
    Filtered,
    Rejected(String),
    Stored(Option<String>),
}

impl Trace {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let monitors = pipeline.monitors();
        Trace {
            pipeline: pipeline.name.clone(),
            filter_reasons: monitors.iter().map(|it| it.filter_reason).collect(),
            outputs: monitors.iter().map(|it| pipeline.outputs(&it.name)).collect(),
            components: monitors.into_iter().map(|it| (it.name, it.kind, it.plugin)).collect(),
            records: Mutex::default(),
        }
    }

    /// The records, those of each source in the order in which they were read.
    pub(super) fn sorted(&self) -> MutexGuard<'_, Vec<Traced>> {
        let mut records = self.records();
        let mut sources = Vec::new();
        for traced in records.iter() {
            if !sources.contains(&(traced.counted_by, traced.origin.source)) {
                sources.push((traced.counted_by, traced.origin.source));
            }
        }
        records.sort_by_key(|Traced { origin, counted_by, .. }| {
            let source = sources.iter().position(|source| *source == (*counted_by, origin.source));
            (source, origin.partition, origin.offset)
        });
        records
    }

    fn records(&self) -> MutexGuard<'_, Vec<Traced>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, component: usize, record: &Record, step: Step) {
        let mut all = self.records();
        let (origin, counted_by) = (record.origin, record.entry.as_ref().map(|entry| entry.source));
        let is_of_record = |it: &Traced| it.origin == origin && it.counted_by == counted_by;
        let mut traced = all.iter().rposition(is_of_record);
        let entry = record.entry.as_ref().map(|entry| entry.text().to_string());
        if traced.is_none() {
            all.push(Traced { origin, counted_by, entry: entry.clone(), steps: Vec::new() });
            traced = Some(all.len() - 1);
        }
        let traced = traced.expect("it was just added");
        all[traced].steps.push(TracedStep { component, entry, step });
    }
}

impl Observer for Trace {
    fn observe(&self, component: &str, event: Event<'_>) {
        let Some(index) = self.components.iter().position(|(name, ..)| name == component) else { return };
        let kind = self.components[index].1;
        match event {
            Event::Routed(output, records) => {
                let output = self.outputs[index].get(output).cloned().unwrap_or_default();
                for record in records {
                    self.add(index, record, Step::Routed(output.clone()));
                }
            }
            Event::Sent(records) if kind != Kind::Sink && self.outputs[index].is_empty() => {
                for record in records {
                    let body = record.to_bytes().unwrap_or_default().to_vec();
                    self.add(index, record, Step::Sent { body, columns: columns(record) });
                }
            }
            Event::Filtered(record) => self.add(index, record, Step::Filtered),
            Event::Rejected(record, reason) => self.add(index, record, Step::Rejected(format!("{reason:#}"))),
            Event::WouldStore(record, place) => self.add(index, record, Step::Stored(place)),
            Event::Received(_) | Event::Sent(_) => {}
        }
    }
}

/// The names of the columns of a row.
fn columns(record: &Record) -> Option<String> {
    let Body::Row(row) = &record.body else { return None };
    let names: Vec<&str> = row.header().columns().iter().map(|column| &*column.name).collect();
    Some(names.join(", "))
}
