//! Logs and errors that the client library reports by callback.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, error, trace, warn};

/// Logs what the client library reports, and keeps the last error: its calls only
/// return "timed out", the reason comes by callback.
///
/// The library repeats an error with every attempt to connect; the log of the command line counts repeated warnings.
#[derive(Debug, Default)]
pub(crate) struct ClientErrors(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(RDKafkaErrorCode, String)>,
    /// Whether the first connection has succeeded; before, its failures are errors of `open`.
    is_connected: bool,
}

impl ClientErrors {
    /// The first connection has succeeded: from now on errors are logged as warnings.
    pub(crate) fn set_connected(&self) {
        *self.state() = State { last: None, is_connected: true };
    }

    /// The last error and its reason.
    pub(crate) fn last(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.state().last.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a line of the library's log.
    pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match (level, facility) {
            (Emerg | Alert | Critical, _) => error!(target: "librdkafka", "{facility}: {line}"),
            // The library also reports these as errors, whose warnings are limited.
            (Error, "FAIL" | "ERROR") | (Warning, "CONFWARN") | (Notice | Info, _) => {
                debug!(target: "librdkafka", "{facility}: {line}");
            }
            (Error | Warning, _) => warn!(target: "librdkafka", "{facility}: {line}"),
            (Debug, _) => trace!(target: "librdkafka", "{facility}: {line}"),
        }
    }

    /// Keeps an error as the last one, and logs it.
    pub(crate) fn record(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let mut state = self.state();
        // "All brokers are down" says less than the error before it.
        if code != RDKafkaErrorCode::AllBrokersDown || state.last.is_none() {
            state.last = Some((code, reason.to_owned()));
        }
        if state.is_connected {
            warn!("Kafka: {reason}; the client retries");
        } else {
            debug!("Kafka: {reason}");
        }
    }
}

impl ClientContext for ClientErrors {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientErrors::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.record(&error, reason);
    }
}

impl ConsumerContext for ClientErrors {}
