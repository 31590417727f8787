//! The first SIGINT or SIGTERM stops in order, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What follows the first signal within this time belongs to it: `timeout` tells its child and right after
/// that the whole group, and nobody has changed his mind in between.
const ONE_STOP: Duration = Duration::from_millis(100);

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
        let mut first = None;
        loop {
            let is_interrupt = tokio::select! {
                Some(()) = self.interrupt.recv() => true,
                Some(()) = self.terminate.recv() => false,
                else => return,
            };
            stops.hear(is_interrupt, Instant::now(), &mut first);
        }
    }
}

impl Stops {
    /// Does what a signal asks for; `first` is when the first one came.
    fn hear(&self, is_interrupt: bool, now: Instant, first: &mut Option<Instant>) {
        if first.is_some_and(|first| now < first + ONE_STOP) {
            return;
        }
        first.get_or_insert(now);
        self.was_interrupt.store(is_interrupt, Ordering::Relaxed);
        if self.stop.is_cancelled() {
            self.abort.cancel();
        } else {
            tracing::info!("stopping; a second signal stops at once");
            self.stop.cancel();
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signals_at_once_are_one_and_a_later_one_stops_at_once() {
        let (stops, began, mut first) = (Stops::default(), Instant::now(), None);
        let mut hear = |is_interrupt, millis| {
            stops.hear(is_interrupt, began + Duration::from_millis(millis), &mut first);
            (stops.stop.is_cancelled(), stops.abort.is_cancelled(), stops.was_interrupt())
        };
        assert_eq!(hear(false, 0), (true, false, false));
        assert_eq!(hear(false, 1), (true, false, false), "`timeout` tells its whole group");
        assert_eq!(hear(true, 99), (true, false, false));
        assert_eq!(hear(true, 100), (true, true, true));
    }
}
