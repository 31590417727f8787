//! The task of one sink: several writes at once, then the flush.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Error;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::node::Node;
use super::outputs::Outputs;
use super::transaction_gate::TransactionGate;
use super::writer::Writer;
use crate::batch::Batch;
use crate::error::Failure;
use crate::sink::Sink;
use crate::stop::StopReason;

pub(crate) struct SinkTask {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) node: Node,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) outputs: Outputs,
    /// Whether batches that wait are written even if the run stops: another sink has stored them,
    /// they are dead letters, or some of them cannot be read again.
    pub(crate) writes_all: bool,
    /// Shared with the source whose positions are in the transactions of this sink.
    pub(crate) gate: Option<Arc<TransactionGate>>,
}

impl SinkTask {
    pub(crate) async fn run(mut self) {
        let concurrency = self.sink.concurrency().max(1);
        let max_in_flight = self.sink.max_in_flight_records();
        let writer = Arc::new(Writer {
            sink: Arc::clone(&self.sink),
            node: self.node.clone(),
            is_stopped: AtomicBool::new(false),
        });
        let mut background = JoinSet::new();
        if self.sink.background().is_some() {
            let sink = Arc::clone(&self.sink);
            background.spawn(async move { sink.background().expect("just found").run().await });
        }
        let mut n_in_flight = 0;
        let mut writes = JoinSet::new();
        let mut is_open = true;
        while is_open || !writes.is_empty() {
            let has_room = writes.len() < concurrency && (n_in_flight < max_in_flight || writes.is_empty());
            tokio::select! {
                Some(written) = writes.join_next() => {
                    n_in_flight -= written.expect("panics of a write are caught");
                }
                batch = self.inbox.recv(), if is_open && has_room => {
                    let Some(batch) = batch else {
                        is_open = false;
                        continue;
                    };
                    let Some(batch) = self.admit(batch, &writer).await else { continue };
                    let n_records = batch.len();
                    let mut write = Box::pin(write(Arc::clone(&writer), batch, self.outputs.clone()));
                    // The first poll is made here, so that writes begin in the order of the batches.
                    if futures_util::poll!(&mut write).is_pending() {
                        n_in_flight += n_records;
                        writes.spawn(self.node.control.writes.track_future(async move {
                            write.await;
                            n_records
                        }));
                    }
                }
                Some(ended) = background.join_next() => {
                    let failure = ended.map_err(|panic| crashed(Error::new(panic)));
                    if let Err(failure) = failure.and_then(|ended| ended) {
                        writer.fail(failure);
                    }
                }
            }
        }
        background.shutdown().await;
        if !writer.is_stopped()
            && let Err(failure) = self.flush().await
        {
            writer.fail(failure.context("finishing what was written"));
        }
    }

    /// Takes a batch that has waited; `None` if it was released, since the run stops.
    async fn admit(&self, mut batch: Batch, writer: &Writer) -> Option<Batch> {
        batch.enter(&self.node.counters);
        // What waits is released when the user stops the run. What is in flight is written.
        let is_stopped =
            || writer.is_stopped() || (!self.writes_all && self.node.control.is_stop_requested());
        let is_admitted = match &self.gate {
            _ if is_stopped() => false,
            // A failure may have happened meanwhile in a write before this one.
            Some(gate) => gate.enter(batch.span()).await && !writer.is_stopped(),
            None => true,
        };
        if !is_admitted {
            batch.release();
            return None;
        }
        Some(batch)
    }

    /// Flushes after the input has ended; the reason changes if the run is stopped meanwhile.
    async fn flush(&self) -> Result<(), Failure> {
        let stop = &self.node.control.input_ended;
        let completed = async {
            if stop.is_cancelled() {
                return None;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => None,
                flushed = self.sink.flush(StopReason::InputEnded) => Some(flushed),
            }
        };
        match completed.await {
            Some(flushed) => flushed,
            None => self.sink.flush(self.node.control.stop_reason()).await,
        }
    }
}

/// One write among several; what it has stored goes on to the sinks behind this one.
async fn write(writer: Arc<Writer>, batch: Batch, outputs: Outputs) {
    match AssertUnwindSafe(writer.write(batch)).catch_unwind().await {
        Ok(stored) => {
            // A sink behind this one that wants no more has failed, and has reported it.
            let _ = outputs.send(stored).await;
        }
        Err(panic) => writer.fail(crashed(panic_error(&*panic))),
    }
}

fn crashed(error: Error) -> Failure {
    Failure::fatal(error.context("the sink has crashed; this is a bug in the plugin"))
}

fn panic_error(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::msg(text.unwrap_or_else(|| "it panicked".into()))
}
