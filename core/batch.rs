//! A batch is records that travel together, and the items of the source that they stand for.

mod mapped;
mod out_count;
mod record_handle;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use anyhow::Error;

use crate::ack::{BatchTracker, Outcome};
use crate::observer::Event;
use crate::progress::{Counters, add};
use crate::record::Record;
pub use mapped::Mapped;
pub(crate) use out_count::OutCount;
pub use record_handle::RecordHandle;

/// Records that travel together.
///
/// Each record stands for an item that a source has read, and every batch must end by
/// [`ack`](Batch::ack), [`release`](Batch::release) or [`fail`](Batch::fail), or be sent on. A
/// batch that is dropped counts as failed, and ends the run as a bug in a plugin.
#[must_use = "a batch must be sent on, acknowledged, released or failed"]
#[derive(Default)]
pub struct Batch {
    /// Shared by the branches of a fan-out until one of them changes a record.
    records: Arc<Vec<Record>>,
    /// The item that each record stands for, in the order of the records.
    ids: Vec<AckId>,
    trackers: Vec<Arc<BatchTracker>>,
    /// The counters of the component that has the batch now.
    holder: Option<Arc<Counters>>,
    /// The size of the bodies, computed once.
    size: OnceLock<usize>,
}

/// Which item of which tracker a record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AckId {
    /// An index into the trackers of the batch.
    tracker: u32,
    item: u32,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Batch {
    /// Records that were just read; each stands for one item of `tracker`.
    pub(crate) fn tracked(records: Vec<Record>, size: usize, tracker: Arc<BatchTracker>) -> Self {
        let ids = (0..tracker.n_items()).map(|item| AckId { tracker: 0, item }).collect();
        Batch {
            records: Arc::new(records),
            ids,
            trackers: vec![tracker],
            holder: None,
            size: OnceLock::from(size),
        }
    }

    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records, shared with this batch: for a sink that hands them to a thread.
    pub fn shared_records(&self) -> Arc<Vec<Record>> {
        Arc::clone(&self.records)
    }

    /// The records, to change them in place. A record keeps its item, whatever is put in its place.
    pub fn records_mut(&mut self) -> &mut [Record] {
        self.size = OnceLock::new();
        Arc::make_mut(&mut self.records).as_mut_slice()
    }

    /// What to follow each record by, once it was sent on.
    pub fn handles(&self) -> Vec<RecordHandle> {
        let handle = |id: &AckId| RecordHandle {
            tracker: Arc::clone(&self.trackers[id.tracker as usize]),
            item: id.item,
        };
        self.ids.iter().map(handle).collect()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record is left.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how many bytes the bodies take.
    pub fn size(&self) -> usize {
        *self.size.get_or_init(|| self.records.iter().map(Record::size).sum())
    }

    /// Filters records on purpose: those for which `keep` is false count as delivered.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut Record) -> bool) {
        let _ = self.map(|record| if keep(record) { Mapped::Keep } else { Mapped::Filter });
    }

    /// Replaces every record by what `f` makes of it. The result says which records of the new
    /// batch are bad, and why; they go to [`Output::reject`](crate::Output::reject).
    #[must_use = "rejected records must be passed to `Output::reject`"]
    pub fn map(&mut self, mut f: impl FnMut(&mut Record) -> Mapped) -> Vec<(usize, Error)> {
        let n_before = self.len();
        // The ids stay here until all is done, so that a panic of `f` drops the whole batch.
        let old_records = self.take_records();
        let (mut records, mut ids) = (Vec::with_capacity(n_before), Vec::with_capacity(n_before));
        let (mut filtered, mut followers, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        let mut shares = Vec::new();
        for (index, mut record) in old_records.into_iter().enumerate() {
            let id = self.ids[index];
            match f(&mut record) {
                Mapped::Keep => {}
                Mapped::Filter => {
                    self.observe(Event::Filtered(&record));
                    filtered.push(id);
                    continue;
                }
                Mapped::FilterWith(other) => {
                    self.observe(Event::Filtered(&record));
                    followers.push((id, other));
                    continue;
                }
                Mapped::Split(parts) => {
                    let Some(n_more) = parts.len().checked_sub(1) else {
                        self.observe(Event::Filtered(&record));
                        filtered.push(id);
                        continue;
                    };
                    shares.push((id, n_more as u32));
                    for (mut part, index) in parts.into_iter().zip(0..) {
                        part.make_part_of(&record, index);
                        records.push(part);
                        ids.push(id);
                    }
                    continue;
                }
                Mapped::Reject(reason) => rejects.push((records.len(), reason)),
            }
            records.push(record);
            ids.push(id);
        }
        self.share_items(&shares);
        self.set_parts(records, ids);
        self.count_filtered(filtered.len() + followers.len());
        self.settle(&filtered, Outcome::Delivered);
        for (id, other) in followers {
            other.tracker.follow(other.item, &self.trackers[id.tracker as usize], id.item);
        }
        rejects
    }

    /// Takes the batch apart for a transform with several outputs. `to` adds the outputs of the
    /// record at an index; a record can go to several. One that goes nowhere is filtered.
    pub fn route(mut self, n_outputs: usize, mut to: impl FnMut(usize, &mut Vec<usize>)) -> Vec<Batch> {
        let mut parts: Vec<(Vec<Record>, Vec<AckId>)> = vec![Default::default(); n_outputs];
        let (mut filtered, mut shares, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for (index, record) in self.take_records().into_iter().enumerate() {
            let id = self.ids[index];
            outputs.clear();
            to(index, &mut outputs);
            let Some((&last, others)) = outputs.split_last() else {
                self.observe(Event::Filtered(&record));
                filtered.push(id);
                continue;
            };
            if !others.is_empty() {
                shares.push((id, others.len() as u32));
            }
            for &output in others {
                parts[output].0.push(record.clone());
                parts[output].1.push(id);
            }
            parts[last].0.push(record);
            parts[last].1.push(id);
        }
        self.share_items(&shares);
        self.ids.clear();
        self.count_filtered(filtered.len());
        self.settle(&filtered, Outcome::Delivered);
        parts.into_iter().map(|(records, ids)| self.part(records, ids)).collect()
    }

    /// Notes how many further records stand for each of these items.
    fn share_items(&self, shares: &[(AckId, u32)]) {
        for (id, n_more) in shares {
            self.trackers[id.tracker as usize].share(&(id.item..id.item + 1), *n_more);
        }
    }

    fn count_filtered(&self, n: usize) {
        if let Some(holder) = &self.holder {
            add(&holder.filtered, n as u64);
        }
    }

    /// Takes the first `n` records, or all if there are fewer, into a batch of their own.
    pub fn split_front(&mut self, n: usize) -> Batch {
        if n >= self.len() {
            return std::mem::take(self);
        }
        let (mut front, mut front_ids) = self.take_parts();
        let back = front.split_off(n);
        let back_ids = front_ids.split_off(n);
        self.set_parts(back, back_ids);
        self.part(front, front_ids)
    }

    /// Takes the records at `indices`, which must ascend, into a batch of their own.
    pub fn extract(&mut self, indices: &[usize]) -> Batch {
        debug_assert!(indices.is_sorted());
        let (mut taken, mut taken_ids) =
            (Vec::with_capacity(indices.len()), Vec::with_capacity(indices.len()));
        let (mut kept, mut kept_ids) = (Vec::with_capacity(self.len()), Vec::with_capacity(self.len()));
        let mut wanted = indices.iter().copied().peekable();
        let (records, ids) = self.take_parts();
        for (index, (record, id)) in records.into_iter().zip(ids).enumerate() {
            if wanted.next_if_eq(&index).is_some() {
                taken.push(record);
                taken_ids.push(id);
            } else {
                kept.push(record);
                kept_ids.push(id);
            }
        }
        self.set_parts(kept, kept_ids);
        self.part(taken, taken_ids)
    }

    /// Adds the records of another batch after those of this one.
    pub fn absorb(&mut self, mut other: Batch) {
        if self.is_empty() && self.holder.is_none() {
            *self = other;
            return;
        }
        let (mut records, ids) = other.take_parts();
        let trackers: Vec<u32> = other.trackers.iter().map(|it| self.tracker_index(it)).collect();
        self.ids.extend(ids.iter().map(|id| AckId { tracker: trackers[id.tracker as usize], item: id.item }));
        self.size = OnceLock::new();
        Arc::make_mut(&mut self.records).append(&mut records);
    }

    /// Acknowledges every record: it is stored.
    pub fn ack(mut self) {
        self.end(Outcome::Delivered);
    }

    /// Releases every record: it was not processed and will be read again. This is not an error.
    pub fn release(mut self) {
        self.count_released();
        self.end(Outcome::Released);
    }

    /// Fails every record: it could not be written, and the run ends with an error.
    pub fn fail(mut self) {
        self.count_released();
        self.end(Outcome::Failed);
    }

    /// Failed and dropped records are counted as released too: they will be read again.
    fn count_released(&self) {
        if let Some(holder) = &self.holder {
            add(&holder.released, self.ids.len() as u64);
        }
    }

    /// The same records for another branch; the items are acknowledged when both branches have
    /// acknowledged them.
    pub(crate) fn share(&self) -> Batch {
        for (tracker, items) in runs(&self.ids) {
            self.trackers[tracker].share(&items, 1);
        }
        Batch {
            records: Arc::clone(&self.records),
            ids: self.ids.clone(),
            trackers: self.trackers.clone(),
            holder: self.holder.clone(),
            size: self.size.clone(),
        }
    }

    /// Notes and counts that a component has received the batch.
    pub(crate) fn enter(&mut self, component: &Arc<Counters>) {
        add(&component.records_in, self.len() as u64);
        add(&component.bytes_in, self.size() as u64);
        component.observe(Event::Received(&self.records));
        self.holder = Some(Arc::clone(component));
    }

    /// Ends the stay at the component that has received the batch; the result counts it.
    pub(crate) fn leave(&mut self) -> OutCount {
        self.observe(Event::Sent(&self.records));
        OutCount { component: self.holder.take(), n_records: self.len() as u64, n_bytes: self.size() as u64 }
    }

    /// From the first to the last place in the reading order that the records stand for.
    pub(crate) fn span(&self) -> Range<u64> {
        let places = || runs(&self.ids).map(|(tracker, items)| self.places_of(tracker, &items));
        let start = places().map(|places| places.start).min().unwrap_or_default();
        let end = places().map(|places| places.end).max().unwrap_or_default();
        start..end
    }

    /// Notes that the records are about to be written by a sink.
    pub(crate) fn mark_tried(&self) {
        for (tracker, items) in runs(&self.ids) {
            self.trackers[tracker].mark_tried(self.places_of(tracker, &items).end);
        }
    }

    fn places_of(&self, tracker: usize, items: &Range<u32>) -> Range<u64> {
        let first = self.trackers[tracker].place(items.start);
        first..first + u64::from(items.end - items.start)
    }

    fn observe(&self, event: Event<'_>) {
        if let Some(holder) = &self.holder {
            holder.observe(event);
        }
    }

    /// The index of a tracker in this batch, which may be new.
    fn tracker_index(&mut self, tracker: &Arc<BatchTracker>) -> u32 {
        let index = self.trackers.iter().position(|it| Arc::ptr_eq(it, tracker)).unwrap_or_else(|| {
            self.trackers.push(Arc::clone(tracker));
            self.trackers.len() - 1
        });
        u32::try_from(index).expect("a batch has fewer than 2^32 trackers")
    }

    /// A batch of records that were taken out of this one.
    fn part(&self, records: Vec<Record>, ids: Vec<AckId>) -> Batch {
        Batch {
            records: Arc::new(records),
            ids,
            trackers: self.trackers.clone(),
            holder: self.holder.clone(),
            size: OnceLock::new(),
        }
    }

    fn take_records(&mut self) -> Vec<Record> {
        self.size = OnceLock::new();
        Arc::unwrap_or_clone(std::mem::take(&mut self.records))
    }

    fn take_parts(&mut self) -> (Vec<Record>, Vec<AckId>) {
        (self.take_records(), std::mem::take(&mut self.ids))
    }

    fn set_parts(&mut self, records: Vec<Record>, ids: Vec<AckId>) {
        (self.records, self.ids) = (Arc::new(records), ids);
    }

    fn end(&mut self, outcome: Outcome) {
        let ids = std::mem::take(&mut self.ids);
        self.settle(&ids, outcome);
    }

    fn settle(&self, ids: &[AckId], outcome: Outcome) {
        for (tracker, items) in runs(ids) {
            self.trackers[tracker].settle(&items, outcome);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.count_released();
            self.end(Outcome::Dropped);
        }
    }
}

/// Items in a row of the same tracker: its index and the items.
fn runs(ids: &[AckId]) -> impl Iterator<Item = (usize, Range<u32>)> + '_ {
    let follows = |one: &AckId, next: &AckId| one.tracker == next.tracker && one.item + 1 == next.item;
    ids.chunk_by(follows).map(|run| {
        let (first, last) = (run[0], run[run.len() - 1]);
        (first.tracker as usize, first.item..last.item + 1)
    })
}
