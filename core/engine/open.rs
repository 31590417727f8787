//! Opens components, and retries while a service cannot be reached.

use std::ops::ControlFlow::{Break, Continue};

use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, RetryBudget};
use crate::error::Failure;
use crate::pipeline_options::RetryLimits;
use crate::sink::Sink;
use crate::stop::Flow;

/// Opens one component. While it fails in a way that another try may mend it is tried again, as
/// long as `retry.connect` allows.
pub(super) async fn open(
    component: &str,
    limits: &RetryLimits,
    stop: &CancellationToken,
    mut open: impl AsyncFnMut() -> Result<(), Failure>,
) -> Result<Flow, Failure> {
    let mut backoff = Backoff::new(limits, RetryBudget::Connect);
    loop {
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Break(())),
            opened = open() => opened,
        };
        match opened {
            Ok(()) => return Ok(Continue(())),
            Err(failure) if !failure.is_retryable() => return Err(failure),
            Err(failure) => {
                if backoff.wait(component, failure, stop).await?.is_break() {
                    return Ok(Break(()));
                }
            }
        }
    }
}

/// Opens one sink outside of a run, as a run would.
pub async fn open_sink(
    name: &str,
    sink: &mut dyn Sink,
    limits: &RetryLimits,
    stop: &CancellationToken,
) -> Result<Flow, Failure> {
    open(name, limits, stop, async || sink.open().await).await
}
