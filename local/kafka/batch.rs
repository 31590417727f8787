//! A batch of records in [Kafka's format](https://kafka.apache.org/documentation/#recordbatch), version 2. The broker reads
//! the header; the records stay as the producer compressed them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_SEQUENCE, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// The size of the header.
const HEADER: usize = 61;
/// The size of what the length in the header does not count: the first offset and the length.
const UNCOUNTED: usize = 12;
/// The bit of the attributes that is set for a batch of a transaction.
const IS_TRANSACTIONAL: i16 = 1 << 4;

/// One batch, at least as long as its header says.
#[derive(Clone, Debug)]
pub(super) struct Batch(Bytes);

impl Batch {
    /// The batches of a request.
    pub(super) fn split(mut records: Bytes) -> Result<Vec<Batch>, ResponseError> {
        let mut batches = Vec::new();
        while !records.is_empty() {
            if records.len() < HEADER {
                return Err(ResponseError::CorruptMessage);
            }
            let front = Batch(records.clone());
            let length = usize::try_from(i32::from_be_bytes(front.field(8))).unwrap_or(0) + UNCOUNTED;
            if front.field::<1>(16) != [2] {
                return Err(ResponseError::UnsupportedForMessageFormat);
            }
            if !(HEADER..=records.len()).contains(&length) {
                return Err(ResponseError::CorruptMessage);
            }
            batches.push(Batch(records.split_to(length)));
        }
        Ok(batches)
    }

    /// The record that ends a transaction in a partition.
    pub(super) fn marker(
        producer: i64,
        epoch: i16,
        is_committed: bool,
        timestamp: i64,
    ) -> anyhow::Result<Batch> {
        let record = Record {
            transactional: true,
            control: true,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: producer,
            producer_epoch: epoch,
            timestamp_type: TimestampType::Creation,
            offset: 0,
            sequence: NO_SEQUENCE,
            timestamp,
            // A version and the kind of the marker; a version and the epoch of the coordinator.
            key: Some(Bytes::copy_from_slice(&[0, 0, 0, u8::from(is_committed)])),
            value: Some(Bytes::from_static(&[0; 6])),
            headers: IndexMap::new(),
        };
        let mut encoded = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut encoded, [&record], &options)?;
        Ok(Batch(encoded.freeze()))
    }

    /// The same batch at another offset.
    pub(super) fn at(self, offset: i64) -> Batch {
        let mut bytes = BytesMut::from(self.0);
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        // The epoch of the partition leader.
        bytes[12..16].fill(0);
        Batch(bytes.freeze())
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.0
    }

    pub(super) fn offset(&self) -> i64 {
        i64::from_be_bytes(self.field(0))
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> i64 {
        self.offset() + i64::from(self.last_delta()) + 1
    }

    pub(super) fn is_transactional(&self) -> bool {
        i16::from_be_bytes(self.field(21)) & IS_TRANSACTIONAL != 0
    }

    /// The difference between the offsets of the last record and the first.
    pub(super) fn last_delta(&self) -> i32 {
        i32::from_be_bytes(self.field(23)).max(0)
    }

    /// The latest timestamp, in milliseconds since 1970.
    pub(super) fn latest(&self) -> i64 {
        i64::from_be_bytes(self.field(35))
    }

    /// The id of the producer; negative if the producer is not idempotent.
    pub(super) fn producer(&self) -> i64 {
        i64::from_be_bytes(self.field(43))
    }

    pub(super) fn epoch(&self) -> i16 {
        i16::from_be_bytes(self.field(51))
    }

    /// The number of the first record among those of its producer in the partition.
    pub(super) fn sequence(&self) -> i32 {
        i32::from_be_bytes(self.field(53))
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|n| self.0[at + n])
    }
}
