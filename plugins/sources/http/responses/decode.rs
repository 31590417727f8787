//! Decodes a response, and explains one that cannot be decoded.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use reqwest::StatusCode;
use runner_core::ByteSize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::error::HttpError;
use super::super::json::{Pointer, holds_nothing};
use super::super::source::{FoundRecords, HttpSource, Warning};
use super::body_status;
use super::body_status::BodyStatus;
use super::codec::Codec;
use super::format_advice::{is_ndjson, other_format, text_kind};
use super::items::{Items, Unreadable};
use super::response::Response;
use super::web_page::{is_temporary, is_web_page, title_of};
use crate::shared::formats::text::TextKind;

/// The maximum number of members that are remembered of a response with records.
const MAX_NAMES: usize = 100;

/// The advice about an unreadable response that follows readable ones.
const OTHER_THAN_BEFORE: &str = ". Earlier responses were readable. If this one is an error, add it to \
    `responses.retry` or `responses.fail`. If the API returns it when no records are left, add it to `responses.empty`";

/// The names of the members of an object.
fn names_of(body: &[u8]) -> Option<BTreeSet<String>> {
    let object: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    Some(object.into_keys().collect())
}

/// Whether the last of several lines is an error that has no member of the first one.
fn ends_with_error(body: &[u8]) -> bool {
    let mut lines = body.trim_ascii().split(|byte| *byte == b'\n');
    let (Some(first), Some(last)) = (lines.next(), lines.next_back()) else { return false };
    body_status::has_error(last)
        && names_of(first).zip(names_of(last)).is_some_and(|(first, last)| first.is_disjoint(&last))
}

impl HttpSource {
    /// The items of a response.
    pub(crate) fn decode(&mut self, response: &Response) -> Result<Items, HttpError> {
        let body = &response.body;
        let is_blank = body.trim_ascii().is_empty();
        let url = || self.client.redactor.url(&response.url);
        let settings = &self.settings;
        let decoded = match settings.codec {
            _ if response.has_no_records() => return Ok(Items::none()),
            _ if let Some(large) = &response.large
                && let Some(items) = Items::of_large(large, url()) =>
            {
                return Ok(items);
            }
            Codec::Ndjson | Codec::Csv if is_blank => Ok(Items::none()),
            _ if let Some(what) = self.other_than_records(response) => Err(Unreadable::Unexpected(what)),
            Codec::Json
                if settings.remap.is_some()
                    && let Some(scalar) = Items::of_scalar(body, &settings.records, url()) =>
            {
                Ok(scalar)
            }
            Codec::Json => {
                match Items::of_json(body, &settings.records, self.position.offset > 0, url()) {
                    Err(Unreadable::Missing { .. }) if self.leaves_out_records(response) => Ok(Items::Null),
                    decoded => decoded,
                }
            }
            Codec::Ndjson if self.client.responses.is_none() && ends_with_error(body) => {
                Err(Unreadable::Truncated(
                    "the last line is an error, so that records may be missing; set `responses = {}` if it is a record"
                        .into(),
                ))
            }
            Codec::Ndjson => Items::of_ndjson(body, url()),
            Codec::Csv => {
                let text = match &response.large {
                    Some(large) => large.file_part.clone(),
                    None => body.clone().into(),
                };
                let name = settings.source_name;
                let rows = Items::of_csv(text, &mut self.csv_reader, name, response.is_delimited);
                if let Some(columns) = self.csv_reader.take_changed_columns() {
                    self.position.csv = Some(columns.into());
                }
                rows
            }
        };
        match self.message_of(response, &decoded, &self.settings.records) {
            Some(BodyStatus::Empty) => return Ok(Items::none()),
            Some(message) => return Err(self.message_error(response, message)),
            None => {}
        }
        match decoded {
            // Behind its last page an API may return an object that holds nothing.
            Ok(Items::One { value: Some(value), .. })
                if self.settings.pagination.is_some() && holds_nothing(&value) =>
            {
                Ok(Items::none())
            }
            Ok(Items::One { value: Some(value), .. })
                if is_empty_object(&value) && self.known_records().is_some_and(|known| known.is_array) =>
            {
                Ok(Items::none())
            }
            Ok(items) => {
                self.refuse_large_value(response, &items)?;
                Ok(items)
            }
            Err(unreadable) => Err(self.unreadable(response, unreadable)),
        }
    }

