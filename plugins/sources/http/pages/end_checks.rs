//! Checks the end of a walk against what the API counts.

use super::super::json::{Located, Pointer};
use super::super::responses::{Codec, Response};
use super::super::source::{HttpSource, Warning};
use super::count::ReceivedPage;
use super::envelope::{IS_LAST, PAGES, TOTAL, envelope_of, is_among};
use super::pagination::{EndOptions, Pagination};

impl HttpSource {
    /// Warns, once in a run, of `last` and `total` that are not there, or that count something else.
    pub(super) fn check_ends(&mut self, page: &ReceivedPage<'_>) {
        let ReceivedPage { pagination, response, count, .. } = *page;
        if self.given_warnings.has(Warning::Ends) || self.settings.codec != Codec::Json || count.n_items == 0
        {
            return;
        }
        let EndOptions { last, total, has_more, .. } = pagination.ends();
        let flag = has_more.filter(|has_more| is_among(has_more, IS_LAST));
        let why = match (last, total) {
            _ if let Some(flag) = flag => {
                format!(
                    "`pagination.has_more` is `{flag}`, which looks true on the last page; `last` is for that"
                )
            }
            (_, Some(total)) if is_among(total, PAGES) => {
                format!(
                    "`pagination.total` is `{total}`, which looks like a number of pages; `last` is for that"
                )
            }
            (Some(last), _) if is_among(last, TOTAL) => {
                format!(
                    "`pagination.last` is `{last}`, which looks like a number of records; `total` is for that"
                )
            }
            (_, Some(total)) if number_at(total, response).is_some_and(|it| it < page.n_elements()) => {
                format!(
                    "`{total}` is smaller than the {} records that were read, so it does not end the walk; if it is the \
                     number of the last page, set `last` instead of `total`",
                    page.n_elements()
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
        self.given_warnings.warn_once(Warning::Ends, &response.title, why);
    }

    /// Warns, once in a run, if rows were deleted while the pages were read: those behind them move to pages before.
    pub(super) fn warn_of_deleted(&mut self, page: &ReceivedPage<'_>) {
        let ReceivedPage { pagination, request, response, .. } = *page;
        let total = pagination.ends().total;
        let Some((path, n)) = total.and_then(|total| Some((total, number_at(total, response)?))) else {
            return;
        };
        let before = self.history.total.replace(n);
        let is_less = request.is_numbered() && before.is_some_and(|before| n < before);
        if is_less {
            let advice = if self.settings.incremental.is_some() {
                "the next poll delivers those within `incremental.lag`, and no others"
            } else {
                "the next poll delivers them"
            };
            let why = format!(
                "`{path}` is smaller than on the page before, so rows were deleted while the pages were read, and rows \
                 that have moved to pages before this one were not read; {advice}"
            );
            self.given_warnings.warn_once(Warning::Deleted, &response.title, why);
        }
    }

    /// Warns, once in a run, if a walk has ended and the API counts more than was read.
    pub(super) fn warn_of_missed(&mut self, page: &ReceivedPage<'_>) {
        let ReceivedPage { pagination, response, .. } = *page;
        if self.given_warnings.has(Warning::Missed) || self.settings.codec != Codec::Json {
            return;
        }
        let EndOptions { last, total, has_more, max_pages } = pagination.ends();
        let Some(around) = envelope_of(response, &self.settings.records) else { return };
        if max_pages.is_some_and(|max_pages| page.number() >= max_pages) {
            return;
        }
        let is_set = |path: &str, option: Option<&Pointer>| option.is_some_and(|it| it.to_string() == path);
        // What an option names may have any name.
        let named = |option: Option<&Pointer>| option.map(ToString::to_string).into_iter();
        let (n_read, n_pages) = (page.n_elements(), page.number());
        // The last page may lack the number.
        let is_above = self.history.total.is_some_and(|total| total > n_read);
        let named_total = named(total).filter(|path| is_above || around.is_above(path, n_read));
        let named_last = named(last).filter(|path| around.is_above(path, n_pages));
        let more_records = named_total.chain(around.records_above(n_read)).find(|path| !is_set(path, last));
        let more_pages = named_last.chain(around.pages_above(n_pages)).find(|path| !is_set(path, total));
        let more_flag = around.more_flags().find(|path| !is_set(path, has_more));
        let why = match (more_records, more_pages, more_flag) {
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
        let why = format!("the walk has ended, and {why}; {advice}");
        self.given_warnings.warn_once(Warning::Missed, &response.title, why);
    }
}

fn number_at(pointer: &Pointer, response: &Response) -> Option<u64> {
    let Ok(Located::At(range)) = pointer.locate(&response.body) else { return None };
    std::str::from_utf8(&response.body[range]).ok()?.trim_matches('"').trim().parse().ok()
}
