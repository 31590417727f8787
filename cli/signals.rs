//! The first SIGINT or SIGTERM stops in order, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The tokens that signals cancel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stops {
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    was_interrupt: Arc<AtomicBool>,
    failed: Arc<OnceLock<String>>,
}

/// The handlers, in place from here on.
pub(crate) struct Handlers {
    interrupt: Signal,
    terminate: Signal,
}

impl Handlers {
    pub(crate) fn install() -> Result<Self> {
        let what = "installing the signal handlers";
        Ok(Handlers {
            interrupt: signal(SignalKind::interrupt()).context(what)?,
            terminate: signal(SignalKind::terminate()).context(what)?,
        })
    }

    /// Turns signals into stops, for ever.
    pub(crate) async fn watch(mut self, stops: Stops) {
        loop {
            let is_interrupt = tokio::select! {
                Some(()) = self.interrupt.recv() => true,
                Some(()) = self.terminate.recv() => false,
                else => return,
            };
            stops.was_interrupt.store(is_interrupt, Ordering::Relaxed);
            if stops.stop.is_cancelled() {
                stops.abort.cancel();
            } else {
                tracing::info!("stopping; a second signal stops at once");
                stops.stop.cancel();
            }
        }
    }
}

impl Stops {
    /// Stops of a part: it stops with the whole, and alone.
    #[cfg(feature = "local")]
    pub(crate) fn narrower(&self) -> Stops {
        Stops { stop: self.stop.child_token(), abort: self.abort.child_token(), ..self.clone() }
    }

    /// Stops everything in order, since `pipeline` has failed.
    pub(crate) fn fail(&self, pipeline: &str) {
        // The first failure is the reason that the others hear of.
        let _ = self.failed.set(pipeline.to_owned());
        self.stop.cancel();
    }

    /// The pipeline whose failure stops the others.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Whether the last signal was a SIGINT.
    pub(crate) fn was_interrupt(&self) -> bool {
        self.was_interrupt.load(Ordering::Relaxed)
    }
}
