//! Dead letters in a topic, for `runner dlq`.
//!
//! Records cannot be removed from a topic. The committed offset of the group `runner-dlq-PIPELINE` says where the
//! letters begin that have not been replayed; those before it count as removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use runner_core::{
    DeadLetter, Failure, LetterId, LetterReader, LetterStore, Result, StoredLetter, async_trait,
};
use tokio::task::spawn_blocking;

use super::replay_lock::ReplayLock;
use super::retried::{PATIENCE, retried};
use crate::shared::kafka::{ClientErrors, ENTRY_HEADER, Probe, SOURCE_HEADER};

/// A letter in the topic.
type Place = (i32, i64);

/// The dead letters of one pipeline in one topic.
#[derive(Clone)]
pub(super) struct TopicLetters {
    pub(super) client: ClientConfig,
    pub(super) bootstrap_servers: String,
    pub(super) topic: String,
    pub(super) pipeline: String,
    /// The timeout of a request.
    pub(super) timeout: Duration,
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    /// The letters of the replay that have not been removed.
    pending: BTreeSet<Place>,
    /// Where the letters began in each partition when they were last read.
    starts: BTreeMap<i32, i64>,
    /// The end of each partition when the letters were last read.
    ends: BTreeMap<i32, i64>,
    /// The same when the replay began. What is written later belongs to the next one.
    limits: BTreeMap<i32, i64>,
    /// The offsets that were committed last.
    committed: BTreeMap<i32, i64>,
    /// Held by a replay.
    lock: Option<Arc<ReplayLock>>,
}

/// The pause between two tries of a request.
const RETRY: Duration = Duration::from_millis(200);
const MAX_LETTERS: usize = 500;

impl TopicLetters {
    fn group(&self) -> String {
        format!("runner-dlq-{}", self.pipeline)
    }

    fn consumer_config(&self) -> ClientConfig {
        let mut config = self.client.clone();
        config.set("group.id", self.group()).set("enable.auto.commit", "false");
        config.remove("transactional.id");
        config
    }

    fn consumer(&self) -> Result<BaseConsumer<ClientErrors>> {
        Ok(self.consumer_config().create_with_context(ClientErrors::default())?)
    }

    /// Makes sure that no other replay delivers the letters, and that none has done so since they were read. Blocks.
    fn lock(&self) -> Result<()> {
        let lock = ReplayLock::acquire(self.consumer_config(), &self.group(), &self.topic)?;
        let (starts, ends) = {
            let state = self.state();
            (state.starts.clone(), state.ends.clone())
        };
        drop(self.start()?);
        let mut state = self.state();
        anyhow::ensure!(
            state.starts == starts,
            "another replay has delivered letters in the meantime: start this one again"
        );
        // Letters that were written since then belong to the next replay.
        state.ends = ends;
        state.lock = Some(Arc::new(lock));
        Ok(())
    }

    /// Assigns the letters that have not been replayed. Blocks.
    fn start(&self) -> Result<TopicReader> {
        let client = self.consumer()?;
        let probe = Probe {
            client: &client,
            errors: client.context(),
            bootstrap_servers: &self.bootstrap_servers,
            timeout: self.timeout,
        };
        let partitions = probe.partitions(&self.topic)?.unwrap_or_default();
        let mut list = TopicPartitionList::new();
        for &partition in &partitions {
            list.add_partition(&self.topic, partition);
        }
        let mut starts = TopicPartitionList::new();
        let (mut positions, mut ends) = (BTreeMap::new(), BTreeMap::new());
        if !partitions.is_empty() {
            // Records are not assigned yet, so polling serves the client alone.
            let wait = || drop(client.poll(RETRY));
            let fetch = |timeout: Duration| {
                let committed = client.committed_offsets(list.clone(), timeout.min(self.timeout))?;
                committed.elements().iter().try_for_each(|it| it.error())?;
                Ok(committed)
            };
            let committed = retried(PATIENCE, fetch, wait)
                .with_context(|| format!("fetching the offsets of group `{}`", self.group()))?;
            for it in committed.elements() {
                let watermarks = |timeout: Duration| {
                    client.fetch_watermarks(&self.topic, it.partition(), timeout.min(self.timeout))
                };
                let (low, high) = retried(PATIENCE, watermarks, wait)?;
                let start =
                    if let Offset::Offset(offset) = it.offset() { offset.clamp(low, high) } else { low };
                if start < high {
                    starts.add_partition_offset(&self.topic, it.partition(), Offset::Offset(start))?;
                }
                positions.insert(it.partition(), start);
                ends.insert(it.partition(), high);
            }
        }
        client.assign(&starts)?;
        let assigned = starts.elements();
        let unread = assigned.iter().map(|it| (it.partition(), ends[&it.partition()])).collect();
        let mut state = self.state();
        (state.starts, state.ends) = (positions, ends);
        drop(state);
        Ok(TopicReader { client: Arc::new(client), unread })
    }

