//! Turns built components into tasks and the channels between them.

use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::RunOptions;
use super::ack_tracker::AckTracker;
use super::chain::{ChainTask, Stage};
use super::control::{Control, RunFailure};
use super::node::{Node, RejectsTo};
use super::open::open;
use super::outputs::{Outputs, channel};
use super::resume::{Resume, resume, resume_states};
use super::sink::SinkTask;
use super::source::SourceTask;
use super::transaction_gate::TransactionGate;
use crate::batch::Batch;
use crate::in_flight::InFlight;
use crate::pipeline::{Component, Pipeline};
use crate::pipeline_options::RetryLimits;
use crate::plugin::{Built, Kind};
use crate::position::Start;
use crate::sink::Sink;
use crate::stop::Flow;

/// The tasks of a pipeline, and what has become of the records of each source.
pub(super) struct RunningTasks {
    pub(super) tasks: JoinSet<()>,
    pub(super) trackers: Vec<(usize, Arc<AckTracker>)>,
}

/// A component and everything that connects it with others.
struct Wiring {
    component: Component,
    /// The components that take their input from each output of this one.
    consumers: Vec<Vec<usize>>,
    sender: mpsc::Sender<Batch>,
    inbox: mpsc::Receiver<Batch>,
    /// For a source: where it resumes. `None` if its records bring their entry numbers along.
    resume: Option<Resume>,
    /// For a sink that writes in transactions, and for its source.
    gate: Option<Arc<TransactionGate>>,
    /// Whether a sink has stored what comes in.
    follows_sink: bool,
}

/// Opens every component and starts the tasks; `None` if the run was stopped meanwhile.
pub(super) async fn wire(
    pipeline: Pipeline,
    options: &RunOptions,
    control: &Arc<Control>,
) -> Result<Option<RunningTasks>, RunFailure> {
    let (retry, batch, name) = (pipeline.retry, pipeline.batch, Arc::from(pipeline.name.as_str()));
    let stores_nothing = pipeline.stores_nothing;
    let mut wires = wires(pipeline, options.from_start)?;
    if open_all(&mut wires, retry, options.from_start, control).await?.is_break() {
        return Ok(None);
    }
    restart(&mut wires);
    let senders: Vec<_> = wires.iter().map(|wire| wire.sender.clone()).collect();
    let dead_letters = wires.iter().position(|wire| wire.component.is_dead_letter);
    let node = |index: usize, component: &Component| Node {
        index,
        stop: control.token(index),
        counters: Arc::clone(&component.counters),
        control: Arc::clone(control),
        retry,
        pipeline: Arc::clone(&name),
        rejects: match dead_letters {
            None => RejectsTo::Nothing,
            Some(it) if it == index => RejectsTo::NothingElse,
            Some(it) => RejectsTo::DeadLetters(senders[it].clone()),
        },
        stores_nothing,
    };
    let in_flight = Arc::new(InFlight::new(batch.in_flight));
    let mut wired = RunningTasks { tasks: JoinSet::new(), trackers: Vec::new() };
    // Every component comes after its inputs, so the stages of a chain are met in their order.
    let mut chains: Vec<Chain> = Vec::new();
    for (index, wire) in wires.into_iter().enumerate() {
        let Wiring { component, consumers, inbox, resume, gate, follows_sink, .. } = wire;
        let node = node(index, &component);
        let mut outputs: Vec<Outputs> = consumers
            .iter()
            .map(|of_output| Outputs::new(of_output.iter().map(|&next| senders[next].clone()).collect()))
            .collect();
        match component.built {
            Built::Source(source) => {
                let outputs = outputs.swap_remove(0);
                let tracker = Arc::new(AckTracker::new(Arc::clone(&in_flight), index));
                wired.trackers.push((index, Arc::clone(&tracker)));
                let entries = resume.map(|resume| Arc::new(resume.entries));
                let task = SourceTask { source, node, tracker, entries, gate, outputs };
                wired.tasks.spawn(task.run());
            }
            Built::Transform(transform) => {
                let is_linear = transform.outputs().is_empty() && consumers[0].len() == 1;
                let stages = vec![Stage { node, transform, is_stopped: false }];
                let chain = Chain { stages, inbox, outputs, last: index, is_linear };
                add_chain(chain, &component.inputs, &mut chains);
            }
            Built::Sink(sink) => {
                let outputs = outputs.swap_remove(0);
                let writes_all = follows_sink || component.is_dead_letter || control.finishes(index);
                let sink = Arc::from(sink);
                let task = SinkTask { sink, node, inbox, outputs, writes_all, gate };
                wired.tasks.spawn(task.run());
            }
        }
    }
    for Chain { stages, inbox, outputs, .. } in chains {
        wired.tasks.spawn(ChainTask { stages, inbox, outputs }.run());
    }
    Ok(Some(wired))
}

