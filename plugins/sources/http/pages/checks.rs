//! Checks pages against each other, and the end of a walk against what the API counts.

use std::collections::HashSet;

use anyhow::anyhow;
use tracing::warn;

use super::super::answer::{Codec, Items, Response};
use super::super::error::HttpError;
use super::super::json::{Located, Pointer};
use super::super::source::{Hint, Http};
use super::count::PageCount;
use super::history::{Overlap, hashes};
use super::link_header::is_url;
use super::other_pages::{HAS_MORE, PAGES, TOTAL, around_records};
use super::page_request::{PageRequest, Place};
use super::pagination::{Ends, Pagination};

/// Pages of at most so many different records may be equal by chance.
const FEW: usize = 10;

/// So many pages further on, a list whose pages are equal by chance most likely has other records, or has ended.
const FAR: u64 = 1000;

impl Http {
    /// Compares a page with the one before it. Pages that repeat, and pages whose numbers the API takes for something
    /// else, are an error.
    pub(crate) async fn check_overlap(
        &mut self,
        request: &PageRequest,
        response: &Response,
        items: &Items,
        next: Option<&PageRequest>,
    ) -> Result<(), HttpError> {
        let title = &response.title;
        let overlap = self.history.overlap(request, hashes(items));
        if self.counts_from_one(request, overlap).await? {
            return Err(HttpError::Fatal(anyhow!(
                "{title}: this page begins with the last record of the page before, and the API counts records from 1; \
                 set `start = 1` in `pagination`"
            )));
        }
        let why = match overlap {
            Overlap::Nothing => {
                self.warn_of_likeness(request, response, items, next);
                return Ok(());
            }
            Overlap::Whole => {
                if let Some(next) = next
                    && self.holds_this_page(next).await?
                    && !self.may_be_chance(next, items).await?
                {
                    return Err(HttpError::Fatal(anyhow!(
                        "{title}: this page and the next one hold every record of the page before; {}. If they are \
                         other records with the same content, request larger pages, or a member that tells them apart",
                        self.repeat_advice(self.settings.pagination.as_ref(), Some(next))
                            .trim_end_matches('.')
                    )));
                }
                "this page holds every record of the page before, and both are delivered".to_owned()
            }
            Overlap::AllButFirst if let Place::Page(_) = request.place => {
                let param = self.settings.pagination.as_ref().and_then(Pagination::param).unwrap_or_default();
                return Err(HttpError::Fatal(anyhow!(
                    "{title}: this page begins with the second record of the page before, so that the API takes \
                     `{param}` for the number of records to leave out; set \
                     `pagination = {{ type = \"offset\", param = \"{param}\" }}`"
                )));
            }
            Overlap::AllButFirst | Overlap::Front(_) if self.settings.incremental.is_some() => return Ok(()),
            Overlap::AllButFirst => {
                "this page holds all but the first record of the page before, and both are delivered"
                    .to_owned()
            }
            Overlap::Front(1) => "this page begins with the last record of the page before".to_owned(),
            Overlap::Front(n) => format!("this page begins with the last {n} records of the page before"),
        };
        if self.hinted.add(Hint::Overlap) {
            let advice = match (&self.settings.pagination, overlap) {
                (Some(Pagination::Page { param, start, .. }), Overlap::Whole) => format!(
                    "check that the API reads `{param}`, and whether its first page is {}: `start = {}`",
                    1 - start.min(&1),
                    1 - start.min(&1)
                ),
                (Some(Pagination::Offset { start: 0, .. }), Overlap::Whole)
                    if request.place == Place::Offset(1) =>
                {
                    "if they are not two equal records, the API counts records from 1: `start = 1`".to_owned()
                }
                (_, Overlap::Whole) => self.repeat_advice(self.settings.pagination.as_ref(), next),
                _ => "check `pagination`. If the API puts new records in front while its pages are read, \
                      `incremental = { cursor = …, key = … }` delivers each once"
                    .to_owned(),
            };
            warn!("{title}: {why}; {advice}");
        }
        Ok(())
    }

