//! Records that the brokers refuse, and those that they refuse for being in one request with them.

use std::sync::atomic::Ordering;

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer as _;
use runner_core::{Record, WriteError};
use tokio::sync::{MutexGuard, mpsc};

use super::delivery::{Failed, Fault};
use super::key::KeyField;
use super::{CONCURRENCY, Kafka, Opened, ended};

impl Kafka {
    /// Finds out which records the brokers will not have.
    ///
    /// They refuse a request as a whole for one bad record in it, also for one of another write; some say which one
    /// it was. Whatever shares its fate is written once more with nothing else under way: first those that were
    /// told to be none of it, then one by one; of a request that was too large, by halves. What is refused then is
    /// refused for its own sake.
    pub(super) async fn write_apart(
        &self,
        opened: &Opened,
        records: &[Record],
        failed: Vec<Failed>,
    ) -> Result<Vec<Failed>, WriteError> {
        // In a transaction there is no second try.
        if self.transactions.is_some() || !failed.iter().any(Failed::is_shared) {
            return Ok(failed);
        }
        let (shared, mut failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(Failed::is_shared);
        let (innocent, doubtful): (Vec<_>, Vec<_>) =
            shared.into_iter().partition(|it| it.is_client(Code::InvalidDifferentRecord));
        let (too_large, doubtful): (Vec<_>, Vec<_>) = doubtful.into_iter().partition(Failed::is_too_large);
        let mut doubtful: Vec<usize> = doubtful.into_iter().map(|it| it.index).collect();
        let mut alone = Alone::with(opened).await?;
        failed.extend(alone.write_in_parts(records, too_large).await?);
        if !innocent.is_empty() {
            let mut innocent: Vec<usize> = innocent.into_iter().map(|it| it.index).collect();
            innocent.sort_unstable();
            let (shared, others): (Vec<_>, Vec<_>) =
                alone.write(records, &innocent).await?.into_iter().partition(Failed::is_shared);
            doubtful.extend(shared.into_iter().map(|it| it.index));
            failed.extend(others);
        }
        doubtful.sort_unstable();
        for index in doubtful {
            let is_keyless = self.is_keyless(&records[index]);
            if is_keyless && self.wants_keys.load(Ordering::Relaxed) {
                failed.push(Failed { index, fault: Fault::Client(Code::InvalidRecord) });
                continue;
            }
            let again = alone.write(records, &[index]).await?;
            if is_keyless && again.iter().any(|it| it.is_client(Code::InvalidRecord)) {
                self.wants_keys.store(true, Ordering::Relaxed);
            }
            failed.extend(again);
        }
        Ok(failed)
    }

    /// Why the brokers would not have a record, and what to do.
    pub(super) fn why_refused(&self, record: &Record, code: Code) -> String {
        match code {
            Code::InvalidTimestamp => format!(
                "its time, {} ms after 1970, is further from the clock of the broker than the topic allows \
                 (`message.timestamp.before.max.ms`, `message.timestamp.after.max.ms`)",
                record.timestamp.unwrap_or_default()
            ),
            code if self.is_keyless(record) => {
                format!("{code}; it has no key, and a compacted topic wants one (`key_field`)")
            }
            code => format!("{code}; the log of the broker says why"),
        }
    }

    /// Whether a record is sent without a key.
    fn is_keyless(&self, record: &Record) -> bool {
        let named = self.key_field.as_ref().and_then(|name| KeyField(name.clone()).of(record).ok().flatten());
        named.is_none() && record.key.is_none()
    }
}

impl Failed {
    fn is_client(&self, code: Code) -> bool {
        matches!(self.fault, Fault::Client(it) if it == code)
    }

    /// Whether it may have failed for the sake of another record.
    fn is_shared(&self) -> bool {
        let codes = [Code::InvalidRecord, Code::InvalidDifferentRecord, Code::InvalidTimestamp];
        self.is_too_large() || codes.into_iter().any(|code| self.is_client(code))
    }

    /// Whether the request that it was in was too large: the topic takes less than it said, or did not say.
    fn is_too_large(&self) -> bool {
        self.is_client(Code::MessageSizeTooLarge) || self.is_client(Code::MessageBatchTooLarge)
    }
}

/// A moment in which nothing else is under way: all slots but one are held, and nobody gets that one.
struct Alone<'a> {
    opened: &'a Opened,
    free: MutexGuard<'a, mpsc::Receiver<usize>>,
    held: Vec<usize>,
}

impl<'a> Alone<'a> {
    async fn with(opened: &'a Opened) -> Result<Self, WriteError> {
        let free = opened.free.lock().await;
        let mut alone = Alone { opened, free, held: Vec::with_capacity(CONCURRENCY) };
        while alone.held.len() < CONCURRENCY {
            let slot = alone.free.recv().await.ok_or_else(ended)?;
            alone.held.push(slot);
        }
        Ok(alone)
    }

    /// Writes the records at `indices`, and answers with those that have failed.
    async fn write(&mut self, records: &[Record], indices: &[usize]) -> Result<Vec<Failed>, WriteError> {
        let slot = self.held.pop().ok_or_else(ended)?;
        let picked = indices.iter().map(|&index| records[index].clone()).collect();
        let failed = self.opened.answer(self.opened.send(slot, picked)?).await?;
        let slot = self.free.recv().await.ok_or_else(ended)?;
        self.held.push(slot);
        let of = |it: Failed| Failed { index: indices[it.index], ..it };
        Ok(failed.into_iter().map(of).collect())
    }

    /// Writes again what was in requests that were too large, in smaller and smaller ones; answers with
    /// what is too large by itself.
    async fn write_in_parts(
        &mut self,
        records: &[Record],
        too_large: Vec<Failed>,
    ) -> Result<Vec<Failed>, WriteError> {
        let mut failed = Vec::new();
        let mut parts: Vec<_> = halves(too_large).collect();
        while let Some(part) = parts.pop() {
            let again = self.write(records, &part).await?;
            if part.len() == 1 {
                failed.extend(again);
                continue;
            }
            let (too_large, others): (Vec<_>, Vec<_>) = again.into_iter().partition(Failed::is_too_large);
            failed.extend(others);
            parts.extend(halves(too_large));
        }
        Ok(failed)
    }
}

/// The indices of what has failed in two parts, of which the second comes first.
fn halves(failed: Vec<Failed>) -> impl Iterator<Item = Vec<usize>> {
    let mut front: Vec<usize> = failed.into_iter().map(|it| it.index).collect();
    front.sort_unstable();
    let back = front.split_off(front.len() / 2);
    [back, front].into_iter().filter(|part| !part.is_empty())
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for slot in self.held.drain(..) {
            self.opened.producer.client().context().release(slot);
        }
    }
}
