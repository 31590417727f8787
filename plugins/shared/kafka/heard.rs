//! What the client library says of its own accord.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, error, trace, warn};

/// Passes on what the client library logs, and remembers why it has trouble:
/// its calls fail with "timed out", the reason comes beside them.
///
/// The library repeats itself with every attempt to connect, so a trouble is
/// shown once and then every half minute.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    trouble: Option<(RDKafkaErrorCode, String)>,
    /// When trouble may be shown next; `None` before first contact, whose
    /// failures are errors of `open` and shown as such.
    quiet_until: Option<Instant>,
}

const QUIET: Duration = Duration::from_secs(30);

impl Heard {
    /// From now on trouble is no failed attempt to open any more.
    pub(crate) fn made_contact(&self) {
        let mut state = self.state();
        state.quiet_until = Some(Instant::now());
        state.trouble = None;
    }

    /// The last trouble and its reason.
    pub(crate) fn trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.state().trouble.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on a line of the library's log.
    pub(crate) fn line(level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match level {
            Emerg | Alert | Critical => error!(target: "librdkafka", "{facility}: {line}"),
            // Said again as an error, which is shown with measure.
            Error if matches!(facility, "FAIL" | "ERROR") => {
                debug!(target: "librdkafka", "{facility}: {line}");
            }
            Warning if facility == "CONFWARN" => debug!(target: "librdkafka", "{facility}: {line}"),
            Error | Warning => warn!(target: "librdkafka", "{facility}: {line}"),
            Notice | Info => debug!(target: "librdkafka", "{facility}: {line}"),
            Debug => trace!(target: "librdkafka", "{facility}: {line}"),
        }
    }

    /// Remembers a trouble.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let mut state = self.state();
        // "All brokers are down" says less than what has been said before it.
        if code != RDKafkaErrorCode::AllBrokersDown || state.trouble.is_none() {
            state.trouble = Some((code, reason.to_owned()));
        }
        let now = Instant::now();
        if state.quiet_until.is_some_and(|until| until <= now) {
            state.quiet_until = Some(now + QUIET);
            warn!("Kafka: {reason}; the client keeps trying");
        } else {
            debug!("Kafka: {reason}");
        }
    }
}

impl ClientContext for Heard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Heard::line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }
}

impl ConsumerContext for Heard {}
