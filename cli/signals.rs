//! The first SIGINT, SIGTERM or SIGHUP stops the pipelines gracefully, the second aborts them.
//!
//! A thread of its own receives the signals, so that neither a signal nor the deadline after it depends on the
//! threads that run the plugins: a plugin may block all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, print_message};

/// Signals within this time after the first one count as the same request: `timeout` signals its child and
/// right after that the whole process group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);
/// How long after an abort the process may still exist.
const EXIT_AFTER_ABORT: Duration = Duration::from_millis(800);
/// How long the process waits to print why it exits.
const PRINT_TIMEOUT: Duration = Duration::from_millis(100);
/// The engine aborts at its own deadline first, and reports what it was.
const DEADLINE_MARGIN: Duration = Duration::from_millis(250);

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

/// Watches for signals until it is dropped.
#[must_use = "signals are watched until this is dropped"]
pub(crate) struct SignalWatch {
    end: CancellationToken,
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The installed signal handlers.
struct SignalHandlers {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the process was started with this signal ignored, as `nohup` does.
    hang_up: Option<Signal>,
}

impl SignalHandlers {
    fn install() -> Result<Self> {
        let install = |kind| signal(kind).context("installing the signal handlers");
        let hang_up = if ignores_hang_up() { None } else { Some(install(SignalKind::hangup())?) };
        Ok(SignalHandlers {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// Whether the next signal is a SIGINT.
    async fn next(&mut self) -> bool {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => false,
            _ = hang_up => false,
        }
    }
}

/// Whether SIGHUP, signal 1, is ignored since the start of the process.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

impl Shutdown {
    /// Starts to watch for signals; they cancel the tokens.
    ///
    /// The process exits within a second after an abort, also if it is busy. With a `drain_timeout` an abort follows
    /// when a graceful stop has taken that long.
    pub(crate) fn watch_signals(&self, drain_timeout: Option<Duration>) -> Result<SignalWatch> {
        let what = "starting the thread for signals";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context(what)?;
        let mut handlers = {
            let _guard = runtime.enter();
            SignalHandlers::install()?
        };
        let (shutdown, end) = (self.clone(), CancellationToken::new());
        let watched = end.clone();
        let watch = async move {
            tokio::select! {
                () = watched.cancelled() => {}
                () = shutdown.watch(&mut handlers) => {}
                () = shutdown.exit_after_abort(drain_timeout) => {}
            }
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(move || runtime.block_on(watch)).context(what)?;
        Ok(SignalWatch { end })
    }

    /// Cancels the tokens when signals arrive; does not return.
    async fn watch(&self, handlers: &mut SignalHandlers) {
        let mut first = None;
        loop {
            let is_interrupt = handlers.next().await;
            if self.handle_signal(is_interrupt, Instant::now(), &mut first) {
                // In a thread of its own: writing the log may block, and the next signal must not.
                spawn_blocking(|| tracing::info!("stopping gracefully; a second signal aborts"));
            }
        }
    }

    /// Ends the process if it still exists some time after an abort.
    async fn exit_after_abort(&self, drain_timeout: Option<Duration>) {
        let deadline = async {
            let Some(drain_timeout) = drain_timeout else { return std::future::pending().await };
            self.stop.cancelled().await;
            tokio::time::sleep(drain_timeout.saturating_add(DEADLINE_MARGIN)).await;
        };
        tokio::select! {
            () = self.abort.cancelled() => {}
            () = deadline => self.abort.cancel(),
        }
        tokio::time::sleep(EXIT_AFTER_ABORT).await;
        let message = "a component does not stop, so the process exits without it; what was not delivered is read again \
                       where its source can";
        // A thread that does not return may hold the lock of stderr.
        let printed = spawn_blocking(|| print_message(message));
        let _ = tokio::time::timeout(PRINT_TIMEOUT, printed).await;
        let exit = if self.was_interrupted() { Exit::Interrupted } else { Exit::Terminated };
        std::process::exit(exit.code().into());
    }

    /// Handles a signal that arrived at `now`; `first` is when the first one arrived. Returns whether it stops the
    /// pipelines gracefully.
    fn handle_signal(&self, is_interrupt: bool, now: Instant, first: &mut Option<Instant>) -> bool {
        if first.is_some_and(|first| now < first + DUPLICATE_WINDOW) {
            return false;
        }
        first.get_or_insert(now);
        self.was_interrupted.store(is_interrupt, Ordering::Relaxed);
        if self.stop.is_cancelled() {
            self.abort.cancel();
            return false;
        }
        self.stop.cancel();
        true
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