    /// Whether the page of `next` holds every record of the page before it.
    async fn holds_this_page(&mut self, next: &PageRequest) -> Result<bool, HttpError> {
        let response = match self.client.request_page(self.settings.pagination.as_ref(), next).await {
            Ok(response) => response,
            Err(HttpError::NotFound(_) | HttpError::Refused(..)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let items = self.decode(&response)?;
        Ok(self.history.holds_last(&HashSet::from_iter(hashes(&items))))
    }

    /// Whether two equal pages may hold equal records by chance: they have few distinct records, and a page far behind
    /// `next` is another one or does not exist, so that the API reads the parameter.
    async fn may_be_chance(&mut self, next: &PageRequest, items: &Items) -> Result<bool, HttpError> {
        if self.history.n_distinct() > FEW {
            return Ok(false);
        }
        let place = match next.place {
            Place::Page(page) => Place::Page(page.saturating_add(FAR)),
            Place::Offset(offset) => {
                Place::Offset(offset.saturating_add((items.len() as u64).saturating_mul(FAR)))
            }
            _ => return Ok(false),
        };
        match self.holds_this_page(&PageRequest::first(place)).await {
            Ok(is_same) => Ok(!is_same),
            // The API refuses the number.
            Err(HttpError::Fatal(_) | HttpError::FatalUntilSuccess(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether the API takes offset 0 for its first record, which is 1, so that the second page begins with the last
    /// record of the first one.
    async fn counts_from_one(&mut self, request: &PageRequest, overlap: Overlap) -> Result<bool, HttpError> {
        let is_from_zero = matches!(self.settings.pagination, Some(Pagination::Offset { start: 0, .. }));
        if !is_from_zero || request.n_pages != 1 || self.settings.incremental.is_some() {
            return Ok(false);
        }
        if overlap != Overlap::Front(1) {
            return Ok(false);
        }
        let first = self.hashes_at(Place::Offset(0)).await?;
        // Pages of equal records are the same at every offset, and so are two pages of one record each.
        let differ = first.iter().any(|row| *row != first[0]);
        Ok(differ && first == self.hashes_at(Place::Offset(1)).await?)
    }

    /// Whether this page is the first one again, since the API ends its pages with the cursor 0 or -1.
    pub(crate) async fn is_first_again(
        &mut self,
        request: &PageRequest,
        items: &Items,
    ) -> Result<bool, HttpError> {
        let ends = matches!(&request.place, Place::Cursor(cursor) if is_end_cursor(cursor));
        if !ends || request.n_pages == 0 || items.is_empty() {
            return Ok(false);
        }
        Ok(self.hashes_at(Place::First).await? == hashes(items))
    }

    /// Warns, once in a run, of pages that are most likely the same page again.
    fn warn_of_likeness(
        &mut self,
        request: &PageRequest,
        response: &Response,
        items: &Items,
        next: Option<&PageRequest>,
    ) {
        if !request.is_numbered() || self.hinted.has(Hint::Alike) {
            return;
        }
        let Some(member) = self.history.likeness.add(request, items) else { return };
        self.hinted.add(Hint::Alike);
        warn!(
            "{}: three pages in a row hold the same records, but for the member `{member}`; {}",
            response.title,
            self.repeat_advice(self.settings.pagination.as_ref(), next)
        );
    }

    /// The hashes of the records of the page at a place. A page that does not exist has none.
    async fn hashes_at(&mut self, place: Place) -> Result<Vec<u64>, HttpError> {
        let request = PageRequest::first(place);
        let response = match self.client.request_page(self.settings.pagination.as_ref(), &request).await {
            Ok(response) => response,
            Err(HttpError::NotFound(_) | HttpError::Refused(..)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let items = self.decode(&response)?;
        Ok(hashes(&items))
    }

    /// What to do about a page that repeats, and that names the page `next`.
    pub(crate) fn repeat_advice(
        &self,
        pagination: Option<&Pagination>,
        next: Option<&PageRequest>,
    ) -> String {
        const END: &str = "say where it ends with `last`, `total`, `has_more` or `max_pages` of `pagination`";
        if let Some(Place::Cursor(cursor)) = next.map(|next| &next.place)
            && is_url(cursor.trim_matches('"'), &self.client.parts.endpoint)
        {
            let cursor = match pagination {
                Some(Pagination::Cursor { cursor, .. }) => cursor.to_string(),
                _ => String::new(),
            };
            return format!(
                "it is a URL, which `pagination = {{ type = \"next_url\", next = \"{cursor}\" }}` follows"
            );
        }
        let Some(param) = pagination.and_then(|it| it.param()) else {
            let place = match pagination {
                Some(Pagination::NextUrl { next, .. }) => format!(
                    "does `pagination.next` (`{next}`) hold the URL of the next page, and not of this one?"
                ),
                _ => "the API names this page as its own next page.".into(),
            };
            return format!("{place} If the last page names itself, {END}");
        };
        let place = match pagination {
            Some(pagination) if !pagination.is_in_body() && self.client.parts.body.is_some() => format!(
                "does the API read `{param}` in the query? If it reads it in the body, set `in = \"body\"` and `param` \
                 to a JSON pointer into `body`."
            ),
            _ => format!("does the API read `{param}`?"),
        };
        format!("{place} If it returns its last page again and again, {END}")
    }

    /// Warns, once in a run, of `last` and `total` that are not there, or that count something else.
    pub(crate) fn check_ends(&mut self, request: &PageRequest, response: &Response, count: PageCount) {
        if self.hinted.has(Hint::Ends) || self.settings.codec != Codec::Json || count.n_items == 0 {
            return;
        }
        let Some(pagination) = &self.settings.pagination else { return };
        let Ends { last, total, .. } = pagination.ends();
        let is_named = |pointer: &Pointer, names: &[&str]| names.contains(&pointer.to_string().as_str());
        let why = match (last, total) {
            (_, Some(total)) if is_named(total, &PAGES) => {
                format!(
                    "`pagination.total` is `{total}`, which looks like a number of pages; `last` is for that"
                )
            }
            (Some(last), _) if is_named(last, &TOTAL) => {
                format!(
                    "`pagination.last` is `{last}`, which looks like a number of records; `total` is for that"
                )
            }
            (_, Some(total))
                if number_at(total, response)
                    .is_some_and(|it| it < n_elements(pagination, request, count)) =>
            {
                format!(
                    "`{total}` is smaller than the {} records that were read, so it does not end the walk; if it is the \
                     number of the last page, set `last` instead of `total`",
                    n_elements(pagination, request, count)
                )
            }
            _ if self.has_succeeded => return,
            _ => {
                let missing = [("last", last), ("total", total)].into_iter().find_map(|(option, pointer)| {
                    let pointer = pointer?;
                    let Ok(Located::Nowhere(why)) = pointer.locate(&response.body) else { return None };
                    Some(format!("no value at `{pointer}`, which `pagination.{option}` names ({why})"))
                });
                let Some(missing) = missing else { return };
                format!("{missing}; the walk ends without it")
            }
        };
        self.hinted.add(Hint::Ends);
        warn!("{}: {why}", response.title);
    }

    /// Warns, once in a run, if a walk has ended and the API counts more than was read.
    pub(crate) fn warn_of_missed(&mut self, request: &PageRequest, response: &Response, count: PageCount) {
        if self.hinted.has(Hint::Missed) || self.settings.codec != Codec::Json {
            return;
        }
        let Some(pagination) = &self.settings.pagination else { return };
        let Ends { last, total, has_more, max_pages } = pagination.ends();
        let Some(around) = around_records(response, &self.settings.records) else { return };
        if max_pages.is_some_and(|max_pages| n_pages(pagination, request) >= max_pages) {
            return;
        }
        let is_set = |path: &str, option: Option<&Pointer>| option.is_some_and(|it| it.to_string() == path);
        let n_read = n_elements(pagination, request, count);
        let n_pages = n_pages(pagination, request);
        let counts_records = TOTAL
            .into_iter()
            .find(|path| around.number_at(path).is_some_and(|total| total > n_read) && !is_set(path, last));
        let counts_pages = PAGES
            .into_iter()
            .find(|path| around.number_at(path).is_some_and(|pages| pages > n_pages) && !is_set(path, total));
        let says_more = HAS_MORE
            .into_iter()
            .find(|path| !is_set(path, has_more) && around.at(path) == Some(&serde_json::Value::Bool(true)));
        let why = match (counts_records, counts_pages, says_more) {
            (Some(path), ..) => format!("`{path}` is greater than the {n_read} records that were read"),
            (None, Some(path), _) => format!("`{path}` says that there are more pages than were read"),
            (None, None, Some(path)) => format!("`{path}` says that there are more records"),
            (None, None, None) => return,
        };
        let advice = match pagination {
            Pagination::Page { param, start, .. } => format!(
                "check that the API reads `{param}`, that it counts pages with it from {start} on (`start`), and not \
                 records (type = \"offset\")"
            ),
            Pagination::Offset { param, .. } => format!(
                "check that the API counts records with `{param}`, and not pages (type = \"page\"), and what `total`, \
                 `last` and `has_more` say"
            ),
            _ => "check `pagination`, and what its `total`, `last` and `has_more` say".to_owned(),
        };
        self.hinted.add(Hint::Missed);
        warn!("{}: the walk has ended, and {why}; {advice}", response.title);
    }
}

/// Whether a cursor is 0 or -1, which many APIs send on the last page.
pub(crate) fn is_end_cursor(cursor: &str) -> bool {
    matches!(cursor.trim_matches('"'), "0" | "-1")
}

fn number_at(pointer: &Pointer, response: &Response) -> Option<u64> {
    let Ok(Located::At(range)) = pointer.locate(&response.body) else { return None };
    std::str::from_utf8(&response.body[range]).ok()?.trim_matches('"').trim().parse().ok()
}

/// The number of the page, counted from 1.
pub(crate) fn n_pages(pagination: &Pagination, request: &PageRequest) -> u64 {
    match (&request.place, pagination) {
        (Place::Page(page), Pagination::Page { start, .. }) => page.saturating_sub(*start) + 1,
        _ => request.n_pages + 1,
    }
}

/// How many elements the pages up to this one held.
pub(crate) fn n_elements(pagination: &Pagination, request: &PageRequest, count: PageCount) -> u64 {
    let before = match (&request.place, pagination) {
        (Place::Offset(offset), Pagination::Offset { start, .. }) => offset.saturating_sub(*start),
        _ => request.n_elements,
    };
    before + count.step
}
