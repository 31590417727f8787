//! The log of one partition.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;

use super::batch::Batch;

/// The number of recent batches of a producer that are recognized when they arrive again, as in Apache Kafka.
const N_RECENT: usize = 5;

/// The batches of a partition. Its first offset is always 0.
#[derive(Debug, Default)]
pub(super) struct Log {
    batches: Vec<Batch>,
    end: i64,
    /// The first offset of each producer whose transaction is open.
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
    producers: BTreeMap<i64, Recent>,
}

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Aborted {
    pub(super) producer: i64,
    pub(super) first: i64,
    /// The offset of its marker.
    last: i64,
}

/// The last batches of an idempotent producer.
#[derive(Debug, Default)]
struct Recent {
    epoch: i16,
    /// The first sequence number, the one after the last, and the offset of each.
    batches: VecDeque<(i32, i32, i64)>,
}

impl Log {
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The offset before which all transactions have ended.
    pub(super) fn last_stable(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// Stores a batch and returns its offset. A batch that an idempotent producer sends again is not stored again.
    pub(super) fn append(&mut self, batch: Batch) -> Result<i64, ResponseError> {
        let offset = self.end;
        if batch.producer() >= 0 {
            if let Some(stored) = self.producers.entry(batch.producer()).or_default().check(&batch)? {
                return Ok(stored);
            }
            if batch.is_transactional() {
                self.open.entry(batch.producer()).or_insert(offset);
            }
            self.producers.entry(batch.producer()).or_default().add(&batch, offset);
        }
        self.push(batch);
        Ok(offset)
    }

    /// Ends the transaction of a producer, if it has one here.
    pub(super) fn end_transaction(&mut self, producer: i64, marker: Batch, is_committed: bool) {
        let Some(first) = self.open.remove(&producer) else { return };
        if !is_committed {
            self.aborted.push(Aborted { producer, first, last: self.end });
        }
        self.push(marker);
    }

    fn push(&mut self, batch: Batch) {
        let batch = batch.at(self.end);
        self.end = batch.end();
        self.batches.push(batch);
    }

    /// Whole batches from the one that contains `offset`, before `end`: as many as `max_bytes` holds, and at least one.
    /// With the aborted transactions among them.
    pub(super) fn read(&self, offset: i64, end: i64, max_bytes: usize) -> (Bytes, Vec<Aborted>) {
        let mut records = BytesMut::new();
        let first = self.batches.partition_point(|batch| batch.end() <= offset);
        let mut last = offset;
        for batch in self.batches[first..].iter().take_while(|batch| batch.offset() < end) {
            if !records.is_empty() && records.len() + batch.bytes().len() > max_bytes {
                break;
            }
            records.extend_from_slice(batch.bytes());
            last = batch.end();
        }
        let is_among = |it: &&Aborted| it.last >= offset && it.first < last;
        (records.freeze(), self.aborted.iter().filter(is_among).copied().collect())
    }

    /// The offset and timestamp of the first batch with a record as late as `timestamp`.
    pub(super) fn since(&self, timestamp: i64) -> Option<(i64, i64)> {
        let batch = self.batches.iter().find(|batch| batch.latest() >= timestamp)?;
        Some((batch.offset(), batch.latest()))
    }
}

impl Recent {
    /// The offset of a batch that was stored before, or `None` for the next one.
    fn check(&self, batch: &Batch) -> Result<Option<i64>, ResponseError> {
        let Some(&(_, next, _)) = self.batches.back() else { return Ok(None) };
        if batch.epoch() != self.epoch {
            let is_new = batch.epoch() > self.epoch;
            return if is_new { Ok(None) } else { Err(ResponseError::InvalidProducerEpoch) };
        }
        let is_same =
            |&&(first, end, _): &&(i32, i32, i64)| first == batch.sequence() && end == end_of(batch);
        match self.batches.iter().find(is_same) {
            Some(&(_, _, offset)) => Ok(Some(offset)),
            None if batch.sequence() == next => Ok(None),
            None => Err(ResponseError::OutOfOrderSequenceNumber),
        }
    }

    fn add(&mut self, batch: &Batch, offset: i64) {
        if batch.epoch() != self.epoch {
            *self = Recent { epoch: batch.epoch(), batches: VecDeque::new() };
        }
        if self.batches.len() == N_RECENT {
            self.batches.pop_front();
        }
        self.batches.push_back((batch.sequence(), end_of(batch), offset));
    }
}

/// The sequence number after a batch; the one after the largest is 0.
fn end_of(batch: &Batch) -> i32 {
    batch.sequence().wrapping_add(batch.last_delta()).wrapping_add(1) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of `n` records of producer 7 without any data.
    fn batch(sequence: i32, n: i32, latest: i64) -> Batch {
        let mut bytes = vec![0; 61];
        bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
        bytes[16] = 2;
        bytes[22] = 1 << 4;
        bytes[23..27].copy_from_slice(&(n - 1).to_be_bytes());
        bytes[35..43].copy_from_slice(&latest.to_be_bytes());
        bytes[43..51].copy_from_slice(&7_i64.to_be_bytes());
        bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        Batch::split(bytes.into()).expect("a batch").remove(0)
    }

    fn marker(is_committed: bool) -> Batch {
        Batch::marker(7, 0, is_committed, 5_000).expect("a marker")
    }

    fn offsets(records: Bytes) -> Vec<i64> {
        Batch::split(records).expect("batches").iter().map(Batch::offset).collect()
    }

    #[test]
    fn reading_starts_with_the_batch_of_the_offset() {
        let mut log = Log::default();
        assert_eq!(log.append(batch(0, 10, 1_000)), Ok(0));
        assert_eq!(log.append(batch(10, 1, 3_000)), Ok(10));
        log.end_transaction(7, marker(true), true);
        assert_eq!(log.append(batch(11, 7, 2_000)), Ok(12));
        let read = |offset, max_bytes| offsets(log.read(offset, log.end(), max_bytes).0);
        assert_eq!(read(0, 0), [0]);
        assert_eq!(read(9, 2 * 61), [0, 10]);
        assert_eq!(read(11, 1_000), [11, 12]);
        assert_eq!(read(19, 1_000), [0; 0]);
        let found = [0, 1_001, 5_001].map(|time| log.since(time));
        assert_eq!(found, [Some((0, 1_000)), Some((10, 3_000)), None]);
    }

    #[test]
    fn batch_that_is_sent_again_is_stored_once() {
        let mut log = Log::default();
        assert_eq!(log.append(batch(0, 2, 0)), Ok(0));
        assert_eq!(log.append(batch(2, 2, 0)), Ok(2));
        assert_eq!(log.append(batch(0, 2, 0)), Ok(0));
        assert_eq!(log.append(batch(5, 2, 0)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(log.end(), 4);
    }

    #[test]
    fn aborted_transactions_are_reported_to_readers() {
        let mut log = Log::default();
        log.append(batch(0, 3, 0)).expect("an offset");
        assert_eq!((log.last_stable(), log.end()), (0, 3));
        log.end_transaction(7, marker(false), false);
        log.append(batch(3, 1, 0)).expect("an offset");
        log.end_transaction(7, marker(true), true);
        // Another transaction is not open here.
        log.end_transaction(7, marker(false), false);
        assert_eq!((log.last_stable(), log.end()), (6, 6));
        let aborted = Aborted { producer: 7, first: 0, last: 3 };
        assert_eq!(log.read(0, 6, 1_000).1, [aborted]);
        assert_eq!(log.read(3, 6, 1_000).1, [aborted]);
        assert_eq!(log.read(4, 6, 1_000).1, []);
    }
}
