//! The task of one sink: several writes at once, then the flush.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Error};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::dead_letter::DeadLetters;
use super::outputs::Outputs;
use super::writer::Writer;
use crate::batch::Batch;
use crate::sink::ShutdownReason;

pub(crate) struct SinkTask {
    pub(crate) writer: Arc<Writer>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) next: Outputs,
    pub(crate) dead_letters: Arc<DeadLetters>,
    /// Whether another sink has stored what comes in here.
    pub(crate) follows_sink: bool,
}

impl SinkTask {
    pub(crate) async fn run(self) {
        let SinkTask { writer, mut inbox, next, dead_letters, follows_sink } = self;
        let at_most = writer.sink.concurrency().max(1);
        let max_in_flight_records = writer.sink.max_in_flight_records();
        let mut n_under_way = 0;
        let mut beside = writer.sink.run_background();
        let mut tasks = JoinSet::new();
        // Nobody is in front of the first one.
        let mut turn = oneshot::channel().1;
        let mut is_open = true;
        while is_open || !tasks.is_empty() {
            tokio::select! {
                Some(done) = tasks.join_next() => {
                    match done {
                        Ok(n_records) => n_under_way -= n_records,
                        Err(panic) => {
                            writer.fail(Error::new(panic).context("the sink has crashed; this is a bug in the plugin"));
                        }
                    }
                }
                batch = inbox.recv(), if is_open && tasks.len() < at_most && (n_under_way < max_in_flight_records || tasks.is_empty()) => match batch {
                    None => is_open = false,
                    // What waits is released when somebody stops the run; what is under way is written, and so is
                    // what the sink in front has stored, which would store it once more.
                    Some(batch) if writer.is_broken.load(Ordering::Relaxed)
                        || !follows_sink && writer.control.is_asked_to_stop() =>
                    {
                        batch.release();
                    }
                    Some(batch) => {
                        n_under_way += batch.len();
                        let (begun, next_turn) = oneshot::channel();
                        let turn = std::mem::replace(&mut turn, next_turn);
                        let (writer, dead_letters) = (Arc::clone(&writer), Arc::clone(&dead_letters));
                        tasks.spawn(write(writer, batch, dead_letters, next.clone(), turn, begun));
                    }
                },
                ended = &mut beside => {
                    if let Err(error) = ended {
                        writer.fail(error);
                    }
                    beside = Box::pin(std::future::pending());
                }
            }
        }
        drop(beside);
        if !writer.is_broken.load(Ordering::Relaxed)
            && let Err(error) = flush(&writer).await
        {
            writer.fail(error);
        }
    }
}

/// One write among several: it begins after the one before has begun, so that a
/// sink which queues what it is given keeps the order of the batches. Answers with
/// how many records it was about.
async fn write(
    writer: Arc<Writer>,
    batch: Batch,
    dead_letters: Arc<DeadLetters>,
    next: Outputs,
    turn: oneshot::Receiver<()>,
    begun: oneshot::Sender<()>,
) -> usize {
    let n_records = batch.len();
    // A write before that is gone has begun as well.
    let _ = turn.await;
    let is_let_in = match &writer.gate {
        Some(gate) => gate.enter(batch.span()).await,
        None => true,
    };
    // What one in front of this has broken meanwhile would be written for nothing: the next run reads it again.
    // A failure elsewhere is no reason: what came before it is written.
    if !is_let_in || writer.is_broken.load(Ordering::Relaxed) {
        batch.release();
        return n_records;
    }
    let mut begun = Some(begun);
    let mut writing = pin!(writer.write(batch, &dead_letters));
    let stored = poll_fn(|context| {
        let polled = writing.as_mut().poll(context);
        begun.take().map(|begun| begun.send(()));
        polled
    })
    .await;
    // Whoever is behind a sink and wants no more has failed, and said so.
    let _ = next.send(stored).await;
    n_records
}

/// Flushes as the input has ended: to completion, unless somebody stops the run meanwhile.
async fn flush(writer: &Writer) -> anyhow::Result<()> {
    let stop = &writer.control.stop;
    let completed = async {
        if stop.is_cancelled() {
            return None;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            flushed = writer.sink.flush(ShutdownReason::InputEnded) => Some(flushed),
        }
    };
    let flushed = match completed.await {
        Some(flushed) => flushed,
        None => writer.sink.flush(ShutdownReason::Stopped).await,
    };
    flushed.context("finishing what was written")
}
