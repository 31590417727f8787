//! The task of one sink: several writes at once, then the flush.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Error};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dead_letter::DeadLetters;
use super::fan::Fan;
use super::writer::Writer;
use crate::batch::Batch;
use crate::sink::Ending;

pub(crate) struct SinkTask {
    pub(crate) writer: Arc<Writer>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) next: Fan,
    pub(crate) dead_letters: Arc<DeadLetters>,
}

impl SinkTask {
    pub(crate) async fn run(self) {
        let SinkTask { writer, mut inbox, next, dead_letters } = self;
        let at_most = writer.sink.concurrency().max(1);
        let mut beside = writer.sink.work_beside();
        let mut writes = JoinSet::new();
        let mut is_open = true;
        while is_open || !writes.is_empty() {
            tokio::select! {
                Some(done) = writes.join_next() => {
                    if let Err(panic) = done {
                        writer.fail(Error::new(panic).context("the sink has crashed; this is a bug in the plugin"));
                    }
                }
                batch = inbox.recv(), if is_open && writes.len() < at_most => match batch {
                    None => is_open = false,
                    Some(batch) if writer.is_broken.load(Ordering::Relaxed) => batch.give_back(),
                    Some(batch) => {
                        let write = write(Arc::clone(&writer), batch, Arc::clone(&dead_letters), next.clone());
                        writes.spawn(write);
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

async fn write(writer: Arc<Writer>, batch: Batch, dead_letters: Arc<DeadLetters>, next: Fan) {
    let stored = writer.write(batch, &dead_letters).await;
    // Whoever is behind a sink and wants no more has failed, and said so.
    let _ = next.send(stored).await;
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
            flushed = writer.sink.flush(Ending::Completed) => Some(flushed),
        }
    };
    let flushed = match completed.await {
        Some(flushed) => flushed,
        None => writer.sink.flush(Ending::Stopped).await,
    };
    flushed.context("finishing what was written")
}
