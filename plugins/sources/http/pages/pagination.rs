//! The `pagination` option.

use std::borrow::Cow;

use reqwest::header::HeaderName;
use runner_core::{OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::json::Pointer;
use super::super::responses::Codec;
use super::cursor_place::CursorPlace;
use super::page_request::{PagePlace, PageRequest};

/// Defines the pagination types with the options that all of them have.
///
/// `#[serde(flatten)]` would lose the position of an error in the pipeline file.
macro_rules! pagination {
    ($($(#[$meta:meta])* $name:ident { $($fields:tt)* })*) => {
        /// How to request the next page.
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
        pub(crate) enum Pagination {
            $($(#[$meta])* $name {
                $($fields)*
                /// The location of the number of the last page in the response, as a JSON pointer, or of a value
                /// that is true on the last page.
                last: Option<Pointer>,
                /// The location of the number of all records in the response, as a JSON pointer.
                total: Option<Pointer>,
                /// The location of a value that is true if there is another page, as a JSON pointer; false, 0, -1
                /// or missing on the last page. With the place of the first record, a walk ends at an empty page.
                has_more: Option<Pointer>,
                /// How many pages a walk reads at most.
                max_pages: Option<u64>,
            },)*
        }

        impl Pagination {
            /// The options that all types have.
            pub(crate) fn ends(&self) -> EndOptions<'_> {
                match self {
                    $(Pagination::$name { last, total, has_more, max_pages, .. } => EndOptions {
                        last: last.as_ref(),
                        total: total.as_ref(),
                        has_more: has_more.as_ref(),
                        max_pages: *max_pages,
                    },)*
                }
            }
        }
    };
}

pagination! {
    /// Each response contains the cursor of the next page; the last one has none or an empty one.
    Cursor {
        /// The location of the cursor in the response, as a JSON pointer such as `"/meta/next_cursor"`; or
        /// `{ header = "X-Next-Cursor" }`.
        cursor: CursorPlace,
        /// The query parameter for the cursor; with `in = "body"` a JSON pointer into `body`, with
        /// `in = "header"` the name of a header. If the cursor is an object, its members are the query parameters to
        /// send.
        param: String,
        /// Where the cursor is sent. Default: `"query"`.
        #[serde(rename = "in", default)]
        sent_in: SentIn,
    }
    /// Pages are numbered; the first page without records is the end.
    Page {
        /// The query parameter for the page number; with `in = "body"` a JSON pointer into `body`, with
        /// `in = "header"` the name of a header.
        param: String,
        /// The number of the first page.
        #[serde(default = "first_page")]
        start: u64,
        /// Where the page number is sent. Default: `"query"`.
        #[serde(rename = "in", default)]
        sent_in: SentIn,
    }
    /// Each response except the last has a header `Link: <…>; rel="next"`, as in RFC 8288.
    Link {}
    /// Pages are named by the number of records before them; the first page without records is the end.
    Offset {
        /// The query parameter for the number of records to skip; with `in = "body"` a JSON
        /// pointer into `body`, with `in = "header"` the name of a header.
        param: String,
        /// The query parameter for `limit`; with `in` as `param`. Without it the limit is not sent.
        limit_param: Option<String>,
        /// How many records to request per page. The next offset counts the records that were on the
        /// page; of a response that is one value it counts `limit`, or the rows of a page with fewer.
        #[schemars(range(min = 1))]
        limit: Option<u64>,
        /// The number that the API gives to its first record: 0 or 1.
        #[serde(default)]
        #[schemars(range(max = 1))]
        start: u64,
        /// Where the offset and the limit are sent. Default: `"query"`.
        #[serde(rename = "in", default)]
        sent_in: SentIn,
    }
    /// Each response contains the URL of the next page; in the last one it is missing, null or empty.
    NextUrl {
        /// The location of the URL in the response, as a JSON pointer such as `"/links/next"`, or of a list of
        /// links, of which that with `rel` or `relation` `"next"` counts.
        next: Pointer,
    }
}

/// Where cursor, page or offset are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SentIn {
    /// In the query of the URL.
    #[default]
    Query,
    /// In `body`, which must be JSON.
    Body,
    /// In a header.
    Header,
}

/// What ends a walk before the page that the type of pagination ends with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndOptions<'a> {
    pub(crate) last: Option<&'a Pointer>,
    pub(crate) total: Option<&'a Pointer>,
    pub(crate) has_more: Option<&'a Pointer>,
    pub(crate) max_pages: Option<u64>,
}