/// Transforms that follow each other without a fork between them: they share a task.
struct Chain {
    stages: Vec<Stage>,
    inbox: mpsc::Receiver<Batch>,
    outputs: Vec<Outputs>,
    /// The component of the last stage.
    last: usize,
    /// Whether the last stage has one output, and only one component takes its input from it.
    is_linear: bool,
}

/// Adds a chain of one transform, or adds this transform to the chain before it.
fn add_chain(mut chain: Chain, inputs: &[usize], chains: &mut Vec<Chain>) {
    match chains.iter_mut().find(|before| inputs == [before.last] && before.is_linear) {
        Some(before) => {
            before.stages.append(&mut chain.stages);
            (before.outputs, before.last, before.is_linear) = (chain.outputs, chain.last, chain.is_linear);
        }
        None => chains.push(chain),
    }
}

/// Connects the components with channels, and reads the checkpoints of the sources.
fn wires(pipeline: Pipeline, from_start: bool) -> Result<Vec<Wiring>, RunFailure> {
    let mut resumes = resume(&pipeline, from_start)?;
    resume_states(&pipeline.components, &mut resumes)?;
    let mut resumes = resumes.into_iter();
    let components: Vec<Component> = pipeline.components.into_iter().chain(pipeline.dead_letter).collect();
    let is_sink: Vec<bool> = components.iter().map(|it| it.kind() == Kind::Sink).collect();
    let mut consumers: Vec<_> = components.iter().map(|it| vec![Vec::new(); it.n_outputs()]).collect();
    for (index, component) in components.iter().enumerate() {
        for (&input, &output) in component.inputs.iter().zip(&component.input_outputs) {
            consumers[input][output].push(index);
        }
    }
    let mut gates = gates(&components);
    let wires = components.into_iter().zip(consumers).enumerate().map(|(index, (component, consumers))| {
        let (sender, inbox) = channel();
        let follows_sink = component.inputs.iter().any(|&input| is_sink[input]);
        let (resume, gate) = (resumes.next().flatten(), gates[index].take());
        Wiring { component, consumers, sender, inbox, resume, gate, follows_sink }
    });
    Ok(wires.collect())
}

/// The gates of sinks that write in transactions; the source of such a sink shares its gate.
fn gates(components: &[Component]) -> Vec<Option<Arc<TransactionGate>>> {
    let mut gates = vec![None; components.len()];
    for (sink, component) in components.iter().enumerate() {
        if component.sink().and_then(Sink::transactional).is_some() {
            let gate = Arc::new(TransactionGate::default());
            // All records of this sink come from one source, by one path.
            let mut source = sink;
            while let Some(&input) = components[source].inputs.first() {
                source = input;
            }
            gates[source] = Some(Arc::clone(&gate));
            gates[sink] = Some(gate);
        }
    }
    gates
}

/// Lets the sources restart with new entry numbers that have found other records than they had left.
fn restart(wires: &mut [Wiring]) {
    for wire in wires {
        if let (Built::Source(source), Some(resume)) = (&mut wire.component.built, &mut wire.resume)
            && let Some(position) = source.restart_position()
        {
            resume.entries.restart_at(position);
        }
    }
}

/// Opens all components at the same time, so that a missing file is reported at once, however
/// long a broker takes to respond.
async fn open_all(
    wires: &mut [Wiring],
    retry: RetryLimits,
    from_start: bool,
    control: &Control,
) -> Result<Flow, RunFailure> {
    let opened = wires.iter_mut().map(|wire| async move {
        let Component { name, built, .. } = &mut wire.component;
        let opened = match built {
            Built::Source(source) => {
                let start = match &wire.resume {
                    Some(resume) => resume.start.clone(),
                    None => Start { position: None, from_start },
                };
                open(name, &retry, &control.stop, async || source.open(&start).await).await
            }
            Built::Transform(_) => Ok(Continue(())),
            Built::Sink(sink) => open(name, &retry, &control.stop, async || sink.open().await).await,
        };
        opened.map_err(|failure| RunFailure { component: name.clone(), failure })
    });
    let opened = try_join_all(opened).await?;
    Ok(opened.into_iter().find(|flow| flow.is_break()).unwrap_or(Continue(())))
}
