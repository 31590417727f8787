//! The first SIGINT or SIGTERM stops the pipelines gracefully, the second aborts them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals within this time after the first one count as the same request: `timeout` signals its child and
/// right after that the whole process group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The tokens that signals and failures cancel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// Cancelled to stop gracefully.
    pub(crate) stop: CancellationToken,
    /// Cancelled to abort.
    pub(crate) abort: CancellationToken,
    was_interrupted: Arc<AtomicBool>,
    failed_pipeline: Arc<OnceLock<String>>,
}

/// The installed signal handlers.
pub(crate) struct SignalHandlers {
    interrupt: Signal,
    terminate: Signal,
}

impl SignalHandlers {
    pub(crate) fn install() -> Result<Self> {
        let what = "installing the signal handlers";
        Ok(SignalHandlers {
            interrupt: signal(SignalKind::interrupt()).context(what)?,
            terminate: signal(SignalKind::terminate()).context(what)?,
        })
    }

    /// Cancels the tokens when signals arrive; does not return.
    pub(crate) async fn watch(mut self, shutdown: Shutdown) {
        let mut first = None;
        loop {
            let is_interrupt = tokio::select! {
                Some(()) = self.interrupt.recv() => true,
                Some(()) = self.terminate.recv() => false,
                else => return,
            };
            shutdown.handle_signal(is_interrupt, Instant::now(), &mut first);
        }
    }
}

impl Shutdown {
    /// Handles a signal that arrived at `now`; `first` is when the first one arrived.
    fn handle_signal(&self, is_interrupt: bool, now: Instant, first: &mut Option<Instant>) {
        if first.is_some_and(|first| now < first + DUPLICATE_WINDOW) {
            return;
        }
        first.get_or_insert(now);
        self.was_interrupted.store(is_interrupt, Ordering::Relaxed);
        if self.stop.is_cancelled() {
            self.abort.cancel();
        } else {
            tracing::info!("stopping gracefully; a second signal aborts");
            self.stop.cancel();
        }
    }

    /// Tokens that are cancelled with these, and can also be cancelled alone.
    #[cfg(feature = "local")]
    pub(crate) fn child(&self) -> Shutdown {
        Shutdown { stop: self.stop.child_token(), abort: self.abort.child_token(), ..self.clone() }
    }

    /// Stops all pipelines gracefully because `pipeline` has failed.
    pub(crate) fn fail(&self, pipeline: &str) {
        // The other pipelines report the first failure as their reason.
        let _ = self.failed_pipeline.set(pipeline.to_owned());
        self.stop.cancel();
    }

    /// The pipeline whose failure stops the others.
    pub(crate) fn failed_pipeline(&self) -> Option<&str> {
        self.failed_pipeline.get().map(String::as_str)
    }

    /// Whether the last signal was a SIGINT.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.was_interrupted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_within_the_window_count_once_and_a_later_one_aborts() {
        let (shutdown, start, mut first) = (Shutdown::default(), Instant::now(), None);
        let mut signal = |is_interrupt, millis| {
            shutdown.handle_signal(is_interrupt, start + Duration::from_millis(millis), &mut first);
            (shutdown.stop.is_cancelled(), shutdown.abort.is_cancelled(), shutdown.was_interrupted())
        };
        assert_eq!(signal(false, 0), (true, false, false));
        assert_eq!(signal(false, 1), (true, false, false), "`timeout` signals its whole group");
        assert_eq!(signal(true, 99), (true, false, false));
        assert_eq!(signal(true, 100), (true, true, true));
    }
}
