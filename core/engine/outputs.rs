//! Where a component's records go next: nowhere, to one channel, or to several.

use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::transform::Flow;

/// How many batches may wait in front of a component.
const WAITING: usize = 4;

/// A bounded channel of batches: that is the backpressure.
pub(crate) fn channel() -> (mpsc::Sender<Batch>, mpsc::Receiver<Batch>) {
    mpsc::channel(WAITING)
}

/// The channels of all components that take their input from one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs(Vec<mpsc::Sender<Batch>>);

impl Outputs {
    pub(crate) fn new(channels: Vec<mpsc::Sender<Batch>>) -> Self {
        Outputs(channels)
    }

    /// Waits until every branch has room; [`Flow::Stop`] if one wants nothing more.
    pub(crate) async fn ready(&self) -> Flow {
        for channel in &self.0 {
            if channel.reserve().await.is_err() {
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    /// Sends a batch to every branch; with no branch left it has been delivered.
    ///
    /// If one branch wants nothing more, the batch is released: its other
    /// branches could not bring it to an end by themselves.
    pub(crate) async fn send(&self, batch: Batch) -> Flow {
        let Some((last, others)) = self.0.split_last() else {
            batch.ack();
            return Flow::Continue;
        };
        if batch.is_empty() {
            batch.ack();
            return Flow::Continue;
        }
        if self.0.iter().any(mpsc::Sender::is_closed) {
            batch.release();
            return Flow::Stop;
        }
        let mut flow = Flow::Continue;
        for channel in others {
            if let Err(refused) = channel.send(batch.share()).await {
                refused.0.release();
                flow = Flow::Stop;
            }
        }
        if let Err(refused) = last.send(batch).await {
            refused.0.release();
            flow = Flow::Stop;
        }
        flow
    }
}

/// Closes a channel and gives back what waits in it.
pub(crate) async fn release_all(inbox: &mut mpsc::Receiver<Batch>) {
    inbox.close();
    while let Some(batch) = inbox.recv().await {
        batch.release();
    }
}
