//! Transactions with the records of a sink and the offsets of its source.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use runner_core::{Error, Failure, Result, RetryLimits};
use tracing::{debug, warn};

use super::is_denied;

/// The transactions of a `kafka` sink, which it shares with the `kafka` source before it. One
/// transaction is always open: the sink writes records into it, the source commits it.
pub(crate) struct Transactions {
    pub(crate) bootstrap_servers: String,
    /// Unique to this process: a consumer that was removed from the group is fenced by its
    /// membership of the group, not by this id.
    pub(crate) id: String,
    retry: RetryLimits,
    run_step: Mutex<Option<Arc<RunStep>>>,
}

/// A step of a transaction.
#[derive(Clone)]
enum Step {
    Init,
    Begin,
    Offsets(Arc<TopicPartitionList>, Arc<ConsumerGroupMetadata>),
    Commit,
    Abort,
}

/// Runs a step with the producer of the sink. Blocks.
type RunStep = dyn Fn(&Step) -> KafkaResult<()> + Send + Sync;

/// The timeout of one attempt of a step; the next attempt resumes the step.
const ATTEMPT: Duration = Duration::from_secs(5);

impl Transactions {
    pub(crate) fn new(bootstrap_servers: &str, pipeline: &str, component: &str, retry: RetryLimits) -> Self {
        Transactions {
            bootstrap_servers: bootstrap_servers.to_owned(),
            id: format!("runner-{pipeline}-{component}-{:016x}", fastrand::u64(..)),
            retry,
            run_step: Mutex::default(),
        }
    }

    /// Prepares a producer for transactions and begins the first one.
    pub(crate) async fn open<C: ProducerContext + 'static>(
        &self,
        producer: Arc<BaseProducer<C>>,
    ) -> Result<()> {
        *self.run_step() = Some(Arc::new(move |step| match step {
            Step::Init => producer.init_transactions(ATTEMPT),
            Step::Begin => producer.begin_transaction(),
            Step::Offsets(offsets, group) => producer.send_offsets_to_transaction(offsets, group, ATTEMPT),
            Step::Commit => producer.commit_transaction(ATTEMPT),
            Step::Abort => producer.abort_transaction(ATTEMPT),
        }));
        self.step(Step::Init, self.retry.connect).await?;
        self.step(Step::Begin, None).await
    }

    /// Commits the records since the last commit together with these offsets of a
    /// member of the group, and begins the next transaction.
    pub(crate) async fn commit(
        &self,
        offsets: TopicPartitionList,
        group: Arc<ConsumerGroupMetadata>,
    ) -> Result<()> {
        self.step(Step::Offsets(Arc::new(offsets), group), self.retry.timeout).await?;
        self.step(Step::Commit, self.retry.timeout).await?;
        self.step(Step::Begin, None).await
    }

    /// Aborts the open transaction: consumers that read only committed records will never
    /// get its records.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.step(Step::Abort, Some(ATTEMPT)).await {
            // The cluster aborts it after `transaction.timeout.ms`.
            debug!("aborting the last transaction: {error:#}");
        }
        *self.run_step() = None;
    }

    /// Runs a step, and retries transient errors until `timeout`.
    async fn step(&self, step: Step, timeout: Option<Duration>) -> Result<()> {
        let began = Instant::now();
        loop {
            let Some(run_step) = self.run_step().clone() else {
                anyhow::bail!("the sink that writes the transactions is not open");
            };
            let next = step.clone();
            let taken = tokio::task::spawn_blocking(move || run_step(&next)).await?;
            let Err(error) = taken else { return Ok(()) };
            if !is_retriable(&error) {
                return Err(self.explain(&error));
            }
            if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
                let at = &self.bootstrap_servers;
                let waited = began.elapsed();
                let message =
                    format!("the cluster at {at} has not completed a transaction for {waited:?}: {error}");
                return Err(Failure::unreachable(Error::msg(message)).after_retries().into());
            }
            warn!("a transaction waits for the cluster: {error}; retrying");
            tokio::time::sleep(self.retry.initial).await;
        }
    }

    /// The cause of an error of a transaction, and what to do.
    fn explain(&self, error: &KafkaError) -> Error {
        use RDKafkaErrorCode as Code;
        const AGAIN: &str =
            "the new owner of the partitions reads its records again: start the pipeline again";
        let at = &self.bootstrap_servers;
        match error.rdkafka_error_code() {
            Some(
                Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
                | Code::RebalanceInProgress,
            ) => {
                anyhow::anyhow!(
                    "the consumer group revoked the partitions before the transaction was committed \
                     ({error}), so it is aborted; {AGAIN}"
                )
            }
            Some(
                Code::ProducerFenced
                | Code::Fenced
                | Code::InvalidProducerEpoch
                | Code::InvalidProducerIdMapping
                | Code::UnknownProducerId
                | Code::InvalidTransactionalState,
            ) => {
                anyhow::anyhow!(
                    "the cluster at {at} has aborted the transaction ({error}): it was open for longer than \
                     `transaction.timeout.ms`, because this process or the cluster was suspended; {AGAIN}"
                )
            }
            Some(code) if is_denied(code) => anyhow::anyhow!(
                "the cluster at {at} does not let this user write in transactions ({error}): grant the user \
                 Describe and Write on transactional ids that begin with `runner-`, and Read on the consumer group"
            ),
            Some(Code::InvalidTransactionTimeout) => anyhow::anyhow!(
                "the cluster at {at} does not allow this timeout of a transaction: set `transaction.timeout.ms` \
                 in `librdkafka_options` of the sink to no more than its `transaction.max.timeout.ms`"
            ),
            _ => anyhow::anyhow!("the transaction cannot be committed ({error}), so it is aborted; {AGAIN}"),
        }
    }

    fn run_step(&self) -> MutexGuard<'_, Option<Arc<RunStep>>> {
        self.run_step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        // A commit first waits for all deliveries.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}
