//! Requests about dead letters in a topic, which are repeated in an outage.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use tracing::debug;

use crate::shared::kafka::is_outage;

/// How long a replay waits for the cluster: for a record, for the group, and for an answer in an outage.
pub(super) const CLUSTER_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of the last try, at least.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// Repeats a request while no broker answers it, or while the group has no coordinator, as a new group has for a moment.
/// `request` gets its timeout. `wait` waits between two tries, and serves the client. Blocks.
pub(super) fn retry_in_outage<T>(
    timeout: Duration,
    request: impl Fn(Duration) -> KafkaResult<T>,
    wait: impl Fn(),
) -> KafkaResult<T> {
    let began = Instant::now();
    // `Partial`: some brokers have not answered.
    let is_outage = |code| is_outage(code) || code == RDKafkaErrorCode::Partial;
    loop {
        match request(timeout.saturating_sub(began.elapsed()).max(MIN_TIMEOUT)) {
            Err(error) if error.rdkafka_error_code().is_some_and(is_outage) && began.elapsed() < timeout => {
                debug!("a request of a replay: {error}; retrying");
                wait();
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rdkafka::error::KafkaError;

    use super::*;

    fn after_failures(n: u32, code: RDKafkaErrorCode, timeout: Duration) -> (KafkaResult<u32>, u32) {
        let n_tries = Cell::new(0);
        let request = |_| {
            n_tries.set(n_tries.get() + 1);
            if n_tries.get() > n { Ok(n_tries.get()) } else { Err(KafkaError::GroupListFetch(code)) }
        };
        (retry_in_outage(timeout, request, || ()), n_tries.get())
    }

    #[test]
    fn group_list_is_retried_in_an_outage_alone() {
        let outage = RDKafkaErrorCode::BrokerTransportFailure;
        assert_eq!(after_failures(2, outage, CLUSTER_TIMEOUT), (Ok(3), 3));
        let (failed, n_tries) = after_failures(2, outage, Duration::ZERO);
        assert!(failed.is_err() && n_tries == 1, "the time is over");
        let (failed, n_tries) =
            after_failures(2, RDKafkaErrorCode::GroupAuthorizationFailed, CLUSTER_TIMEOUT);
        assert!(failed.is_err() && n_tries == 1, "a denial stays");
    }
}
