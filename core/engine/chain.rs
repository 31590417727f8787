//! The task of a chain of transforms: no channel is between them.

use std::ops::ControlFlow::{Break, Continue};

use anyhow::{Error, Result};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::node::Node;
use super::outputs::{Outputs, release_all};
use crate::batch::Batch;
use crate::error::Failure;
use crate::observer::Event;
use crate::stop::Flow;
use crate::transform::{Output, Transform};

/// One transform of a chain.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) transform: Box<dyn Transform>,
    /// Whether it wants no more records.
    pub(crate) is_stopped: bool,
}

pub(crate) struct ChainTask {
    pub(crate) stages: Vec<Stage>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    /// The outputs of the last stage: one, or one for each of their names.
    pub(crate) outputs: Vec<Outputs>,
}

/// A failure, and the node that it belongs to.
struct Failed {
    node: Node,
    failure: Failure,
}

impl ChainTask {
    pub(crate) async fn run(self) {
        let ChainTask { mut stages, mut inbox, outputs } = self;
        while let Some(batch) = inbox.recv().await {
            // Receiving makes room in the channel, which wakes the task before this one. tokio would run it next on this
            // thread; after a yield another thread can take one of the two.
            tokio::task::yield_now().await;
            match pass(&mut stages, &outputs, batch).await {
                Ok(Continue(())) => {}
                Ok(Break(())) => break,
                Err(Failed { node, failure }) => {
                    node.fail(failure);
                    break;
                }
            }
        }
        release_all(&mut inbox, &stages[0].node.counters).await;
        for index in 0..stages.len() {
            let (front, rest) = stages.split_at_mut(index + 1);
            let stage = &mut front[index];
            let mut out = StageOutput::new(&stage.node, rest, &outputs);
            let finished = stage.transform.finish(&mut out).await;
            match (finished, out.failed.take()) {
                (Err(_), Some(Failed { node, failure })) => node.fail(failure),
                (Err(error), None) => stage.node.fail(error),
                (Ok(()), _) => {}
            }
        }
    }
}

/// Sends a batch into the first of `stages`.
async fn pass(stages: &mut [Stage], outputs: &[Outputs], mut batch: Batch) -> Result<Flow, Failed> {
    let Some((stage, rest)) = stages.split_first_mut() else {
        return Ok(outputs[0].send(batch).await);
    };
    if stage.is_stopped {
        batch.release();
        return Ok(Break(()));
    }
    batch.leave().count_out();
    batch.enter(&stage.node.counters);
    let mut out = StageOutput::new(&stage.node, rest, outputs);
    let flow = stage.transform.apply(batch, &mut out).await;
    match (flow, out.failed.take()) {
        // The failure of a later stage was returned through this one.
        (Err(_), Some(failed)) => Err(failed),
        (Err(error), None) => Err(Failed { node: stage.node.clone(), failure: error.into() }),
        (Ok(Continue(())), _) => Ok(Continue(())),
        (Ok(Break(())), _) => {
            stage.is_stopped = true;
            // A bad record has stopped everything before this stage.
            if !out.is_stopped {
                stage.node.control.stop_upstream(stage.node.index);
            }
            Ok(Break(()))
        }
    }
}

/// What one stage sends to: the stages after it, then the outputs of the chain.
struct StageOutput<'a> {
    node: &'a Node,
    rest: &'a mut [Stage],
    outputs: &'a [Outputs],
    /// Whether a bad record has ended the run: what is sent after that is the last.
    is_stopped: bool,
    failed: Option<Failed>,
}

impl<'a> StageOutput<'a> {
    fn new(node: &'a Node, rest: &'a mut [Stage], outputs: &'a [Outputs]) -> Self {
        StageOutput { node, rest, outputs, is_stopped: false, failed: None }
    }
}

#[async_trait]
impl Output for StageOutput<'_> {
    async fn send(&mut self, batch: Batch) -> Result<Flow> {
        let flow = if batch.is_empty() {
            batch.ack();
            Continue(())
        } else {
            match pass(self.rest, self.outputs, batch).await {
                Ok(flow) => flow,
                Err(failed) => {
                    let message = format!("`{}` has failed", failed.node.name());
                    self.failed = Some(failed);
                    return Err(Error::msg(message));
                }
            }
        };
        Ok(if self.is_stopped { Break(()) } else { flow })
    }

    async fn send_to(&mut self, output: usize, batch: Batch) -> Result<Flow> {
        // A stage with named outputs is the last of its chain.
        self.node.counters.observe(Event::Routed(output, batch.records()));
        let flow = self.outputs[output].send(batch).await;
        Ok(if self.is_stopped { Break(()) } else { flow })
    }

    fn is_read(&self, output: usize) -> bool {
        !self.outputs[output].is_empty()
    }

    async fn reject(&mut self, batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch> {
        let (rest, flow) = self.node.reject(batch, rejects).await;
        self.is_stopped |= flow.is_break();
        Ok(rest)
    }

    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> Flow {
        if self.node.stores_nothing {
            return if self.node.stop.is_cancelled() { Break(()) } else { Continue(()) };
        }
        tokio::select! {
            biased;
            () = self.node.stop.cancelled() => Break(()),
            () = sleep_until(deadline) => Continue(()),
        }
    }
}
