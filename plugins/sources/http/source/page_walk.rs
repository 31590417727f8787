//! One walk: the pages of one element, and what is new on them.

use std::sync::Arc;

use runner_core::{Error, Result};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::elements::Element;
use super::super::incremental::{
    CursorValue, Decision, GroupRules, IncrementalFilter, Nanos, TimeWindow, Unchanged, UnchangedFilter, now,
};
use super::super::json::ContentHash;
use super::super::pages::PageRequest;
use super::super::records::{AddedFields, Metadata};
use super::super::request::Values;
use super::position::{DeliveredPrefix, ElementPosition, ElementState, SavedWalk, Validators, WalkSnapshot};
use super::settings::Settings;

const MILLI: Nanos = 1_000_000;

/// So many walks in a row must have grown before a warning.
const N_GROWN: u8 = 3;

/// A hash of inputs that gave no record, apart from those of records.
const BAD: u64 = 1;

pub(crate) struct PageWalk {
    pub(crate) element: Arc<Element>,
    /// What the walk before has left; in a walk with windows, the window before.
    state: Arc<ElementState>,
    /// When the walk began, in milliseconds since 1970.
    now: i64,
    pub(crate) window: Option<TimeWindow>,
    /// The page where this walk or its continuation begins.
    entry: PageRequest,
    /// The page that is being emitted, and the hash of its first row.
    request: PageRequest,
    first: Option<u64>,
    /// Whether the walk may begin again if this row is another one. It does so once, since rows may change all the time.
    keeps_first: bool,
    /// Whether `entry` was saved, so that some of its rows may have been delivered.
    is_resumed: bool,
    /// Whether a page that had rows was begun since then.
    has_begun: bool,
    n_new: usize,
    unchanged: UnchangedFilter,
    rows: Option<IncrementalFilter>,
    pub(crate) prefix: Option<DeliveredPrefix>,
    pub(crate) added: AddedFields,
    pub(crate) metadata: Metadata,
}

/// What comes after a page.
#[derive(Debug)]
pub(crate) enum NextStep {
    Page(PageRequest),
    /// The first page, since rows have moved to other pages.
    Restart,
    /// The pages of the next window.
    Window,
    End,
}

impl PageWalk {
    /// Begins the walk of an element, or continues the one that was interrupted.
    pub(crate) fn new(element: &Arc<Element>, position: &ElementPosition, settings: &Settings) -> Self {
        let state = Arc::clone(&position.state);
        let first = settings.first_request();
        let mut walk = PageWalk {
            element: Arc::clone(element),
            now: (now() / MILLI) as i64,
            window: None,
            entry: first.clone(),
            request: first,
            first: None,
            keeps_first: true,
            is_resumed: false,
            has_begun: false,
            n_new: 0,
            unchanged: UnchangedFilter::new(&state.delivered, settings.skips()),
            rows: None,
            prefix: None,
            added: AddedFields::default(),
            metadata: Metadata::default(),
            state,
        };
        match position.walk.as_deref() {
            Some(saved) => walk.resume(saved, settings),
            None => walk.begin(settings),
        }
        walk
    }

    fn begin(&mut self, settings: &Settings) {
        self.window = self.first_window(settings);
        self.begin_rows(settings, None);
    }

    fn first_window(&self, settings: &Settings) -> Option<TimeWindow> {
        let options = settings.incremental.as_ref().filter(|options| options.step.is_some())?;
        TimeWindow::first(options, self.state.groups.since(options).as_ref(), self.now_nanos())
    }

    fn resume(&mut self, saved: &SavedWalk, settings: &Settings) {
        if saved.now > 0 {
            self.now = saved.now;
        }
        self.window = saved.window.filter(|_| settings.has_windows());
        let accepts = settings.accepts(&saved.request) && self.window.is_some() == settings.has_windows();
        let mut unchanged = saved.unchanged.clone();
        if accepts {
            self.entry = saved.request.clone();
            self.request = saved.request.clone();
            self.first = saved.first.0.first().copied();
            self.keeps_first = self.first.is_some();
            self.is_resumed = true;
            self.prefix = saved.prefix;
        } else {
            warn!("the saved position does not match `pagination`; reading from the beginning");
            unchanged.forget_page();
            self.window = self.first_window(settings);
        }
        self.unchanged = UnchangedFilter::resume(&self.state.delivered, settings.skips(), unchanged);
        self.begin_rows(settings, Some(saved));
    }

    fn begin_rows(&mut self, settings: &Settings, saved: Option<&SavedWalk>) {
        let Some(options) = &settings.incremental else { return };
        let saved = saved.and_then(|saved| saved.rows.clone());
        self.rows = Some(IncrementalFilter::new(
            options,
            &Arc::new(self.state.groups.for_walk(self.state.rules.as_ref(), options)),
            self.now_nanos(),
            saved,
        ));
    }

