//! Turns built components into tasks and the channels between them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use super::RunOptions;
use super::ack_tracker::AckTracker;
use super::books::Books;
use super::chain::{ChainTask, Stage, Tail};
use super::checkpoint::{Checkpoint, Folder};
use super::control::{Control, RunFailure};
use super::dead_letter::DeadLetters;
use super::entry_allocator::EntryAllocator;
use super::outputs::{Outputs, channel};
use super::sink::SinkTask;
use super::source::{SourceTask, connect};
use super::transaction_gate::TransactionGate;
use super::writer::Writer;
use crate::in_flight::InFlight;
use crate::pipeline::{Component, Pipeline};
use crate::plugin::{Built, Kind};
use crate::progress::Counters;
use crate::sink::Sink;
use crate::source::{Replay, Start};

/// A pipeline whose components are open and whose tasks run.
pub(crate) struct Wired {
    pub(crate) tasks: JoinSet<()>,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) books: Books,
}

/// Opens every component and starts the tasks; `None` if the run was stopped meanwhile.
pub(crate) async fn wire(
    mut pipeline: Pipeline,
    options: &RunOptions,
    control: &Arc<Control>,
) -> Result<Option<Wired>, RunFailure> {
    let mut numbers = take_up(&pipeline, options.from_start)?;
    if !open(&mut pipeline, &numbers, options.from_start, control).await? {
        return Ok(None);
    }
    restart_at(&mut pipeline, &mut numbers);
    let in_flight = Arc::new(InFlight::new(pipeline.batch.in_flight));
    let retry = pipeline.retry;
    let gate = gate(&pipeline.components);
    let writer = |node: usize, sink: Box<dyn Sink>, counters: &Arc<Counters>| Writer {
        sink: Arc::from(sink),
        node,
        limits: retry,
        stop: control.token(node),
        control: Arc::clone(control),
        counters: Arc::clone(counters),
        gate: gate.get(node).cloned().flatten(),
        is_broken: AtomicBool::new(false),
    };
    let dead_letter_node = pipeline.components.len();
    let dead_letter = pipeline.dead_letter.take().and_then(|component| match component.built {
        Built::Sink(sink) => Some(writer(dead_letter_node, sink, &component.counters)),
        Built::Source(_) | Built::Transform(_) => None,
    });
    let dead_letters = Arc::new(DeadLetters::new(&pipeline.name, dead_letter));
    let plan = Plan::new(&pipeline.components);
    let is_sink: Vec<bool> = pipeline.components.iter().map(|it| it.kind() == Kind::Sink).collect();
    let (senders, inboxes): (Vec<_>, Vec<_>) = pipeline.components.iter().map(|_| channel()).unzip();
    let mut inboxes: Vec<_> = inboxes.into_iter().map(Some).collect();
    let mut inbox_of = |node: usize| inboxes[node].take().expect("a channel has one reader");
    let fan =
        |node: usize| Outputs::new(plan.consumers[node].iter().map(|&next| senders[next].clone()).collect());
    let mut tasks = JoinSet::new();
    let mut trackers = Vec::new();
    let mut chains: Vec<Vec<Stage>> = Vec::new();
    chains.resize_with(pipeline.components.len(), Vec::new);

    // Every component comes after its inputs, so a chain is complete at its last stage.
    for (node, component) in pipeline.components.into_iter().enumerate() {
        let counters = component.counters;
        match component.built {
            Built::Source(source) => {
                let tracker = Arc::new(AckTracker::new(Arc::clone(&in_flight)));
                trackers.push((node, Arc::clone(&tracker)));
                let task = SourceTask {
                    node,
                    source,
                    tracker,
                    numbers: numbers[node].take().map(|(numbers, _)| Arc::new(numbers)),
                    gate: gate[node].clone(),
                    next: fan(node),
                    limits: retry,
                    stop: control.token(node),
                    control: Arc::clone(control),
                    counters,
                    dead_letters: Arc::clone(&dead_letters),
                };
                tasks.spawn(task.run());
            }
            Built::Transform(transform) => {
                let stage = Stage { node, transform, stop: control.token(node), counters, is_closed: false };
                let head = plan.heads[node];
                chains[head].push(stage);
                if plan.is_last(node) {
                    let tail = Tail {
                        next: fan(node),
                        dead_letters: Arc::clone(&dead_letters),
                        control: Arc::clone(control),
                    };
                    let stages = std::mem::take(&mut chains[head]);
                    tasks.spawn(ChainTask { stages, inbox: inbox_of(head), tail }.run());
                }
            }
            Built::Sink(sink) => {
                let writer = Arc::new(writer(node, sink, &counters));
                let task = SinkTask {
                    writer,
                    inbox: inbox_of(node),
                    next: fan(node),
                    dead_letters: Arc::clone(&dead_letters),
                    follows_sink: component.inputs.iter().any(|&input| is_sink[input]),
                };
                tasks.spawn(task.run());
            }
        }
    }
    let books = Books { trackers, consumers: plan.consumers };
    Ok(Some(Wired { tasks, dead_letters, books }))
}