    /// What a response is that has another format than `codec`.
    fn other_than_records(&self, response: &Response) -> Option<String> {
        let (body, codec) = (&response.body, self.settings.codec);
        let is_header = codec != Codec::Csv || self.csv_reader.begins_with_header();
        Some(match (codec, text_kind(body, is_header)) {
            (Codec::Ndjson | Codec::Csv, _) if is_web_page(response) => "the response is a web page".into(),
            _ if let Some(what) = other_format(body) => format!("the response is {what}"),
            (_, Some(TextKind::Xml)) => {
                "the response is XML, which is not supported; ask the API for JSON or CSV, by a parameter or \
                 the header `Accept`"
                    .into()
            }
            _ if is_event_stream(response) => {
                "the response is a stream of server-sent events, which is not supported; ask the API for JSON or NDJSON"
                    .into()
            }
            (Codec::Csv, _) if is_json(response) => "expected CSV, got JSON".into(),
            (Codec::Csv, Some(kind)) => format!("expected CSV, got {}", kind.name()),
            (Codec::Csv, None) if body_status::of_text(body, true).is_some() => {
                "expected CSV, got a line of text".into()
            }
            _ => return None,
        })
    }

    /// Whether an object without a value at `records` is a response without records: it has no member that a response
    /// with records did not have. Any other object may be an error.
    fn leaves_out_records(&self, response: &Response) -> bool {
        let body = &response.body;
        self.known_records()
            .is_some_and(|known| names_of(body).is_some_and(|names| names.is_subset(&known.names)))
            && matches!(
                message_without_records(response, &self.settings.records),
                None | Some(BodyStatus::Empty)
            )
    }

    /// What a response with records of this run, or of one before, looked like.
    fn known_records(&self) -> Option<&FoundRecords> {
        let known = self.position.records.as_deref();
        known.filter(|known| known.at == self.settings.records.to_string())
    }

    /// Remembers what the first response with records of this run looked like, and the first with an array of them.
    pub(crate) fn found_records(&mut self, response: &Response, items: &Items, n_items: usize) {
        self.n_with_records += usize::from(n_items > 0);
        if n_items == 0 || self.settings.codec != Codec::Json {
            return;
        }
        let known = self.known_records();
        let is_known_array = known.is_some_and(|known| known.is_array);
        let is_array = is_known_array || matches!(items, Items::Elements { .. });
        if self.n_with_records > 1 && is_array == is_known_array {
            return;
        }
        let mut names = names_of(&response.body).unwrap_or_default();
        names.extend(known.iter().flat_map(|known| known.names.iter().cloned()));
        // The members of a larger object are most likely records themselves.
        if names.len() <= MAX_NAMES {
            let at = self.settings.records.to_string();
            self.position.records = Some(FoundRecords { at, names, is_array }.into());
        }
    }

    /// What the response says if it holds no record, or one alone.
    pub(crate) fn message_of(
        &self,
        response: &Response,
        decoded: &Result<Items, Unreadable>,
        records: &Pointer,
    ) -> Option<BodyStatus> {
        let error_beside_records = || body_status::error_beside(&response.body, records);
        match decoded {
            // With `responses`, the user has said what an error looks like.
            Ok(Items::Null) if self.client.responses.is_some() => {
                unfinished(response).map(|_| BodyStatus::Pending)
            }
            Err(Unreadable::Missing { .. }) if self.client.responses.is_some() => {
                message_without_records(response, records).filter(|message| *message != BodyStatus::Empty)
            }
            _ if self.client.responses.is_some() => None,
            Ok(items @ Items::Elements { .. }) if items.is_empty() => {
                pending(response).or_else(error_beside_records)
            }
            // An error may be beside an empty object.
            Ok(Items::One { .. }) if !records.is_root() => error_beside_records(),
            Ok(Items::Lines { .. }) if decoded.as_ref().is_ok_and(|lines| lines.len() > 1) => None,
            Ok(Items::Elements { .. } | Items::Rows(_)) => None,
            Ok(Items::Null) | Err(Unreadable::Missing { .. }) => message_without_records(response, records),
            _ if response.status == StatusCode::ACCEPTED => Some(BodyStatus::Pending),
            Err(Unreadable::Truncated(_)) => None,
            _ => body_status::of_json(&response.body),
        }
    }

