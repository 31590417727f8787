//! Where the records of a component go next: nowhere, to one channel, or to several.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::progress::Counters;
use crate::stop::Flow;

/// How many batches may wait before a component.
const CAPACITY: usize = 4;

/// A bounded channel of batches: this is the backpressure.
pub(crate) fn channel() -> (mpsc::Sender<Batch>, mpsc::Receiver<Batch>) {
    mpsc::channel(CAPACITY)
}

/// The channels of all components that take their input from one.
///
/// A component closes its channel only when it wants no more records, or has failed; the control
/// has been told which.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs(Vec<mpsc::Sender<Batch>>);

impl Outputs {
    pub(crate) fn new(channels: Vec<mpsc::Sender<Batch>>) -> Self {
        Outputs(channels)
    }

    /// Whether no component takes its input from here.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until every branch has room.
    pub(crate) async fn ready(&self) -> Flow {
        for channel in &self.0 {
            if channel.reserve().await.is_err() {
                return Break(());
            }
        }
        Continue(())
    }

    /// Sends a batch to every branch. A batch that no branch takes is acknowledged: it has been
    /// delivered, or nothing of it is left.
    ///
    /// If one branch wants no more, the batch is released: the other branches could not complete
    /// it by themselves.
    pub(crate) async fn send(&self, mut batch: Batch) -> Flow {
        let Some((last, others)) = self.0.split_last().filter(|_| !batch.is_empty()) else {
            batch.leave().count_out();
            batch.ack();
            return Continue(());
        };
        if self.0.iter().any(mpsc::Sender::is_closed) {
            batch.release();
            return Break(());
        }
        let leaving = batch.leave();
        let mut flow = Continue(());
        for channel in others {
            if let Err(closed) = channel.send(batch.share()).await {
                closed.0.release();
                flow = Break(());
            }
        }
        if let Err(closed) = last.send(batch).await {
            closed.0.release();
            flow = Break(());
        }
        if flow.is_continue() {
            leaving.count_out();
        } else {
            leaving.count_released();
        }
        flow
    }
}

/// Closes the channel of a component and releases the batches that wait in it.
pub(crate) async fn release_all(inbox: &mut mpsc::Receiver<Batch>, component: &Arc<Counters>) {
    inbox.close();
    while let Some(mut batch) = inbox.recv().await {
        batch.enter(component);
        batch.release();
    }
}
