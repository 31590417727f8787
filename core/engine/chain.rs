//! The task of a chain of transforms: no channel stands between them.

use std::sync::Arc;

use anyhow::{Error, Result};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::dead_letter::DeadLetters;
use super::outputs::{Outputs, release_all};
use crate::batch::Batch;
use crate::progress::{Counters, add};
use crate::transform::{Flow, Output, Transform};

/// One transform of a chain.
pub(crate) struct Stage {
    pub(crate) node: usize,
    pub(crate) transform: Box<dyn Transform>,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Arc<Counters>,
    /// Set once it wants nothing more.
    pub(crate) is_closed: bool,
}

pub(crate) struct ChainTask {
    pub(crate) stages: Vec<Stage>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) tail: Tail,
}

/// What all stages of a chain share: where the last one sends, and whom they tell.
pub(crate) struct Tail {
    pub(crate) next: Outputs,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) control: Arc<Control>,
}

impl ChainTask {
    pub(crate) async fn run(self) {
        let ChainTask { mut stages, mut inbox, mut tail } = self;
        while let Some(batch) = inbox.recv().await {
            match pass(&mut stages, &mut tail, batch).await {
                Ok(Flow::Continue) => {}
                Ok(Flow::Stop) => break,
                Err((node, error)) => {
                    tail.control.fail(node, error);
                    break;
                }
            }
        }
        release_all(&mut inbox).await;
        for index in 0..stages.len() {
            let (front, rest) = stages.split_at_mut(index + 1);
            let stage = &mut front[index];
            let mut out = StageOutput::new(stage.node, &stage.stop, &stage.counters, rest, &mut tail);
            if let Err(error) = stage.transform.finish(&mut out).await {
                tail.control.fail(stage.node, error);
            }
        }
    }
}

/// Sends a batch into the first of `stages`.
async fn pass(stages: &mut [Stage], tail: &mut Tail, batch: Batch) -> Result<Flow, (usize, Error)> {
    let Some((stage, rest)) = stages.split_first_mut() else {
        return Ok(tail.next.send(batch).await);
    };
    if stage.is_closed {
        batch.release();
        return Ok(Flow::Stop);
    }
    add(&stage.counters.records_in, batch.len() as u64);
    add(&stage.counters.bytes_in, batch.size() as u64);
    let mut out = StageOutput::new(stage.node, &stage.stop, &stage.counters, rest, tail);
    let flow = stage.transform.apply(batch, &mut out).await;
    let inner = out.failure.take();
    match (flow, inner) {
        // An error further down has come up through this stage; it keeps its owner.
        (Err(_), Some(failure)) => Err(failure),
        (Err(error), None) => Err((stage.node, error)),
        (Ok(Flow::Continue), _) => Ok(Flow::Continue),
        (Ok(Flow::Stop), _) => {
            stage.is_closed = true;
            let node = stage.node;
            tail.control.stop_upstream(node);
            Ok(Flow::Stop)
        }
    }
}

/// What one stage sends to: the stages behind it, then the tail.
struct StageOutput<'a> {
    node: usize,
    stop: &'a CancellationToken,
    counters: &'a Counters,
    rest: &'a mut [Stage],
    tail: &'a mut Tail,
    /// A reject has ended the run: what is sent now is the last.
    is_last: bool,
    failure: Option<(usize, Error)>,
}

impl<'a> StageOutput<'a> {
    fn new(
        node: usize,
        stop: &'a CancellationToken,
        counters: &'a Counters,
        rest: &'a mut [Stage],
        tail: &'a mut Tail,
    ) -> Self {
        StageOutput { node, stop, counters, rest, tail, is_last: false, failure: None }
    }
}

#[async_trait]
impl Output for StageOutput<'_> {
    async fn send(&mut self, mut batch: Batch) -> Result<Flow> {
        let n_filtered = std::mem::take(&mut batch.n_filtered);
        let n_out = batch.len() as u64;
        let n_bytes = batch.size() as u64;
        add(&self.counters.filtered, n_filtered);
        add(&self.counters.records_out, n_out);
        add(&self.counters.bytes_out, n_bytes);
        if batch.is_empty() {
            batch.ack();
            return Ok(if self.is_last { Flow::Stop } else { Flow::Continue });
        }
        match pass(self.rest, self.tail, batch).await {
            Ok(Flow::Continue) if !self.is_last => Ok(Flow::Continue),
            Ok(_) => Ok(Flow::Stop),
            Err(failure) => {
                let told = format!("`{}` has failed", self.tail.control.name(failure.0));
                self.failure = Some(failure);
                Err(Error::msg(told))
            }
        }
    }

    async fn reject(&mut self, batch: Batch, rejects: Vec<(usize, Error)>) -> Result<Batch> {
        let (rest, goes_on) =
            self.tail.dead_letters.reject(batch, rejects, self.node, &self.tail.control, self.counters).await;
        self.is_last |= !goes_on;
        Ok(rest)
    }

    async fn sleep_until_or_stop(&mut self, deadline: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            () = sleep_until(deadline) => false,
        }
    }
}
