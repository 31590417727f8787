//! Emits the records of a page in batches, with a position after each.

use std::sync::Arc;

use runner_core::{Body, Origin, Position, ReadBatch, Record, Reject, Result};
use tracing::info;

use super::super::incremental::{Decision, Unchanged};
use super::super::json::json_text;
use super::super::pages::Page;
use super::super::source::{
    ElementPosition, HttpPosition, HttpSource, NextStep, PageWalk, State, WalkSnapshot,
};

/// After so many inputs without a batch the task gives way to others, for each record of a batch.
const N_INPUTS: usize = 16;

impl HttpSource {
    /// The next batch of a page; `None` if nothing on it, or on a part of it, is new. Moves the state.
    ///
    /// Fails for good if a large response cannot be read back.
    pub(crate) fn emit(&mut self, mut page: Box<Page>) -> Result<Option<ReadBatch>> {
        let Some(mut walk) = self.walk.take() else {
            self.state = State::NextElement;
            return Ok(None);
        };
        let limits = self.settings.limits;
        let before = self.position.clone();
        let (mut records, mut rejects, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
        let (mut n_bytes, mut n_inputs, mut is_whole) = (0, 0, false);
        while snapshots.len() < limits.max_records
            && n_bytes < limits.max_bytes
            && n_inputs < N_INPUTS * limits.max_records
        {
            n_inputs += 1;
            let Some(shaped) = page.next_shaped(self.settings.remap.as_ref(), &walk)? else {
                is_whole = true;
                break;
            };
            self.has_made = true;
            let decided = match shaped.body {
                Ok(body) => {
                    let decision = match &self.settings.incremental {
                        Some(_) => walk.decide(&json_text(&body), &shaped.raw),
                        None => walk.decide(&shaped.raw, &shaped.raw),
                    };
                    decision.map(|decision| (decision, Ok(body)))
                }
                Err(reason) => Ok((walk.decide_bad(&shaped.raw), Err(reason))),
            };
            let body = match decided {
                Ok((Decision::Skip, _)) => continue,
                Ok((Decision::Emit, body)) => body,
                Err(reason) => Err(reason),
            };
            n_bytes += shaped.raw.len();
            let offset = before.offset + snapshots.len() as u64;
            let origin = Origin { source: self.settings.source_name, partition: 0, offset };
            match body {
                Ok(body) => records.push(Record::new(body, origin)),
                Err(reason) => {
                    let record = Record::new(Body::Bytes(shaped.raw), origin);
                    rejects.push(Reject { record, reason, n_before: records.len() });
                }
            }
            snapshots.push(walk.snapshot());
        }
        let is_whole = is_whole || page.is_exhausted();
        page.n_bytes_emitted =
            if is_whole { page.size } else { page.size.min(page.n_bytes_emitted + n_bytes) };
        self.settings.gauges.set_position(page.n_bytes_emitted as u64, page.size as u64);
        let id = Arc::clone(&walk.element.id);
        let mut positions = BatchPositions { before, id, snapshots, last: None };
        self.position = positions.after(positions.snapshots.len());
        if is_whole {
            positions.last = self.after_page(walk, *page);
        } else {
            self.walk = Some(walk);
            self.state = State::Emit(page);
        }
        if positions.snapshots.is_empty() && positions.last.is_none() {
            return Ok(None);
        }
        let batch = ReadBatch::new(records).with_rejects(rejects);
        Ok(Some(batch.with_positions(move |n_items| Position::new(positions.after(n_items)))))
    }

    /// Continues after a page. Returns the position after it, if that is another one than after
    /// its last record.
    fn after_page(&mut self, mut walk: PageWalk, page: Page) -> Option<HttpPosition> {
        if page.is_not_modified {
            self.complete(&walk);
            return None;
        }
        self.warn_of_cut_window(&walk, page.n_items);
        match walk.next_step(page.next, &self.settings) {
            NextStep::Page(next) => {
                self.state = State::Fetch(next);
                self.walk = Some(walk);
                None
            }
            NextStep::Restart => {
                info!(
                    "{}: the page at which the walk was interrupted has lost its first row, so that rows may have moved to \
                     pages before it; the walk starts again at its first page",
                    self.settings.source_name
                );
                self.restart(walk);
                None
            }
            NextStep::Window => {
                // The position moves with each window.
                let (id, state) = (Arc::clone(&walk.element.id), Arc::clone(walk.state()));
                self.begin_pages(walk);
                self.moved_element(&id, ElementPosition { state, walk: None })
            }
            NextStep::End => {
                let after = walk.finish(page.validators, &self.settings);
                self.warn_of_walk(&walk, PageWalk::is_growing(&after, &self.settings));
                let element = ElementPosition { state: after.into(), walk: None };
                let id = Arc::clone(&walk.element.id);
                self.complete(&walk);
                self.moved_element(&id, element)
            }
        }
    }

    /// Ends the walk of an element.
    fn complete(&mut self, walk: &PageWalk) {
        self.poll.succeeded();
        self.state = State::NextElement;
        if self.poll.is_over() {
            self.warn_of_nothing_made();
        }
        if self.settings.unchanged == Unchanged::Deliver {
            let done = Arc::make_mut(&mut self.position.done);
            done.push(Arc::clone(&walk.element.id));
            if self.poll.is_over() {
                done.clear();
            }
        }
    }

    /// Moves the position of an element; `None` if it stays.
    fn moved_element(&mut self, id: &Arc<str>, element: ElementPosition) -> Option<HttpPosition> {
        let is_done_known = self.settings.unchanged == Unchanged::Skip || !self.poll.has_several();
        if self.position.current.is_none() && is_done_known && self.position.element(id) == element {
            return None;
        }
        self.position = self.position.with_element(id, element);
        Some(self.position.clone())
    }
}

/// The positions inside and after a batch.
struct BatchPositions {
    before: HttpPosition,
    /// The element.
    id: Arc<str>,
    /// The walk after each item.
    snapshots: Vec<WalkSnapshot>,
    /// The position after the batch, if it completes a walk.
    last: Option<HttpPosition>,
}

impl BatchPositions {
    fn after(&self, n_items: usize) -> HttpPosition {
        if let Some(last) = self.last.as_ref().filter(|_| n_items == self.snapshots.len()) {
            return last.clone();
        }
        let Some(snapshot) = n_items.checked_sub(1).and_then(|last| self.snapshots.get(last)) else {
            return self.before.clone();
        };
        HttpPosition {
            offset: self.before.offset + n_items as u64,
            current: Some((Arc::clone(&self.id), snapshot.clone())),
            ..self.before.clone()
        }
    }
}