    /// The error for a response with a message in place of records.
    pub(crate) fn message_error(&self, response: &Response, message: BodyStatus) -> HttpError {
        match message {
            BodyStatus::RateLimit => self.limit_error(response),
            BodyStatus::Pending => {
                let why = match unfinished(response) {
                    Some(member) => format!(
                        "`{member}` says that the job of this request is not done, so there are no records yet; if \
                         this is a response without records, name it in `responses.empty`"
                    ),
                    None => "the API has accepted the request and has no records yet".to_owned(),
                };
                self.client.retry_error(&response.summary(), &why)
            }
            BodyStatus::Error | BodyStatus::Empty => HttpError::FatalUntilSuccess(anyhow!(
                "{}: the response is an error, not a record; name such responses in `responses.fail`, \
                 `responses.retry` or `responses.empty`, or set `responses = {{}}` if it is a record{}",
                response.title,
                self.client.response_body(&response.body)
            )),
        }
    }

    /// The error for a rate limit in a response with a success status.
    fn limit_error(&self, response: &Response) -> HttpError {
        let why = "this looks like a rate limit in a response with a success status; set `rate_limit` to what \
                   the API allows, and name such responses in `responses.retry`, or set `responses = {}` if it is \
                   a record";
        self.client.retry_error(&response.summary(), why)
    }

    fn refuse_large_value(&self, response: &Response, items: &Items) -> Result<(), HttpError> {
        let maximum = self.settings.max_one_value;
        match items {
            Items::One { value: Some(value), .. } if value.len() > maximum => Err(HttpError::Fatal(anyhow!(
                "{}: the response is one record of {}, and at most {} are kept in memory for one; \
                 set `records` to an array in it, or increase `max_answer`",
                response.title,
                ByteSize(value.len() as u64),
                ByteSize(maximum as u64)
            ))),
            _ => Ok(()),
        }
    }

    pub(crate) fn unreadable(&self, response: &Response, unreadable: Unreadable) -> HttpError {
        let title = &response.title;
        let redactor = &self.client.redactor;
        let content_type = match response.content_type() {
            "" => "no content type".to_owned(),
            content_type => redactor.text(content_type),
        };
        let advice = match &unreadable {
            Unreadable::Missing { if_left_out, .. } if self.has_succeeded => {
                [OTHER_THAN_BEFORE, if_left_out].concat()
            }
            _ if self.has_succeeded => OTHER_THAN_BEFORE.to_owned(),
            Unreadable::Missing { advice, if_left_out, .. } => match self.advice(response) {
                other if other.is_empty() => [advice, &**if_left_out].concat(),
                other => [advice, &*other].concat(),
            },
            _ => self.advice(response),
        };
        let page_title = title_of(response);
        let shown_title = page_title.as_deref().map(|title| self.client.excerpt(title.as_bytes()));
        match unreadable {
            Unreadable::Truncated(why) if response.body.trim_ascii().is_empty() => {
                HttpError::transient(anyhow!(
                    "{title} ({content_type}): {why}; if it means that there are no records, set \
                     `responses = {{ empty = [{{ text = \"\" }}] }}`"
                ))
            }
            Unreadable::Truncated(why) => HttpError::transient(anyhow!("{title} ({content_type}): {why}")),
            Unreadable::OtherColumns(why) => HttpError::Fatal(anyhow!("{title} ({content_type}): {why}")),
            Unreadable::Unexpected(_) | Unreadable::Missing { .. }
                if is_limit(response, self.settings.codec) =>
            {
                self.limit_error(response)
            }
            Unreadable::Unexpected(_) if page_title.as_deref().is_some_and(is_temporary) => {
                self.client.retry_error(
                    &response.summary(),
                    &format!("the response is a web page with the title {}", shown_title.unwrap_or_default()),
                )
            }
            Unreadable::Unexpected(why) | Unreadable::Missing { why, .. } => {
                // It may contain keys of the response.
                let why = redactor.text(&why);
                let dot = if advice.ends_with('?') { "" } else { "." };
                let excerpt = match self.client.excerpt(&response.body) {
                    excerpt if excerpt.is_empty() => excerpt,
                    _ if other_format(&response.body).is_some() => String::new(),
                    _ if let Some(title) = shown_title => format!("{dot} The title of the page is {title}"),
                    excerpt => format!("{dot} The response begins with {excerpt}"),
                };
                HttpError::FatalUntilSuccess(anyhow!("{title} ({content_type}): {why}{advice}{excerpt}"))
            }
        }
    }

