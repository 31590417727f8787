//! Runs that store nothing and move no position: dry runs and tests.
//!
//! A dry run reads the real sources. A test reads given records or files.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;

use crate::batch::Batch;
use crate::checkpoint::Checkpoints;
use crate::error::Failure;
use crate::observer::{Event, Observation, Observer};
use crate::pipeline::{Component, DEAD_LETTER, Pipeline};
use crate::plugin::Built;
use crate::position::{Position, Start};
use crate::progress::{Counters, Gauges};
use crate::read_batch::ReadBatch;
use crate::record::{Name, Origin, Record};
use crate::sink::{Sink, WriteError};
use crate::source::{Fixture, Next, Replay, Source};

/// What a component of a test is given.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Records that leave the component, which does not run itself. It counts as their origin.
    Records(Vec<Record>),
    /// A file that the component, a source, reads in place of its system.
    Fixture(Fixture),
}

impl Pipeline {
    /// A pipeline that reads its real sources from where they would resume, at most `n_records`
    /// of each, and stores nothing. The observer is told what would be stored where.
    #[must_use]
    pub fn into_dry_run(mut self, n_records: u64, observer: &Arc<dyn Observer>) -> Pipeline {
        for component in &mut self.components {
            let built = std::mem::replace(&mut component.built, Built::Sink(Box::new(Discard)));
            component.built = match built {
                Built::Source(mut source) => {
                    source.set_dry_run();
                    Built::Source(Box::new(FirstRecords { source, left: n_records }))
                }
                other => other,
            };
        }
        self.checkpoints = Checkpoints::ReadOnly;
        self.replace_sinks(observer)
    }

    /// A pipeline in which the named components are replaced by what they are given, and in which
    /// only the components after them remain. It reads no checkpoint and stores nothing.
    pub fn into_test(mut self, feeds: Vec<(String, Feed)>, observer: &Arc<dyn Observer>) -> Result<Pipeline> {
        let mut feeds: BTreeMap<String, Vec<Feed>> =
            feeds.into_iter().fold(BTreeMap::new(), |mut all, (name, feed)| {
                all.entry(name).or_default().push(feed);
                all
            });
        let mut components: Vec<Component> = Vec::new();
        // The new place of each output of a component, if that remains.
        let mut places: Vec<Vec<Option<(usize, usize)>>> = Vec::new();
        for mut component in std::mem::take(&mut self.components) {
            let inputs = component.inputs.iter().zip(&component.input_outputs);
            (component.inputs, component.input_outputs) =
                inputs.filter_map(|(&input, &output)| places[input][output]).unzip();
            let place = components.len();
            let outputs = component.outputs().to_vec();
            let mut new_outputs: Vec<_> = (0..component.n_outputs()).map(|it| Some((place, it))).collect();
            let mut is_fed = false;
            for output in std::iter::once(None).chain(outputs.iter().map(Some)) {
                let name =
                    output.map_or_else(|| component.name.clone(), |it| format!("{}.{it}", component.name));
                let Some(given) = feeds.remove(&name) else { continue };
                if std::mem::replace(&mut is_fed, true) {
                    bail!(
                        "`{}` is given records for several of its outputs; use one test for each",
                        component.name
                    );
                }
                // What it is given leaves by one output, which has no name.
                let is_open = |it: &String| output.is_none_or(|output| output == it);
                if !outputs.is_empty() {
                    new_outputs = outputs.iter().map(|it| is_open(it).then_some((place, 0))).collect();
                }
                feed(&mut component, given)?;
            }
            let is_left = is_fed || !component.inputs.is_empty();
            places.push(if is_left { new_outputs } else { vec![None; new_outputs.len()] });
            if is_left {
                components.push(component);
            }
        }
        if let Some(name) = feeds.keys().next() {
            bail!("no component is called `{name}`");
        }
        self.components = components;
        self.checkpoints = Checkpoints::Ignored;
        Ok(self.replace_sinks(observer))
    }

