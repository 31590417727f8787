//! Refuses pages that repeat, and warns of pages that overlap.

use std::collections::HashSet;

use anyhow::anyhow;

use super::super::error::HttpError;
use super::super::responses::Items;
use super::super::source::{HttpSource, PageWalk, Warning};
use super::count::ReceivedPage;
use super::cursor_place::CursorPlace;
use super::end_words::is_end_cursor;
use super::history::{Overlap, hashes};
use super::link_header::is_url;
use super::page_request::{PagePlace, PageRequest};
use super::pagination::Pagination;

/// Pages of at most so many different records may be equal by chance.
const FEW: usize = 10;

/// So many pages further on, a list whose pages are equal by chance most likely has other records, or has ended.
const FAR: u64 = 1000;

impl HttpSource {
    /// Compares a page with the one before it. Pages that repeat, and pages whose numbers the API takes for something
    /// else, are an error.
    pub(super) async fn check_overlap(
        &mut self,
        page: &ReceivedPage<'_>,
        items: &Items,
        next: Option<&PageRequest>,
    ) -> Result<(), HttpError> {
        let ReceivedPage { pagination, request, .. } = *page;
        let title = &page.response.title;
        let overlap = self.history.overlap(request, hashes(items));
        if self.counts_from_one(page, overlap).await? {
            return Err(HttpError::Fatal(anyhow!(
                "{title}: this page begins with the last record of the page before, and the API counts records from 1; \
                 set `start = 1` in `pagination`"
            )));
        }
        let why = match overlap {
            Overlap::Nothing => return Ok(()),
            Overlap::Whole | Overlap::First => {
                let copied = if overlap == Overlap::First { "the first page" } else { "the page before" };
                if let Some(next) = next
                    && self.holds_this_page(next).await?
                    && !self.may_be_chance(next, items).await?
                {
                    return Err(HttpError::Fatal(anyhow!(
                        "{title}: this page and the next one hold every record of {copied}; {}. If they are \
                         other records with the same content, request larger pages, or a member that tells them apart",
                        self.repeat_advice(pagination, Some(next)).trim_end_matches('.')
                    )));
                }
                format!("this page holds every record of {copied}, and both are delivered")
            }
            Overlap::AllButFirst if let PagePlace::Page(_) = request.place => {
                let param = pagination.param().unwrap_or_default();
                return Err(HttpError::Fatal(anyhow!(
                    "{title}: this page begins with the second record of the page before, so that the API takes \
                     `{param}` for the number of records to leave out; set \
                     `pagination = {{ type = \"offset\", param = \"{param}\" }}`"
                )));
            }
            Overlap::AllButFirst | Overlap::Front(_)
                if self.walk.as_ref().is_some_and(PageWalk::skips_repeats) =>
            {
                return Ok(());
            }
            Overlap::AllButFirst => {
                "this page holds all but the first record of the page before, and both are delivered"
                    .to_owned()
            }
            Overlap::Front(1) => "this page begins with the last record of the page before".to_owned(),
            Overlap::Front(n) => format!("this page begins with the last {n} records of the page before"),
        };
        let advice = match (pagination, overlap) {
            (Pagination::Page { param, start, .. }, Overlap::Whole) => format!(
                "check that the API reads `{param}`, and whether its first page is {}: `start = {}`",
                1 - start.min(&1),
                1 - start.min(&1)
            ),
            (Pagination::Offset { start: 0, .. }, Overlap::Whole)
                if request.place == PagePlace::Offset(1) =>
            {
                "if they are not two equal records, the API counts records from 1: `start = 1`".to_owned()
            }
            (_, Overlap::Whole | Overlap::First) => self.repeat_advice(pagination, next),
            _ => "check `pagination`. If the API puts new records in front while its pages are read, \
                  `incremental = { cursor = …, key = … }` delivers each once"
                .to_owned(),
        };
        self.given_warnings.warn_once(Warning::Overlap, title, format!("{why}; {advice}"));
        Ok(())
    }

