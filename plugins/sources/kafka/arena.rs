//! Collects messages into one buffer a batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use runner_core::{Batch, Body, EntryNumber, Header, Headers, Name, Origin, Record, Reject};

use super::places::{Partition, Trail};
use super::quiet::quietly;

const ENTRY: &str = "runner-entry";
const SOURCE: &str = "runner-source";

/// A batch that is being filled. All keys, payloads and header values lie end
/// to end in one buffer, of which the records hold slices.
pub(super) struct Arena {
    bytes: Vec<u8>,
    drafts: Vec<Draft>,
    trail: Trail,
}

struct Draft {
    lane: usize,
    offset: i64,
    key: Option<Range<usize>>,
    body: Option<Range<usize>>,
    timestamp: Option<i64>,
    entry: Option<EntryNumber>,
    headers: Vec<(Box<str>, Option<Range<usize>>)>,
    /// The headers could not be read.
    is_bad: bool,
}

impl Arena {
    /// An empty batch behind `before`, of about `n_bytes`.
    pub(super) fn new(epoch: u64, partitions: Arc<[Partition]>, before: Vec<i64>, n_bytes: usize) -> Self {
        let trail = Trail::new(epoch, partitions, before);
        Arena { bytes: Vec::with_capacity(n_bytes), drafts: Vec::new(), trail }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.trail.epoch
    }

    pub(super) fn len(&self) -> usize {
        self.drafts.len()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What comes next in each partition behind this batch.
    pub(super) fn next(&self) -> Vec<i64> {
        self.trail.next_after(self.len())
    }

    /// Copies a message into the batch; this is the only time it is copied.
    pub(super) fn push(&mut self, lane: usize, message: &BorrowedMessage<'_>, sources: &mut Sources) {
        let mut draft = Draft {
            lane,
            offset: message.offset(),
            key: message.key().map(|key| self.keep(key)),
            body: message.payload().map(|payload| self.keep(payload)),
            timestamp: message.timestamp().to_millis(),
            entry: None,
            headers: Vec::new(),
            is_bad: false,
        };
        if let Some(headers) = message.headers() {
            // The client panics over a header whose name is not UTF-8, and
            // whoever can write to the topic can write such a one.
            let read = quietly(|| {
                let ours = headers.iter().filter(|header| matches!(header.key, ENTRY | SOURCE));
                let entry = sources.entry(ours.map(|header| (header.key, header.value)));
                let is_kept = |name: &str| entry.is_none() || !matches!(name, ENTRY | SOURCE);
                let kept = headers.iter().filter(|header| is_kept(header.key));
                let kept = kept.map(|header| (header.key.into(), header.value.map(|it| self.keep(it))));
                (entry, kept.collect())
            });
            match read {
                Some((entry, headers)) => (draft.entry, draft.headers) = (entry, headers),
                None => draft.is_bad = true,
            }
        }
        self.trail.push(lane, draft.offset);
        self.drafts.push(draft);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub(super) fn into_batch(self) -> Batch {
        let bytes = Bytes::from(self.bytes);
        let slice = |range: Range<usize>| bytes.slice(range);
        let mut records = Vec::with_capacity(self.drafts.len());
        let mut rejects = Vec::new();
        for draft in self.drafts {
            let Partition { topic, number } = self.trail.partitions[draft.lane];
            let origin = Origin { source: topic, partition: number, offset: draft.offset as u64 };
            let mut record =
                Record::new(draft.body.map_or(Body::Tombstone, |body| Body::Bytes(slice(body))), origin);
            record.key = draft.key.map(slice);
            record.timestamp = draft.timestamp;
            record.entry = draft.entry;
            let headers = draft.headers.into_iter();
            record.headers =
                Headers::new(headers.map(|(name, value)| Header { name, value: value.map(slice) }).collect());
            if draft.is_bad {
                let reason = anyhow::anyhow!("{origin} has a header whose name is not UTF-8");
                rejects.push(Reject { record, reason, n_before: records.len() });
            } else {
                records.push(record);
            }
        }
        Batch::new(records).with_rejects(rejects).with_positions(self.trail)
    }
}

/// The sources that have numbered the records we meet.
///
/// A name is kept for as long as the process runs, so a topic in which
/// somebody writes a new one into each record must not fill the memory.
#[derive(Default)]
pub(super) struct Sources(HashMap<Box<str>, Name>);

impl Sources {
    const AT_MOST: usize = 64;

    /// The entry that two headers stand for; `None` if one is missing, stands
    /// twice or is not as we write it.
    fn entry<'a>(
        &mut self,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Option<EntryNumber> {
        let (mut number, mut source) = (None, None);
        for (name, value) in headers {
            let place = if name == ENTRY { &mut number } else { &mut source };
            if place.replace(value?).is_some() {
                return None;
            }
        }
        let number = number.filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some(EntryNumber { number, source: self.name(std::str::from_utf8(source?).ok()?)? })
    }

    fn name(&mut self, text: &str) -> Option<Name> {
        if let Some(&name) = self.0.get(text) {
            return Some(name);
        }
        if self.0.len() == Self::AT_MOST || text.is_empty() || text.len() > 1024 {
            return None;
        }
        let name = Name::new(text);
        self.0.insert(text.into(), name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(headers: &[(&'static str, &'static str)]) -> Option<EntryNumber> {
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        Sources::default().entry(headers)
    }

    #[test]
    fn two_headers_are_an_entry() {
        let source = Name::new("producer/stocks");
        let found = entry(&[(ENTRY, "1234"), (SOURCE, "producer/stocks")]);
        assert_eq!(found, Some(EntryNumber { number: 1234, source }));
    }

    #[test]
    fn headers_that_are_not_as_we_write_them_are_no_entry() {
        for number in ["", "-1", "+1", "1.5", "18446744073709551616", "x"] {
            assert_eq!(entry(&[(ENTRY, number), (SOURCE, "a/b")]), None, "{number:?}");
        }
        assert_eq!(entry(&[(ENTRY, "1")]), None);
        assert_eq!(entry(&[(SOURCE, "a/b")]), None);
        assert_eq!(entry(&[(ENTRY, "1"), (ENTRY, "2"), (SOURCE, "a/b")]), None);
        assert_eq!(Sources::default().entry([(ENTRY, None), (SOURCE, None)].into_iter()), None);
    }

    #[test]
    fn names_that_never_end_are_not_kept() {
        let mut sources = Sources::default();
        let n_kept = (0..1000).filter(|n| sources.name(&format!("attack/{n}")).is_some()).count();
        assert_eq!(n_kept, Sources::AT_MOST);
        assert!(sources.name("attack/0").is_some());
    }
}
