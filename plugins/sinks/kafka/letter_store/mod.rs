//! Dead letters in a topic, for `runner dlq`.
//!
//! Records cannot be removed from a topic. The committed offset of the group `runner-dlq-PIPELINE` says where the
//! letters begin that have not been replayed; those before it count as removed.

mod replay_lock;
mod retry;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use runner_core::{Failure, LetterId, LetterReader, LetterStore, Result, StoredLetter, async_trait};
use tokio::task::spawn_blocking;

use crate::shared::kafka::{ClientErrors, Probe};
use replay_lock::ReplayLock;
use retry::{CLUSTER_TIMEOUT, retry_in_outage};

/// Where a letter is in the topic.
type PartitionOffset = (i32, i64);

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
    pending: BTreeSet<PartitionOffset>,
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
/// How many letters are read at once, and how many bytes of them, about.
const MAX_LETTERS: usize = 500;
const MAX_BYTES: usize = 8 << 20;

/// The setting of the client library that limits the size of a response.
const RECEIVE_LIMIT: &str = "receive.message.max.bytes";

impl TopicLetters {
    fn group(&self) -> String {
        format!("runner-dlq-{}", self.pipeline)
    }

    fn consumer_config(&self) -> ClientConfig {
        let mut config = self.client.clone();
        config.set("group.id", self.group()).set("enable.auto.commit", "false");
        config.remove("transactional.id");
        if config.get(RECEIVE_LIMIT).is_none() {
            // A letter may be larger than the default of the library, 100 MB.
            config.set(RECEIVE_LIMIT, "1000000000");
        }
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
        let mut notes = Vec::new();
        if !partitions.is_empty() {
            // Records are not assigned yet, so polling serves the client alone.
            let wait = || drop(client.poll(RETRY));
            let fetch = |timeout: Duration| {
                let committed = client.committed_offsets(list.clone(), timeout.min(self.timeout))?;
                committed.elements().iter().try_for_each(|it| it.error())?;
                Ok(committed)
            };
            let committed = retry_in_outage(CLUSTER_TIMEOUT, fetch, wait)
                .with_context(|| format!("fetching the offsets of group `{}`", self.group()))?;
            for it in committed.elements() {
                let watermarks = |timeout: Duration| {
                    client.fetch_watermarks(&self.topic, it.partition(), timeout.min(self.timeout))
                };
                let (low, high) = retry_in_outage(CLUSTER_TIMEOUT, watermarks, wait)?;
                let committed = if let Offset::Offset(offset) = it.offset() { Some(offset) } else { None };
                let (start, note) = first_letter(committed, low, high);
                notes.extend(
                    note.map(|note| format!("topic `{}`, partition {}: {note}", self.topic, it.partition())),
                );
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
        Ok(TopicReader { client: Arc::new(client), unread, notes })
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
        let kept: BTreeSet<PartitionOffset> = kept.iter().map(place).collect::<Result<_>>()?;
        // What was not delivered is pending: the offset stays before it, and before what comes after it.
        let first_undelivered: BTreeMap<i32, i64> = {
            let state = self.state();
            let undelivered = state.pending.iter().rev().filter(|place| !kept.contains(place));
            undelivered.copied().collect()
        };
        let is_passed = |(partition, offset): &PartitionOffset| {
            first_undelivered.get(partition).is_none_or(|undelivered| offset < undelivered)
        };
        let passed: BTreeSet<PartitionOffset> = kept.into_iter().filter(is_passed).collect();
        if passed.is_empty() {
            return self.blocking(TopicLetters::commit).await;
        }
        let mut reader = self.blocking(TopicLetters::start).await?;
        loop {
            let mut letters = reader.messages().await?;
            if letters.is_empty() {
                break;
            }
            letters.retain(|letter| passed.contains(&(letter.partition(), letter.offset())));
            if !letters.is_empty() {
                self.blocking(move |it| rewrite::append(&it.client, &it.topic, &letters)).await?;
            }
        }
        self.state().pending.retain(|place| !passed.contains(place));
        self.blocking(TopicLetters::commit).await
    }
}

fn place(id: &LetterId) -> Result<PartitionOffset> {
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
    notes: Vec<String>,
}

impl TopicReader {
    /// The next messages; none at the end.
    async fn messages(&mut self) -> Result<Vec<OwnedMessage>, Failure> {
        let (client, mut unread) = (Arc::clone(&self.client), std::mem::take(&mut self.unread));
        let read = move || read(&client, &mut unread).map(|letters| (letters, unread));
        let (letters, unread) = spawn_blocking(read).await.context("a thread for the Kafka client")??;
        self.unread = unread;
        Ok(letters)
    }
}

#[async_trait]
impl LetterReader for TopicReader {
    async fn next(&mut self) -> Result<Vec<StoredLetter>, Failure> {
        let letters = self.messages().await?.into_iter().map(|message| StoredLetter {
            id: LetterId {
                place: format!("{}/{}", message.partition(), message.offset()),
                version: String::new(),
            },
            bytes: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        });
        Ok(letters.collect())
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Where the letters of a partition begin that have not been replayed, given the offset that was committed; and what a
/// user must know about those that are gone.
fn first_letter(committed: Option<i64>, low: i64, high: i64) -> (i64, Option<String>) {
    const LOST: &str =
        "They are lost; raise `retention.ms` and `retention.bytes` of the topic, or replay sooner";
    match committed {
        Some(offset) if offset > high => {
            let note = format!(
                "the last replay has ended at offset {offset}, and the partition ends at {high}: the topic was created \
                 again, or has lost records. All letters that it has now count as not replayed"
            );
            (low, Some(note))
        }
        Some(offset) if offset < low => {
            let letters = match low - offset {
                1 => format!("1 dead letter (offset {offset}) was"),
                n => format!("up to {n} dead letters (offsets {offset} to {}) were", low - 1),
            };
            (low, Some(format!("{letters} deleted before they were replayed. {LOST}")))
        }
        Some(offset) => (offset, None),
        None if low > 0 => {
            let note = format!(
                "the records before offset {low} were deleted, and no replay of this pipeline has committed an offset: \
                 dead letters among them that were not replayed are gone"
            );
            (low, Some(note))
        }
        None => (low, None),
    }
}

/// Reads up to [`MAX_LETTERS`]; none at the end.
fn read(client: &BaseConsumer<ClientErrors>, unread: &mut BTreeMap<i32, i64>) -> Result<Vec<OwnedMessage>> {
    let (mut letters, mut n_bytes) = (Vec::new(), 0);
    let began = Instant::now();
    while !unread.is_empty() && letters.len() < MAX_LETTERS && n_bytes < MAX_BYTES {
        if let Some(message) = client.poll(Duration::from_millis(100)) {
            let message = message?;
            let (partition, offset) = (message.partition(), message.offset());
            if unread.get(&partition).is_none_or(|&end| offset >= end) {
                continue;
            }
            n_bytes += message.payload_len();
            letters.push(message.detach());
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
        if letters.is_empty() && began.elapsed() > CLUSTER_TIMEOUT {
            let reason = client.context().last().map(|(_, reason)| reason).unwrap_or_default();
            return Err(Failure::unreachable(anyhow::anyhow!(
                "no record within {CLUSTER_TIMEOUT:?}: {reason}"
            ))
            .into());
        }
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_begin_at_the_committed_offset_and_losses_are_reported() {
        let first = |committed, low, high| {
            let (start, note) = first_letter(committed, low, high);
            (start, note.unwrap_or_default())
        };
        assert_eq!(first(None, 0, 9), (0, String::new()));
        assert_eq!(first(Some(4), 0, 9), (4, String::new()));
        assert_eq!(first(Some(9), 9, 9), (9, String::new()));
        let (start, note) = first(Some(10), 90, 100);
        assert!(start == 90 && note.contains("80 dead letters (offsets 10 to 89) were deleted"), "{note}");
        let (start, note) = first(Some(1_000), 0, 20);
        assert!(start == 0 && note.contains("created again"), "{note}");
        let (start, note) = first(None, 5, 9);
        assert!(start == 5 && note.contains("before offset 5 were deleted"), "{note}");
    }
}