    /// Restarts the walk at its first page, since the API has refused the saved one, or has moved rows to other pages.
    pub(crate) fn restart(&mut self, settings: &Settings) -> PageRequest {
        self.unchanged = self.unchanged.restart(&self.state.delivered);
        if let Some(rows) = &mut self.rows {
            rows.restart();
        }
        (self.is_resumed, self.keeps_first) = (false, false);
        self.prefix = None;
        self.entry = settings.first_request();
        self.entry.clone()
    }

    /// Whether it continues an interrupted walk.
    pub(crate) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether this page was saved, so that the API may refuse it by now.
    pub(crate) fn is_saved_page(&self, request: &PageRequest, settings: &Settings) -> bool {
        self.is_resumed && !self.has_begun && *request == self.entry && *request != settings.first_request()
    }

    /// Whether this is the saved page, and it begins with another row than before, so that rows have moved between pages.
    /// `incremental` knows its rows by itself.
    pub(crate) fn has_moved_rows(
        &self,
        request: &PageRequest,
        first: Option<u64>,
        settings: &Settings,
    ) -> bool {
        self.rows.is_none()
            && settings.skips()
            && !self.unchanged.is_partial()
            && self.is_saved_page(request, settings)
            && self.first.is_some_and(|before| first != Some(before))
    }

    /// What the walk before has left.
    pub(crate) fn state(&self) -> &Arc<ElementState> {
        &self.state
    }

    /// The validators of the last response, unless this walk continues an interrupted one.
    pub(crate) fn validators(&self) -> Option<&Validators> {
        self.state.validators.as_ref().filter(|_| !self.is_resumed)
    }

    /// Adds a record that an earlier release has delivered.
    pub(crate) fn add_delivered(&mut self, raw: &[u8]) {
        self.unchanged.add(ContentHash::of(raw));
    }

    /// The page to begin with.
    pub(crate) fn entry(&self) -> &PageRequest {
        &self.entry
    }