    /// Whether the page of `next` holds every record of the page before it.
    async fn holds_this_page(&mut self, next: &PageRequest) -> Result<bool, HttpError> {
        let rows = self.hashes_of(next).await?;
        Ok(self.history.holds_last(&HashSet::from_iter(rows)))
    }

    /// Whether two equal pages may hold equal records by chance: they have few distinct records, and a page far behind
    /// `next` is another one or does not exist, so that the API reads the parameter.
    async fn may_be_chance(&mut self, next: &PageRequest, items: &Items) -> Result<bool, HttpError> {
        if self.history.n_distinct() > FEW {
            return Ok(false);
        }
        let place = match next.place {
            PagePlace::Page(page) => PagePlace::Page(page.saturating_add(FAR)),
            PagePlace::Offset(offset) => {
                PagePlace::Offset(offset.saturating_add((items.len() as u64).saturating_mul(FAR)))
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
    async fn counts_from_one(
        &mut self,
        page: &ReceivedPage<'_>,
        overlap: Overlap,
    ) -> Result<bool, HttpError> {
        let is_from_zero = matches!(page.pagination, Pagination::Offset { start: 0, .. });
        if !is_from_zero || page.request.n_pages != 1 || self.settings.incremental.is_some() {
            return Ok(false);
        }
        if overlap != Overlap::Front(1) {
            return Ok(false);
        }
        let first = self.hashes_of(&PageRequest::first(PagePlace::Offset(0))).await?;
        // Pages of equal records are the same at every offset, and so are two pages of one record each.
        let differ = first.iter().any(|row| *row != first[0]);
        Ok(differ && first == self.hashes_of(&PageRequest::first(PagePlace::Offset(1))).await?)
    }

    /// Whether this page is the first one again, since the API ends its pages with the cursor 0 or -1.
    pub(super) async fn is_first_again(
        &mut self,
        request: &PageRequest,
        items: &Items,
    ) -> Result<bool, HttpError> {
        let ends = matches!(&request.place, PagePlace::Cursor(cursor) if is_end_cursor(cursor));
        if !ends || request.n_pages == 0 || items.is_empty() {
            return Ok(false);
        }
        Ok(self.hashes_of(&PageRequest::first(PagePlace::First)).await? == hashes(items))
    }

    /// The hashes of the records of a page. A page that does not exist has none.
    async fn hashes_of(&mut self, request: &PageRequest) -> Result<Vec<u64>, HttpError> {
        match self.client.request_page(self.settings.pagination.as_deref(), request).await {
            Ok(response) => Ok(hashes(&self.decode(&response)?)),
            Err(HttpError::NotFound(_) | HttpError::Refused(..)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What to do about a page that repeats, and that names the page `next`.
    pub(crate) fn repeat_advice(&self, pagination: &Pagination, next: Option<&PageRequest>) -> String {
        const END: &str = "say where it ends with `last`, `total`, `has_more` or `max_pages` of `pagination`";
        if let Some(PagePlace::Cursor(cursor)) = next.map(|next| &next.place)
            && is_url(cursor.trim_matches('"'), &self.client.parts.endpoint)
            && let Pagination::Cursor { cursor: CursorPlace::Body(cursor), .. } = pagination
        {
            return format!(
                "it is a URL, which `pagination = {{ type = \"next_url\", next = \"{cursor}\" }}` follows"
            );
        }
        let Some(param) = pagination.param() else {
            let place = match pagination {
                Pagination::NextUrl { next, .. } => format!(
                    "does `pagination.next` (`{next}`) hold the URL of the next page, and not of this one?"
                ),
                _ => "the API names this page as its own next page.".into(),
            };
            return format!("{place} If the last page names itself, {END}");
        };
        let place = if !pagination.is_in_body() && self.client.parts.body.is_some() {
            format!(
                "does the API read `{param}` in the query? If it reads it in the body, set `in = \"body\"` and `param` \
                 to a JSON pointer into `body`."
            )
        } else {
            format!("does the API read `{param}`?")
        };
        format!("{place} If it returns its first or its last page again and again, {END}")
    }
}
