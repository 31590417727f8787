//! Transactions that hold the records of a sink and the offsets of its source.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use runner_core::{Error, Result, RetryLimits, Unreachable};
use tracing::{debug, warn};

use super::is_denied;

/// What the `kafka` sink hands to the `kafka` source in front of it. One
/// transaction is always open: the sink writes into it, the source ends it.
pub(crate) struct Transactions {
    pub(crate) bootstrap_servers: String,
    /// Of this process alone: whoever is put out of the group is fenced off by its
    /// membership there, not by this name.
    pub(crate) id: String,
    retry: RetryLimits,
    producer: Mutex<Option<Arc<dyn Transacts>>>,
}

/// What comes next in the life of a transaction.
#[derive(Clone)]
enum Step {
    Init,
    Begin,
    Offsets(Arc<TopicPartitionList>, Arc<ConsumerGroupMetadata>),
    Commit,
    Abort,
}

/// A producer, whatever it does about deliveries.
trait Transacts: Send + Sync {
    /// Takes a step, or says why it could not. Blocks.
    fn take(&self, step: &Step) -> KafkaResult<()>;
}

/// How long the client may try a step before it is asked to go on with it.
const ATTEMPT: Duration = Duration::from_secs(5);

impl<C: ProducerContext> Transacts for BaseProducer<C> {
    fn take(&self, step: &Step) -> KafkaResult<()> {
        match step {
            Step::Init => self.init_transactions(ATTEMPT),
            Step::Begin => self.begin_transaction(),
            Step::Offsets(offsets, group) => self.send_offsets_to_transaction(offsets, group, ATTEMPT),
            Step::Commit => self.commit_transaction(ATTEMPT),
            Step::Abort => self.abort_transaction(ATTEMPT),
        }
    }
}

impl Transactions {
    pub(crate) fn new(bootstrap_servers: &str, pipeline: &str, component: &str, retry: RetryLimits) -> Self {
        Transactions {
            bootstrap_servers: bootstrap_servers.to_owned(),
            id: format!("runner-{pipeline}-{component}-{:016x}", fastrand::u64(..)),
            retry,
            producer: Mutex::default(),
        }
    }

    /// Prepares a producer for transactions and begins the first one.
    pub(crate) async fn open<C: ProducerContext + 'static>(
        &self,
        producer: Arc<BaseProducer<C>>,
    ) -> Result<()> {
        *self.producer() = Some(producer);
        self.step(Step::Init, self.retry.connect).await?;
        self.step(Step::Begin, None).await
    }

    /// Commits what has been written since the last commit together with these
    /// offsets, in the name of a member of the group, and begins anew.
    pub(crate) async fn commit(
        &self,
        offsets: TopicPartitionList,
        group: Arc<ConsumerGroupMetadata>,
    ) -> Result<()> {
        self.step(Step::Offsets(Arc::new(offsets), group), self.retry.timeout).await?;
        self.step(Step::Commit, self.retry.timeout).await?;
        self.step(Step::Begin, None).await
    }

    /// Gives up what has been written and not been committed: nobody who reads what is
    /// committed will ever see it.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.step(Step::Abort, Some(ATTEMPT)).await {
            // The cluster does so by itself once `transaction.timeout.ms` has passed.
            debug!("giving up the last transaction: {error:#}");
        }
        *self.producer() = None;
    }

    /// Takes a step, again and again while that may help, for `patience` at most.
    async fn step(&self, step: Step, patience: Option<Duration>) -> Result<()> {
        let began = Instant::now();
        loop {
            let Some(producer) = self.producer().clone() else {
                anyhow::bail!("the sink that writes the transactions is not open");
            };
            let next = step.clone();
            let taken = tokio::task::spawn_blocking(move || producer.take(&next)).await?;
            let Err(error) = taken else { return Ok(()) };
            if !is_retriable(&error) {
                return Err(self.explain(&error));
            }
            if patience.is_some_and(|patience| began.elapsed() >= patience) {
                let at = &self.bootstrap_servers;
                let waited = began.elapsed();
                let message = format!("the cluster at {at} has ended no transaction for {waited:?}: {error}");
                return Err(Unreachable(message).into());
            }
            warn!("a transaction has to wait for the cluster: {error}; trying again");
            tokio::time::sleep(self.retry.initial).await;
        }
    }

    /// What an error of a transaction means and what to do.
    fn explain(&self, error: &KafkaError) -> Error {
        use RDKafkaErrorCode as Code;
        const AGAIN: &str =
            "its records are read again by whoever has their partitions now: start the pipeline again";
        let at = &self.bootstrap_servers;
        match error.rdkafka_error_code() {
            Some(
                Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
                | Code::RebalanceInProgress,
            ) => {
                anyhow::anyhow!(
                    "the consumer group has given the partitions to others before the transaction was committed \
                     ({error}), so it is given up; {AGAIN}"
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
                    "the cluster at {at} has given up the transaction ({error}): it was open for longer than \
                     `transaction.timeout.ms`, because the process stood still or the cluster did; {AGAIN}"
                )
            }
            Some(code) if is_denied(code) => anyhow::anyhow!(
                "the cluster at {at} does not let this user write in transactions ({error}): grant the user \
                 Describe and Write on transactional ids that begin with `runner-`, and Read on the consumer group"
            ),
            Some(Code::InvalidTransactionTimeout) => anyhow::anyhow!(
                "the cluster at {at} does not let a transaction be open for so long: set `transaction.timeout.ms` \
                 in `librdkafka_options` of the sink to no more than its `transaction.max.timeout.ms`"
            ),
            _ => anyhow::anyhow!("the transaction cannot be committed ({error}), so it is given up; {AGAIN}"),
        }
    }

    fn producer(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Transacts>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        // Deliveries are waited for in front of a commit.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}