    /// Replaces the sinks, and tells the observer what happens at each component.
    fn replace_sinks(mut self, observer: &Arc<dyn Observer>) -> Pipeline {
        for component in &mut self.components {
            let observation = Observation::new(&component.name, observer);
            let built = std::mem::replace(&mut component.built, Built::Sink(Box::new(Discard)));
            component.built = match built {
                Built::Sink(sink) => {
                    Built::Sink(Box::new(Unopened { sink, observation: observation.clone() }))
                }
                other => other,
            };
            component.counters = Arc::new(Counters::observed(observation));
        }
        self.dead_letter = Some(Component {
            name: DEAD_LETTER.into(),
            plugin: "null",
            inputs: Vec::new(),
            input_outputs: Vec::new(),
            built: Built::Sink(Box::new(Discard)),
            gauges: Arc::new(Gauges::default()),
            counters: Arc::new(Counters::default()),
            is_dead_letter: true,
        });
        self.stores_nothing = true;
        self
    }
}

/// Makes a component of a test read what it is given.
fn feed(component: &mut Component, given: Vec<Feed>) -> Result<()> {
    let name = &component.name;
    let mut records = Vec::new();
    let mut fixtures = Vec::new();
    for feed in given {
        match feed {
            Feed::Records(given) => records.extend(given),
            Feed::Fixture(fixture) => fixtures.push(fixture),
        }
    }
    match (&fixtures[..], records.is_empty()) {
        ([], _) => {
            component.inputs = Vec::new();
            component.input_outputs = Vec::new();
            component.built = Built::Source(Box::new(GivenRecords { source: Name::new(name), records }));
            Ok(())
        }
        ([fixture], true) => {
            let Built::Source(source) = &mut component.built else {
                bail!("`{name}` is not a source, and only a source reads a file");
            };
            let reader = source.fixture().ok_or_else(|| anyhow!("`{name}` cannot read a file in a test"))?;
            reader.read_from(fixture).with_context(|| format!("reading {}", fixture.path.display()))
        }
        _ => bail!("`{name}` is given a file and something else"),
    }
}

/// A source of given records.
struct GivenRecords {
    source: Name,
    records: Vec<Record>,
}

#[async_trait]
impl Source for GivenRecords {
    fn identity(&self) -> String {
        "given records".into()
    }

    async fn open(&mut self, _: &Start) -> Result<(), Failure> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let mut records = std::mem::take(&mut self.records);
        if records.is_empty() {
            return Ok(Next::End);
        }
        for (record, offset) in records.iter_mut().zip(0..) {
            record.origin = Origin { source: self.source, partition: 0, offset };
        }
        Ok(Next::Batch(ReadBatch::new(records)))
    }
}

/// The first records of another source.
struct FirstRecords {
    source: Box<dyn Source>,
    left: u64,
}

// A dry run commits no position and reads no fixture, so these methods keep their defaults.
#[async_trait]
impl Source for FirstRecords {
    fn identity(&self) -> String {
        self.source.identity()
    }

    fn replay(&self) -> Replay {
        self.source.replay()
    }

    fn can_resume_from(&self, identity: &str) -> bool {
        self.source.can_resume_from(identity)
    }

    async fn open(&mut self, start: &Start) -> Result<(), Failure> {
        self.source.open(start).await
    }

    fn restart_position(&mut self) -> Option<Position> {
        self.source.restart_position()
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        if self.left == 0 {
            return Ok(Next::End);
        }
        Ok(match self.source.next().await? {
            Next::Batch(batch) => {
                let batch = batch.first(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= batch.n_items() as u64;
                Next::Batch(batch)
            }
            other => other,
        })
    }

    fn end_reading(&mut self) {
        self.source.end_reading();
    }

    async fn close(&mut self) -> Result<()> {
        self.source.close().await
    }
}

/// A sink that is neither opened nor written to.
struct Unopened {
    sink: Box<dyn Sink>,
    observation: Observation,
}

#[async_trait]
impl Sink for Unopened {
    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let mut failures = Vec::new();
        for (index, record) in batch.records().iter().enumerate() {
            match self.sink.destination(record) {
                Ok(place) => self.observation.observe(Event::WouldStore(record, place)),
                Err(reason) => failures.push((index, Failure::rejected(reason))),
            }
        }
        WriteError::of_records(failures)
    }
}

/// Acknowledges everything.
struct Discard;

#[async_trait]
impl Sink for Discard {
    async fn write(&self, _: &Batch) -> Result<(), WriteError> {
        Ok(())
    }
}