/// Who feeds whom, and which transforms share a task.
struct Plan {
    consumers: Vec<Vec<usize>>,
    /// For every transform the first one of its chain.
    heads: Vec<usize>,
}

impl Plan {
    fn new(components: &[Component]) -> Self {
        let mut consumers = vec![Vec::new(); components.len()];
        for (node, component) in components.iter().enumerate() {
            for &input in &component.inputs {
                consumers[input].push(node);
            }
        }
        let mut heads: Vec<usize> = (0..components.len()).collect();
        for (node, component) in components.iter().enumerate() {
            if let [input] = component.inputs[..]
                && component.kind() == Kind::Transform
                && components[input].kind() == Kind::Transform
                && consumers[input].len() == 1
            {
                heads[node] = heads[input];
            }
        }
        Plan { consumers, heads }
    }

    /// Whether a transform sends to channels rather than to the next of its chain.
    fn is_last(&self, node: usize) -> bool {
        !matches!(self.consumers[node][..], [next] if self.heads[next] == self.heads[node])
    }
}

/// What a sink that writes in transactions shares with its source, for both of them.
fn gate(components: &[Component]) -> Vec<Option<Arc<TransactionGate>>> {
    let mut all = vec![None; components.len()];
    for (sink, component) in components.iter().enumerate() {
        let Built::Sink(built) = &component.built else { continue };
        if built.transaction().is_some() {
            let gate = Arc::new(TransactionGate::default());
            all[sink] = Some(Arc::clone(&gate));
            // Everything that reaches it has come from one source, in one line.
            let mut source = sink;
            while let Some(&input) = components[source].inputs.first() {
                source = input;
            }
            all[source] = Some(gate);
        }
    }
    all
}

/// The numbers of every source that counts, and where it starts.
type Past = Vec<Option<(EntryAllocator, Start)>>;

fn take_up(pipeline: &Pipeline, from_start: bool) -> Result<Past, RunFailure> {
    let failure = |component: &str| {
        let component = component.to_owned();
        move |error| RunFailure { component, error }
    };
    let mut folder = None;
    if pipeline.keeps_checkpoints() {
        folder = Some(Arc::new(Folder::open(&pipeline.data_dir).map_err(failure("data_dir"))?));
    }
    let past = pipeline.components.iter().map(|component| {
        let (Built::Source(source), Some(folder)) = (&component.built, &folder) else { return Ok(None) };
        let numbering = source.replay();
        if numbering == Replay::External {
            return Ok(None);
        }
        let fresh = Checkpoint::new(&pipeline.name, &component.name, component.plugin, source.identity());
        let past = EntryAllocator::resume(
            Arc::clone(folder),
            fresh,
            |old| old.migrated_to(source.as_ref()),
            numbering,
            from_start,
        );
        past.map(Some).map_err(failure(&component.name))
    });
    past.collect()
}

/// Has the sources begin with new numbers that have found other records than they had left.
fn restart_at(pipeline: &mut Pipeline, past: &mut Past) {
    for (component, past) in pipeline.components.iter_mut().zip(past) {
        if let (Built::Source(source), Some((numbers, _))) = (&mut component.built, past)
            && let Some(position) = source.restart_position()
        {
            numbers.restart_at(position);
        }
    }
}

/// Opens all components at once: a missing file is told at once, whatever a
/// broker takes to answer. False if the run was stopped meanwhile.
async fn open(
    pipeline: &mut Pipeline,
    past: &Past,
    from_start: bool,
    control: &Control,
) -> Result<bool, RunFailure> {
    let retry = pipeline.retry;
    let components = pipeline.components.iter_mut().chain(&mut pipeline.dead_letter);
    let opened = components.enumerate().map(|(node, component)| async move {
        let Component { name, built, .. } = component;
        let start = past.get(node).and_then(Option::as_ref).map(|(_, start)| start);
        let opened = match built {
            Built::Source(source) => {
                let start = start.cloned().unwrap_or(Start { position: None, from_start });
                connect(name, &retry, &control.stop, async || source.open(&start).await).await
            }
            Built::Transform(_) => Ok(true),
            Built::Sink(sink) => connect(name, &retry, &control.stop, async || sink.open().await).await,
        };
        opened.map_err(|error| RunFailure { component: name.clone(), error })
    });
    let opened = try_join_all(opened).await?;
    Ok(opened.into_iter().all(|is_open| is_open))
}