    /// Advice for a response in another format.
    fn advice(&self, response: &Response) -> String {
        let content_type = response.content_type().to_ascii_lowercase();
        let is_called = |name: &str| content_type.contains(name);
        let codec = self.settings.codec;
        let other = match codec {
            _ if is_web_page(response) => {
                return ": check that `endpoint` is the API and not its web page; a login page means that `auth` \
                        is missing, or `cookies = true`"
                    .into();
            }
            Codec::Json if is_called("csv") => Codec::Csv,
            Codec::Json if is_called("ndjson") || is_called("jsonl") || is_called("json-seq") => {
                Codec::Ndjson
            }
            Codec::Json if is_ndjson(&response.body) => Codec::Ndjson,
            Codec::Csv => match text_kind(&response.body, true) {
                Some(TextKind::Ndjson) => Codec::Ndjson,
                Some(TextKind::Json) => Codec::Json,
                _ if is_json(response) => Codec::Json,
                _ => return String::new(),
            },
            _ => return String::new(),
        };
        format!("; should it be codec = \"{}\"?", other.name())
    }

    /// Warns once of a CSV response that is most likely not a table.
    pub(crate) fn warn_of_text(&mut self, response: &Response, items: &Items) {
        let body = response.body.trim_ascii();
        let is_text = self.settings.codec == Codec::Csv
            && items.is_empty()
            && !body.is_empty()
            && (!body.iter().any(|byte| b",;\t|\n".contains(byte)) || body_status::names_an_error(body));
        if is_text {
            let why = format!(
                "the response is a line of text without rows, taken as no records; if it means that there is \
                 nothing, name it in `responses.empty`, else in `responses.fail` or `responses.retry`, as in \
                 {{ text = \"…\" }}. Response body: {}",
                self.client.excerpt(body)
            );
            self.given_warnings.warn_once(Warning::Text, &response.title, why);
        }
    }
}

/// Whether a value is `{}`, as some languages write an empty array.
fn is_empty_object(value: &[u8]) -> bool {
    value
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
        .is_some_and(|inside| inside.trim_ascii().is_empty())
}

fn is_event_stream(response: &Response) -> bool {
    response.content_type().starts_with("text/event-stream")
        && !matches!(response.body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// What a response says that has no place with records.
fn message_without_records(response: &Response, records: &Pointer) -> Option<BodyStatus> {
    pending(response).or_else(|| body_status::without_records(&response.body, records))
}

fn pending(response: &Response) -> Option<BodyStatus> {
    let is_pending = response.status == StatusCode::ACCEPTED || unfinished(response).is_some();
    is_pending.then_some(BodyStatus::Pending)
}

/// The member that says that the job of the request is not done.
fn unfinished(response: &Response) -> Option<String> {
    body_status::unfinished(&response.body, response.url.as_str())
}

/// Whether a response without records says that there were too many requests.
fn is_limit(response: &Response, codec: Codec) -> bool {
    let text = body_status::of_text(&response.body, codec == Codec::Csv);
    let messages = [body_status::of_json(&response.body), text];
    !is_web_page(response) && messages.contains(&Some(BodyStatus::RateLimit))
}

/// Whether a response is JSON, as an error is, where CSV was requested.
fn is_json(response: &Response) -> bool {
    // A gateway may send its default content type with CSV.
    (response.content_type().contains("json") || response.body.trim_ascii_start().starts_with(b"{"))
        && serde_json::from_slice::<IgnoredAny>(&response.body).is_ok()
}
