//! The pages of one walk: which one is fetched, whether it is the last, and which comes next.
//!
//! `pagination` is the option. A `page_request` names a page, and `page_url` makes a request of it. `fetch` fetches the page,
//! `count` says how many records it holds, and `next` finds the next one (`cursor_place`, `link_header`). `repeats` compares the page with those
//! in `history`, and `end_checks` the end of the walk with what the API counts. `end_words`
//! are the words of a last page. `other_pages` finds out whether a response names
//! pages that are not read, in headers or in its `envelope`, which is what surrounds the records.

mod count;
mod cursor_place;
mod end_checks;
mod end_words;
mod envelope;
mod fetch;
mod history;
mod link_header;
mod next;
mod other_pages;
mod page_request;
mod page_url;
mod pagination;
mod repeats;

pub(crate) use self::count::{PageCount, ReceivedPage};
pub(crate) use self::envelope::envelope_of;
pub(crate) use self::fetch::{END_CHECK_DELAYS, Page, with_end_advice};
pub(crate) use self::history::PageHistory;
#[cfg(test)]
pub(crate) use self::page_request::PagePlace;
pub(crate) use self::page_request::PageRequest;
pub(crate) use self::pagination::Pagination;