    /// The values of the variables.
    pub(crate) fn values(&self, settings: &Settings) -> Values<'_> {
        let format = settings.time_format();
        let options = settings.incremental.as_deref();
        let since: Option<CursorValue> = options.and_then(|options| self.state.groups.since(options));
        Values {
            element: &self.element,
            since: since.zip(options).map(|(since, options)| options.write(&since)),
            now: format.write(self.now_nanos()),
            window: self.window.map(|window| window.bounds(&format)),
        }
    }

    /// Begins to emit a page.
    pub(crate) fn begin_page(&mut self, request: &PageRequest, n_items: usize, first: Option<u64>) {
        let is_continued = self.is_resumed && !self.has_begun;
        if let Some(rows) = &mut self.rows {
            rows.begin_page(is_continued);
        }
        if n_items == 0 {
            return;
        }
        self.has_begun = true;
        (self.request, self.first) = (request.clone(), first.filter(|_| self.keeps_first));
        if !is_continued {
            self.unchanged.begin_page();
        }
    }

    /// Decides about a record: its JSON text, and its original bytes.
    pub(crate) fn decide(&mut self, text: &[u8], raw: &[u8]) -> Result<Decision, Error> {
        let is_new = if let Some(rows) = &mut self.rows {
            match rows.add(text) {
                // A walk before `incremental` was set may have delivered it.
                Ok(decision) => {
                    decision == Decision::Emit && !self.unchanged.take_previous(ContentHash::of(raw))
                }
                Err(reason) => {
                    return if self.is_new_bad(raw) { Err(reason) } else { Ok(Decision::Skip) };
                }
            }
        } else {
            self.unchanged.add(ContentHash::of(raw))
        };
        Ok(self.count(is_new))
    }

    /// Decides about an input that gives no record.
    pub(crate) fn decide_bad(&mut self, raw: &[u8]) -> Decision {
        if self.is_new_bad(raw) { Decision::Emit } else { Decision::Skip }
    }

    fn is_new_bad(&mut self, raw: &[u8]) -> bool {
        let is_new = self.unchanged.add(ContentHash::of_bytes(xxh3_64_with_seed(raw, BAD)));
        self.count(is_new);
        is_new
    }

    fn count(&mut self, is_new: bool) -> Decision {
        self.n_new += usize::from(is_new);
        if is_new { Decision::Emit } else { Decision::Skip }
    }

    pub(crate) fn snapshot(&self) -> WalkSnapshot {
        WalkSnapshot {
            request: self.request.clone(),
            first: self.first,
            now: self.now,
            window: self.window,
            unchanged: self.unchanged.snapshot(),
            rows: self.rows.as_ref().map(IncrementalFilter::snapshot),
        }
    }

    /// What a later walk continues with, unless no page was begun.
    pub(crate) fn interrupted(&self) -> Option<SavedWalk> {
        self.has_begun.then(|| self.snapshot().save())
    }

    /// What comes after a page that names the page `next`.
    pub(crate) fn next_step(&mut self, next: Option<PageRequest>, settings: &Settings) -> NextStep {
        let has_moved_pages = self.rows.as_ref().is_some_and(IncrementalFilter::has_moved_pages);
        if has_moved_pages && self.entry != settings.first_request() {
            return NextStep::Restart;
        }
        let is_older =
            settings.is_newest_first() && self.rows.as_ref().is_some_and(IncrementalFilter::is_page_older);
        if let Some(next) = next.filter(|_| !is_older) {
            return NextStep::Page(next);
        }
        let options = settings.incremental.as_ref();
        let window = options.and_then(|options| self.window.and_then(|window| window.next(options)));
        let Some(window) = window else { return NextStep::End };
        self.state = self.finish(None, settings).into();
        self.window = Some(window);
        self.unchanged = UnchangedFilter::new(&self.state.delivered, true);
        self.begin_rows(settings, None);
        (self.is_resumed, self.has_begun) = (false, false);
        self.entry = settings.first_request();
        NextStep::Window
    }

    /// What the whole walk leaves.
    pub(crate) fn finish(&self, validators: Option<Validators>, settings: &Settings) -> ElementState {
        if let Some(rows) = &self.rows {
            let validators = validators.filter(|_| !rows.has_held_back());
            let delivered = self.unchanged.finish();
            let groups = rows.finish();
            if groups.is_empty() {
                return ElementState { delivered, validators, ..ElementState::clone(&self.state) };
            }
            let options = settings.incremental.as_deref();
            let rules = options.map(GroupRules::of);
            let mut n_rows = self.state.n_rows.clone();
            if self.n_new > 0 {
                n_rows.extend(rows.n_rows_since());
                let is_behind = options.is_some_and(|options| groups.are_behind(options));
                let surplus = if is_behind { n_rows.len().saturating_sub(2) } else { n_rows.len() };
                n_rows.drain(..surplus);
            }
            return ElementState { groups, rules, n_rows, delivered, validators, n_grown: 0 };
        }
        let before = &self.state;
        let delivered = self.unchanged.finish();
        if delivered.rows.is_empty() && settings.skips() {
            // An empty answer takes nothing back.
            return ElementState { validators, ..ElementState::clone(before) };
        }
        let has_grown =
            !before.delivered.rows.is_empty() && self.unchanged.n_missing() == 0 && self.n_new > 0;
        let n_grown = match (has_grown, self.n_new) {
            (true, _) => before.n_grown.saturating_add(1),
            (false, 0) => before.n_grown,
            (false, _) => 0,
        };
        ElementState { delivered, n_grown, validators, ..ElementState::clone(before) }
    }

    /// Whether the answers only grow, so that `incremental` would help.
    pub(crate) fn is_growing(after: &ElementState, settings: &Settings) -> bool {
        settings.unchanged == Unchanged::Skip && after.n_grown >= N_GROWN
    }

    /// The option of `incremental` whose fields no row has.
    pub(crate) fn missing_option(&self) -> Option<&'static str> {
        self.rows.as_ref().and_then(IncrementalFilter::missing_option)
    }

    /// Whether rows of one page have the same `incremental.key`.
    pub(crate) fn has_equal_keys(&self) -> bool {
        self.rows.as_ref().is_some_and(IncrementalFilter::has_equal_keys)
    }

    /// Whether rows that a page repeats of the one before are delivered once.
    pub(crate) fn skips_repeats(&self) -> bool {
        self.rows.as_ref().is_some_and(IncrementalFilter::skips_repeats)
    }

    /// The number of rows of a response from `{{ since }}` on without a new row, and whether it is that of the two walks
    /// before, as if the API limited it.
    pub(crate) fn n_known_rows(&self) -> Option<(usize, bool)> {
        let n_rows =
            self.rows.as_ref()?.n_rows_since().filter(|_| self.n_new == 0 && self.window.is_none())?;
        Some((n_rows, self.state.n_rows == [n_rows, n_rows]))
    }

    /// Whether a response of so many rows, with nothing before it in its window, leaves out an end of the window.
    pub(crate) fn leaves_gap(&self, n_rows: usize) -> bool {
        self.window.zip(self.rows.as_ref()).is_some_and(|(window, rows)| rows.leaves_gap(n_rows, window))
    }

    /// Whether more rows were read than can be remembered.
    pub(crate) fn has_forgotten_rows(&self, settings: &Settings) -> bool {
        self.unchanged.is_partial() && settings.skips()
    }

    fn now_nanos(&self) -> Nanos {
        Nanos::from(self.now) * MILLI
    }
}
