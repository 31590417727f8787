//! Builds a batch from messages of the client library.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::Message;
use rdkafka::message::Headers as _;
use runner_core::{Body, EntryNumber, Header, Headers, Name, Origin, ReadBatch, Record, Reject};
use tracing::warn;

use super::offsets::{BatchOffsets, Partition};
use crate::shared::kafka::{ENTRY_HEADER, INCARNATION_HEADER, is_entry_header};
use crate::shared::quiet_panic::catch_quietly;

/// A batch that is being filled. Keys, payloads and header values are slices of shared buffers.
pub(in super::super) struct BatchBuilder {
    buffer: BytesMut,
    n_bytes: usize,
    records: Vec<Record>,
    rejects: Vec<Reject>,
    offsets: BatchOffsets,
}

impl BatchBuilder {
    /// An empty batch; `before` holds the next offsets before it. Reserves `n_bytes`.
    pub(in super::super) fn new(
        epoch: u64,
        partitions: Arc<[Partition]>,
        before: Vec<i64>,
        n_bytes: usize,
    ) -> Self {
        BatchBuilder {
            // Each further buffer is as large as the first one.
            buffer: BytesMut::with_capacity(n_bytes.max(1 << 12)),
            n_bytes: 0,
            records: Vec::new(),
            rejects: Vec::new(),
            offsets: BatchOffsets::new(epoch, partitions, before),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.offsets.epoch
    }

    pub(in super::super) fn len(&self) -> usize {
        self.records.len() + self.rejects.len()
    }

    pub(in super::super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// The next offset in each partition after this batch.
    pub(in super::super) fn next(&self) -> Vec<i64> {
        self.offsets.next_after(self.len())
    }

    /// Copies a message into the batch; this is the only time it is copied.
    pub(in super::super) fn push(
        &mut self,
        partition: usize,
        message: &impl Message,
        sources: &mut EntrySources,
    ) {
        let Partition { topic, number } = self.offsets.partitions[partition];
        let origin = Origin { source: topic, partition: number, offset: message.offset() as u64 };
        let body = message.payload().map_or(Body::Tombstone, |payload| Body::Bytes(self.copy(payload)));
        let mut record = Record::new(body, origin);
        record.key = message.key().map(|key| self.copy(key));
        record.timestamp = message.timestamp().to_millis();
        self.offsets.push(partition, message.offset());
        if let Some(headers) = message.headers() {
            // rdkafka 0.39 panics on a header whose name is not UTF-8 (`BorrowedHeaders::try_get`), and every
            // producer of the topic can write one.
            let read = catch_quietly(|| {
                let ours = headers.iter().filter(|header| is_entry_header(header.key));
                record.entry = sources.entry(ours.map(|header| (header.key, header.value)));
                let others = headers.iter().filter(|it| record.entry.is_none() || !is_entry_header(it.key));
                others
                    .map(|it| Header { name: it.key.into(), value: it.value.map(|it| self.copy(it)) })
                    .collect()
            });
            let Some(headers) = read else {
                let reason = anyhow::anyhow!("{origin} has a header whose name is not UTF-8");
                return self.rejects.push(Reject { record, reason, n_before: self.records.len() });
            };
            record.headers = Headers::new(headers);
        }
        self.records.push(record);
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        self.n_bytes += bytes.len();
        self.buffer.extend_from_slice(bytes);
        self.buffer.split().freeze()
    }

    pub(super) fn build(self) -> ReadBatch {
        ReadBatch::new(self.records).with_rejects(self.rejects).with_positions(self.offsets)
    }
}

/// The sources that gave the records their entry numbers.
///
/// The process never frees a `Name`, so the number of names is limited: a topic
/// in which each record has another name must not fill the memory.
#[derive(Default)]
pub(in super::super) struct EntrySources {
    names: HashMap<Box<str>, Name>,
    has_warned: bool,
}

impl EntrySources {
    const MAX_NAMES: usize = 1000;

    /// The entry number in its headers; `None` if one is missing, repeated or not in the form that the
    /// `kafka` sink writes. Earlier versions wrote no incarnation.
    fn entry<'a>(
        &mut self,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Option<EntryNumber> {
        let (mut number, mut source, mut incarnation) = (None, None, None);
        for (name, value) in headers {
            let found = match name {
                ENTRY_HEADER => &mut number,
                INCARNATION_HEADER => &mut incarnation,
                _ => &mut source,
            };
            if found.replace(value?).is_some() {
                return None;
            }
        }
        let source = self.name(std::str::from_utf8(source?).ok()?)?;
        let incarnation = match incarnation {
            Some(text) => Some(std::str::from_utf8(text).ok()?.parse().ok()?),
            None => None,
        };
        let entry = EntryNumber::parse(std::str::from_utf8(number?).ok()?, source).ok()?;
        Some(entry.of_incarnation(incarnation))
    }

    fn name(&mut self, text: &str) -> Option<Name> {
        if let Some(&name) = self.names.get(text) {
            return Some(name);
        }
        if text.is_empty() || text.len() > 1024 {
            return None;
        }
        if self.names.len() == Self::MAX_NAMES {
            if !std::mem::replace(&mut self.has_warned, true) {
                warn!(
                    "the records have entry numbers of more than {} sources (header `runner-source`); those of \
                     the other sources count as records without one: name objects by `{{{{ topic }}}}`, \
                     `{{{{ partition }}}}` and `{{{{ offset }}}}`",
                    Self::MAX_NAMES
                );
            }
            return None;
        }
        let name = Name::new(text);
        self.names.insert(text.into(), name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::kafka::SOURCE_HEADER;

    fn entry(headers: &[(&'static str, &'static str)]) -> Option<EntryNumber> {
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        EntrySources::default().entry(headers)
    }

    #[test]
    fn entry_number_is_read_from_two_headers() {
        let source = Name::new("producer/stocks");
        let found = entry(&[(ENTRY_HEADER, "1234"), (SOURCE_HEADER, "producer/stocks")]);
        assert_eq!(found, Some(EntryNumber::new(1234, source)));
        let part = entry(&[(ENTRY_HEADER, "1234-0-7"), (SOURCE_HEADER, "producer/stocks")]);
        assert_eq!(part, Some(EntryNumber::new(1234, source).part(0).part(7)));
        let named = |incarnation| {
            entry(&[(ENTRY_HEADER, "1"), (SOURCE_HEADER, "a/b"), (INCARNATION_HEADER, incarnation)])
        };
        assert_eq!(named("00c0ffee").unwrap().incarnation, Some("00c0ffee".parse().unwrap()));
        assert_eq!(named("coffee"), None);
    }

    #[test]
    fn entry_number_ignores_headers_in_another_form() {
        for number in ["", "-1", "+1", "1.5", "18446744073709551616", "x"] {
            assert_eq!(entry(&[(ENTRY_HEADER, number), (SOURCE_HEADER, "a/b")]), None, "{number:?}");
        }
        assert_eq!(entry(&[(ENTRY_HEADER, "1")]), None);
        assert_eq!(entry(&[(SOURCE_HEADER, "a/b")]), None);
        assert_eq!(entry(&[(ENTRY_HEADER, "1"), (ENTRY_HEADER, "2"), (SOURCE_HEADER, "a/b")]), None);
        let without_value = [(ENTRY_HEADER, None), (SOURCE_HEADER, None)];
        assert_eq!(EntrySources::default().entry(without_value.into_iter()), None);
    }

    #[test]
    fn entry_sources_keep_a_limited_number_of_names() {
        let mut sources = EntrySources::default();
        let n_kept = (0..EntrySources::MAX_NAMES + 100)
            .filter(|n| sources.name(&format!("attack/{n}")).is_some())
            .count();
        assert_eq!(n_kept, EntrySources::MAX_NAMES);
        assert!(sources.name("attack/0").is_some());
    }
}