/// What tells the API which page is requested.
#[derive(Debug)]
pub(crate) enum PageParameter<'a> {
    Query { name: Cow<'a, str>, value: String },
    Body { pointer: Pointer, json: String },
    Header { name: &'a str, value: String },
}

/// The query parameters in a JSON object; `None` if it is not one, or a member is neither a text, a number nor a boolean.
pub(super) fn query_of(object: &str) -> Option<Vec<(String, String)>> {
    let members: Map<String, Value> = serde_json::from_str(object).ok()?;
    let value_of = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    members.into_iter().map(|(name, value)| Some((name, value_of(value)?))).collect()
}

fn first_page() -> u64 {
    1
}

impl Pagination {
    /// The name in a pipeline file.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Pagination::Cursor { .. } => "cursor",
            Pagination::Page { .. } => "page",
            Pagination::Link { .. } => "link",
            Pagination::Offset { .. } => "offset",
            Pagination::NextUrl { .. } => "next_url",
        }
    }

    /// The places in a response that tell whether there is another page, and which.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        let next = match self {
            Pagination::Cursor { cursor, .. } => cursor.pointer(),
            Pagination::NextUrl { next, .. } => Some(next),
            Pagination::Page { .. } | Pagination::Link { .. } | Pagination::Offset { .. } => None,
        };
        let EndOptions { last, total, has_more, .. } = self.ends();
        [next, last, total, has_more].into_iter().flatten()
    }

    /// The option `param`, if there is one.
    pub(crate) fn param(&self) -> Option<&str> {
        match self {
            Pagination::Cursor { param, .. }
            | Pagination::Page { param, .. }
            | Pagination::Offset { param, .. } => Some(param),
            Pagination::Link { .. } | Pagination::NextUrl { .. } => None,
        }
    }

    /// Whether the cursor is a field of the last record, of those at this place.
    pub(super) fn is_of_last_record(&self, records: &Pointer) -> bool {
        let Pagination::Cursor { cursor: CursorPlace::Body(cursor), .. } = self else { return false };
        cursor.to_string().strip_prefix(&records.to_string()).is_some_and(|rest| rest.starts_with("/-"))
    }

    /// Where cursor, page or offset are sent.
    fn sent_in(&self) -> SentIn {
        match self {
            Pagination::Cursor { sent_in, .. }
            | Pagination::Page { sent_in, .. }
            | Pagination::Offset { sent_in, .. } => *sent_in,
            Pagination::Link { .. } | Pagination::NextUrl { .. } => SentIn::Query,
        }
    }

    /// Whether cursor, page or offset are sent in the body.
    pub(super) fn is_in_body(&self) -> bool {
        self.sent_in() == SentIn::Body
    }

    /// Whether cursor, page or offset are sent in the query.
    pub(super) fn is_in_query(&self) -> bool {
        self.sent_in() == SentIn::Query
    }

    /// Checks the option against `codec` and `body`.
    pub(crate) fn check(&self, codec: Codec, body: Option<&str>) -> Result<()> {
        let EndOptions { last, total, has_more, max_pages } = self.ends();
        let reads_json = match self {
            Pagination::Cursor { cursor, .. } => cursor.pointer().is_some(),
            Pagination::NextUrl { .. } => true,
            Pagination::Page { .. } | Pagination::Offset { .. } | Pagination::Link { .. } => false,
        };
        if codec != Codec::Json && (reads_json || last.or(total).or(has_more).is_some()) {
            let message = if reads_json {
                format!(
                    "type = \"{}\" requires codec = \"json\"; use type = \"page\", \"offset\" or \"link\"",
                    self.name()
                )
            } else {
                "`last`, `total` and `has_more` require codec = \"json\"".to_owned()
            };
            return Err(OptionError::new("pagination", message));
        }
        if max_pages == Some(0) {
            return Err(OptionError::new("pagination.max_pages", "must be greater than 0"));
        }
        if let Pagination::Offset { limit_param, limit, start, .. } = self {
            if limit_param.is_some() && limit.is_none() {
                return Err(OptionError::new("pagination.limit_param", "requires `pagination.limit`"));
            }
            if *start > 1 {
                return Err(OptionError::new("pagination.start", "must be 0 or 1"));
            }
            if *limit == Some(0) {
                return Err(OptionError::new("pagination.limit", "must be greater than 0"));
            }
        }
        self.check_parameters(body)
    }

    /// Checks that cursor, page or offset can be sent where `in` says.
    fn check_parameters(&self, body: Option<&str>) -> Result<()> {
        let limit_param = match self {
            Pagination::Offset { limit_param, .. } => limit_param.as_deref(),
            _ => None,
        };
        let names = [("pagination.param", self.param()), ("pagination.limit_param", limit_param)];
        let mut filled = body.unwrap_or_default().to_owned();
        for (option, name) in names.into_iter().filter_map(|(option, name)| Some((option, name?))) {
            match self.sent_in() {
                SentIn::Query => {}
                SentIn::Header => {
                    HeaderName::try_from(name).map_err(|_| {
                        let why =
                            format!("`in = \"header\"` needs the name of a header, and `{name}` is not one");
                        OptionError::new(option, why)
                    })?;
                }
                SentIn::Body => {
                    let pointer =
                        Pointer::try_from(name.to_owned()).map_err(|why| OptionError::new(option, why))?;
                    filled = pointer.replace(&filled, "1").map_err(|why| {
                        OptionError::new(option, format!("`in = \"body\"` sets this in `body`, but {why}"))
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The request for the first page.
    pub(crate) fn first_request(pagination: Option<&Pagination>) -> PageRequest {
        PageRequest::first(match pagination {
            Some(Pagination::Page { start, .. }) => PagePlace::Page(*start),
            Some(Pagination::Offset { start, .. }) => PagePlace::Offset(*start),
            _ => PagePlace::First,
        })
    }

    /// Whether a saved request fits this pagination; the option may have been edited.
    pub(crate) fn accepts(pagination: Option<&Pagination>, request: &PageRequest) -> bool {
        match (pagination, &request.place) {
            (Some(Pagination::Page { start, .. }), PagePlace::Page(page)) => page >= start,
            (Some(Pagination::Offset { start, .. }), PagePlace::Offset(offset)) => offset >= start,
            (Some(Pagination::Page { .. } | Pagination::Offset { .. }), _) => false,
            (_, PagePlace::First)
            | (Some(Pagination::Cursor { .. }), PagePlace::Cursor(_) | PagePlace::Parameters(_))
            | (Some(Pagination::Link { .. } | Pagination::NextUrl { .. }), PagePlace::Link(_)) => true,
            _ => false,
        }
    }

    /// What a request for the page at `place` sends in addition to the endpoint and the body.
    pub(crate) fn parameters(&self, place: &PagePlace) -> Vec<PageParameter<'_>> {
        let value = match place {
            PagePlace::Page(number) | PagePlace::Offset(number) => number.to_string(),
            PagePlace::Cursor(cursor) => cursor.clone(),
            PagePlace::Parameters(object) => {
                let query = |(name, value)| PageParameter::Query { name: Cow::Owned(name), value };
                return query_of(object).into_iter().flatten().map(query).collect();
            }
            PagePlace::First | PagePlace::Link(_) => return Vec::new(),
        };
        let Some(param) = self.param() else { return Vec::new() };
        let mut parameters = vec![self.parameter(param, value)];
        if let Pagination::Offset { limit_param: Some(param), limit: Some(limit), .. } = self {
            parameters.push(self.parameter(param, limit.to_string()));
        }
        parameters
    }

    fn parameter<'a>(&self, name: &'a str, value: String) -> PageParameter<'a> {
        match (self.sent_in(), Pointer::try_from(name.to_owned())) {
            (SentIn::Body, Ok(pointer)) => PageParameter::Body { pointer, json: value },
            (SentIn::Header, _) => PageParameter::Header { name, value },
            _ => PageParameter::Query { name: Cow::Borrowed(name), value },
        }
    }
}

#[cfg(test)]
mod tests;
