//! Emits the records of a page in batches, with a position after each.

use std::sync::Arc;

use runner_core::{Body, Origin, Position, ReadBatch, Record, Reject, Result};
use tracing::{info, warn};

use super::super::incremental::{Decision, Unchanged};
use super::super::json::json_text;
use super::super::pages::Page;
use super::super::source::{
    ElementPosition, HttpPosition, HttpSource, NextStep, PageWalk, State, WalkSnapshot, Warning,
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
                self.warn_of(&walk, PageWalk::is_growing(&after, &self.settings));
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

    /// Warns, once in a run, of a program that has never made a record. Later it may well make none of a few rows.
    fn warn_of_nothing_made(&mut self) {
        if self.settings.remap.is_some()
            && !self.has_made
            && self.n_with_records > 0
            && self.position.offset == 0
            && self.given_warnings.add(Warning::NothingMade)
        {
            warn!(
                "{}: `remap` makes no record of any row, since `.` is null or empty at its end; check the names in it. \
                 `runner run --dry-run` without `remap` shows the rows",
                self.settings.source_name
            );
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

    /// Warns, once in a run, of walks that another option would make better.
    fn warn_of(&mut self, walk: &PageWalk, is_growing: bool) {
        if is_growing && self.given_warnings.add(Warning::Growing) {
            warn!(
                "{}: every poll reads all rows of the one before, and more; `incremental = {{ cursor = … }}` with \
                 `{{{{ since }}}}` in the request asks for new rows only",
                self.settings.source_name
            );
        }
        if walk.has_forgotten_rows(&self.settings) && self.given_warnings.add(Warning::Forgotten) {
            warn!(
                "{}: a walk reads more rows than are remembered, so that the others are delivered at every poll; \
                 `incremental = {{ cursor = … }}` knows new rows by a field",
                self.settings.source_name
            );
        }
        if let Some(option) = walk.missing_option()
            && self.given_warnings.add(Warning::MissingFields)
        {
            let effect = match option {
                "key" => "each row is identified by all its fields",
                _ => "a row that has changed is not delivered again",
            };
            warn!(
                "{}: no row has a field that `incremental.{option}` names, so that {effect}; check the names there, which are \
                 those after `remap` and `add`",
                self.settings.source_name
            );
        }
        if walk.has_equal_keys() && self.given_warnings.add(Warning::EqualKeys) {
            warn!(
                "{}: rows of one page have the same `incremental.key` and are not equal, so that the key does not identify \
                 a row; all of them are delivered. Add fields to `key` that tell them apart",
                self.settings.source_name
            );
        }
        if self.settings.pagination.is_none()
            && self.settings.request.variables().contains("since")
            && let Some((n_rows, is_usual)) = walk.n_known_rows()
            && n_rows > 1
            && (is_usual || self.is_full(n_rows))
            && self.given_warnings.add(Warning::Stuck)
        {
            warn!(
                "{}: the response has {n_rows} rows, most likely as many as the API returns at most, and none of them is new: \
                 `{{{{ since }}}}` stays behind the rows that follow. Set `pagination`, request more rows, or request each \
                 symbol with `for_each`",
                self.settings.source_name
            );
        }
    }

    /// Warns, once in a run, of a response that has as many rows as one may have, and does not fill its window.
    fn warn_of_cut_window(&mut self, walk: &PageWalk, n_rows: usize) {
        if self.settings.pagination.is_none()
            && n_rows > 1
            && self.is_full(n_rows)
            && walk.leaves_gap(n_rows)
            && self.given_warnings.add(Warning::CutWindow)
        {
            warn!(
                "{}: a response has {n_rows} rows, most likely as many as the API returns at most, and they do not fill the \
                 span of `incremental.step`: the rows behind them are not read. Set a shorter `step`, or `pagination`",
                self.settings.source_name
            );
        }
    }

    /// Whether a response has as many rows as it may: a parameter that limits them has this value, or it is a usual limit.
    fn is_full(&self, n_rows: usize) -> bool {
        const LIMITS: [&str; 10] = [
            "limit",
            "size",
            "count",
            "per_page",
            "page_size",
            "pagesize",
            "max_results",
            "maxresults",
            "rows",
            "top",
        ];
        let is_asked_for = self.client.parts.endpoint.query_pairs().any(|(name, value)| {
            let name = name.trim_start_matches('$').to_ascii_lowercase();
            LIMITS.contains(&&*name) && value.parse() == Ok(n_rows)
        });
        is_asked_for || n_rows.is_multiple_of(100)
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