    /// Commits how far the letters are removed: up to the first pending one. Blocks.
    fn commit(&self) -> Result<()> {
        let next: BTreeMap<i32, i64> = {
            let state = self.state();
            let first = |partition: i32| state.pending.range((partition, 0)..=(partition, i64::MAX)).next();
            let next =
                state.limits.iter().map(|(&it, &end)| (it, first(it).map_or(end, |(_, offset)| *offset)));
            next.filter(|(it, offset)| state.committed.get(it) != Some(offset)).collect()
        };
        if next.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (&partition, &offset) in &next {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        let lock = self.state().lock.clone().context("a replay holds the lock")?;
        lock.commit(&list).with_context(|| format!("committing the offsets of group `{}`", self.group()))?;
        self.state().committed.extend(next);
        Ok(())
    }

    /// Writes letters to the end of the topic. Blocks.
    fn append(&self, letters: &[StoredLetter]) -> Result<()> {
        let producer: BaseProducer = self.client.create()?;
        for StoredLetter { bytes, .. } in letters {
            let letter = DeadLetter::read(bytes)?;
            let mut record =
                BaseRecord::<[u8], [u8]>::to(&self.topic).payload(bytes).key(letter.component.as_bytes());
            if let Some(entry) = &letter.record.entry {
                let (number, source) = (entry.text().to_string(), entry.source.as_str());
                record = record.headers(
                    OwnedHeaders::new()
                        .insert(Header { key: ENTRY_HEADER, value: Some(&number) })
                        .insert(Header { key: SOURCE_HEADER, value: Some(source) }),
                );
            }
            producer.send(record).map_err(|(error, _)| error)?;
            producer.poll(Duration::ZERO);
        }
        // Delivered when it returns: the client retries without a limit.
        producer.flush(PATIENCE)?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&TopicLetters) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let letters = self.clone();
        let done = spawn_blocking(move || run(&letters)).await.context("a thread for the Kafka client")?;
        Ok(done.with_context(|| self.location())?)
    }
}

#[async_trait]
impl LetterStore for TopicLetters {
    fn location(&self) -> String {
        format!("topic {} at {}", self.topic, self.bootstrap_servers)
    }

    async fn read(&self) -> Result<Box<dyn LetterReader>, Failure> {
        Ok(Box::new(self.blocking(TopicLetters::start).await?))
    }

    async fn begin(&self, pending: Vec<LetterId>) -> Result<(), Failure> {
        let pending = pending.iter().map(place).collect::<Result<_>>()?;
        self.blocking(TopicLetters::lock).await?;
        let mut state = self.state();
        state.pending = pending;
        state.limits = state.ends.clone();
        Ok(())
    }

    async fn remove(&self, letters: &[LetterId]) -> Result<(), Failure> {
        for letter in letters {
            let place = place(letter)?;
            self.state().pending.remove(&place);
        }
        self.blocking(TopicLetters::commit).await
    }

    /// Writes the kept letters again, since the offset moves past them.
    async fn end(&self, kept: &[LetterId]) -> Result<(), Failure> {
        let kept: BTreeSet<Place> = kept.iter().map(place).collect::<Result<_>>()?;
        // What was not delivered is pending: the offset stays before it, and before what comes after it.
        let first_undelivered: BTreeMap<i32, i64> = {
            let state = self.state();
            let undelivered = state.pending.iter().rev().filter(|place| !kept.contains(place));
            undelivered.copied().collect()
        };
        let is_passed = |(partition, offset): &Place| {
            first_undelivered.get(partition).is_none_or(|undelivered| offset < undelivered)
        };
        let passed: BTreeSet<Place> = kept.into_iter().filter(is_passed).collect();
        if passed.is_empty() {
            return self.blocking(TopicLetters::commit).await;
        }
        let mut reader = self.read().await?;
        loop {
            let mut letters = reader.next().await?;
            if letters.is_empty() {
                break;
            }
            letters.retain(|letter| place(&letter.id).is_ok_and(|place| passed.contains(&place)));
            self.blocking(move |it| it.append(&letters)).await?;
        }
        self.state().pending.retain(|place| !passed.contains(place));
        self.blocking(TopicLetters::commit).await
    }
}

fn place(id: &LetterId) -> Result<Place> {
    let parsed = id
        .place
        .split_once('/')
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)));
    parsed.with_context(|| format!("{} is not a partition and an offset", id.place))
}

struct TopicReader {
    client: Arc<BaseConsumer<ClientErrors>>,
    /// The ends of the partitions that are not read to their end yet.
    unread: BTreeMap<i32, i64>,
}

#[async_trait]
impl LetterReader for TopicReader {
    async fn next(&mut self) -> Result<Vec<StoredLetter>, Failure> {
        let (client, mut unread) = (Arc::clone(&self.client), std::mem::take(&mut self.unread));
        let read = move || read(&client, &mut unread).map(|letters| (letters, unread));
        let (letters, unread) = spawn_blocking(read).await.context("a thread for the Kafka client")??;
        self.unread = unread;
        Ok(letters)
    }
}

/// Reads up to [`MAX_LETTERS`]; none at the end.
fn read(client: &BaseConsumer<ClientErrors>, unread: &mut BTreeMap<i32, i64>) -> Result<Vec<StoredLetter>> {
    let mut letters = Vec::new();
    let began = Instant::now();
    while !unread.is_empty() && letters.len() < MAX_LETTERS {
        if let Some(message) = client.poll(Duration::from_millis(100)) {
            let message = message?;
            let (partition, offset) = (message.partition(), message.offset());
            if unread.get(&partition).is_none_or(|&end| offset >= end) {
                continue;
            }
            let id = LetterId { place: format!("{partition}/{offset}"), version: String::new() };
            letters.push(StoredLetter {
                id,
                bytes: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            });
            if unread.get(&partition) == Some(&(offset + 1)) {
                unread.remove(&partition);
            }
            continue;
        }
        // The last records of a partition may be the markers of a transaction.
        for it in client.position()?.elements() {
            if let Offset::Offset(position) = it.offset()
                && unread.get(&it.partition()).is_some_and(|&end| position >= end)
            {
                unread.remove(&it.partition());
            }
        }
        if letters.is_empty() && began.elapsed() > PATIENCE {
            let reason = client.context().last().map(|(_, reason)| reason).unwrap_or_default();
            return Err(
                Failure::unreachable(anyhow::anyhow!("no record within {PATIENCE:?}: {reason}")).into()
            );
        }
    }
    Ok(letters)
}
