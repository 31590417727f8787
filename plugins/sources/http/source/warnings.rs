//! Warnings where a first run would mislead, each once per run, with the option that helps.

use std::collections::HashSet;
use std::fmt::Display;

use serde_json::Value;
use tracing::warn;

use super::super::json::Children;
use super::super::pages::envelope_of;
use super::super::responses::{Codec, Items, Response};
use super::http_source::HttpSource;
use super::page_walk::PageWalk;
use crate::shared::json_paths::pointer_name;

/// A warning that is given once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Warning {
    /// A line of text in place of CSV.
    Text,
    /// Other pages, which are not read.
    Pages,
    /// Other pages of elements, which are not read.
    PagesOfElements,
    /// Pages without records that name other pages.
    EmptyPages,
    Shape,
    /// A program that makes no record.
    NothingMade,
    /// Errors beside records.
    Errors,
    /// Pages with the same records.
    Overlap,
    /// Options that end a walk and count something else.
    Ends,
    /// Records behind the end of a walk.
    Missed,
    /// Rows that were deleted during a walk.
    Deleted,
    /// Walks that read all rows of the walk before, and more.
    Growing,
    /// Walks with more rows than are remembered.
    Forgotten,
    /// Rows of one page with the same key.
    EqualKeys,
    /// Options that name fields which no row has.
    MissingFields,
    /// Full answers without a new row.
    Stuck,
    /// Windows of which a part is not returned.
    CutWindow,
}

/// Which warnings were given.
#[derive(Debug, Default)]
pub(crate) struct GivenWarnings(HashSet<Warning>);

impl GivenWarnings {
    pub(crate) fn has(&self, warning: Warning) -> bool {
        self.0.contains(&warning)
    }

    /// Logs a warning about a response or a source, the first time only.
    pub(crate) fn warn_once(&mut self, warning: Warning, place: impl Display, why: impl Display) {
        if self.0.insert(warning) {
            warn!("{place}: {why}");
        }
    }
}

impl HttpSource {
    /// Warns of what looks like a misunderstanding between the API and the options.
    pub(crate) fn warn_of_wrong_options(&mut self, response: &Response, items: &Items) {
        self.warn_of_text(response, items);
        if self.settings.codec == Codec::Json && !self.given_warnings.has(Warning::Errors) {
            self.warn_of_errors(response);
        }
        if items.is_empty() {
            return;
        }
        if self.settings.pagination.is_none() && !self.given_warnings.has(Warning::Pages) {
            let records = (self.settings.codec == Codec::Json).then_some(&self.settings.records);
            if let Some((why, option)) = self.other_pages(response, items, records) {
                let why = format!("{why}, and only this page is read; to read all pages set {option}");
                self.given_warnings.warn_once(Warning::Pages, &response.title, why);
            }
        }
        if self.settings.codec == Codec::Csv {
            return;
        }
        if self.settings.remap.is_none()
            && !self.given_warnings.has(Warning::Shape)
            && let Some((why, option)) = self.odd_shape(items)
        {
            self.given_warnings.warn_once(Warning::Shape, &response.title, format!("{why}; {option}"));
        }
    }

    /// Warns of records beside errors, as GraphQL and JSON:API return them, and of incomplete results.
    fn warn_of_errors(&mut self, response: &Response) {
        if self.client.responses.is_some() || self.settings.records.is_root() {
            return;
        }
        let Some(around) = envelope_of(response, &self.settings.records) else { return };
        let has_errors = around.at("/errors").is_some_and(|it| match it {
            Value::Array(errors) => !errors.is_empty(),
            Value::Object(errors) => !errors.is_empty(),
            _ => false,
        });
        let (what, matcher) = if has_errors {
            ("has records and `/errors`".to_owned(), "\"/errors\"".to_owned())
        } else if let Some((path, value)) = around.partial_flag() {
            let is = if value.is_boolean() { ", is = true" } else { "" };
            (format!("says `{path}`"), format!("{{ at = \"{path}\"{is} }}"))
        } else {
            return;
        };
        let why = format!(
            "the response {what}, so that records may be missing; to make it an error set \
             `responses = {{ fail = [{matcher}] }}`"
        );
        self.given_warnings.warn_once(Warning::Errors, &response.title, why);
    }

    /// What is odd about the records, and what to do.
    fn odd_shape(&self, items: &Items) -> Option<(String, String)> {
        let only = match items {
            Items::One { value: Some(value), .. } => Some((value.clone(), "")),
            // The last page often holds one record.
            _ if items.len() == 1 && !self.has_succeeded => items.front(1).pop().map(|value| (value, "/0")),
            _ => None,
        };
        if let Some((value, place)) = only.filter(|(value, _)| value.starts_with(b"{")) {
            let members = nested_members(&value)?;
            let (name, array) = members.iter().find(|(_, is_array)| *is_array).unwrap_or(members.first()?);
            if !place.is_empty() && !array {
                return None;
            }
            let records = &self.settings.records;
            let path = format!("{records}{place}/{}", pointer_name(name));
            let option = if *array {
                format!(
                    "if the records are inside, set `records`, for example to \"{path}\", or make them of several arrays \
                     with `remap`"
                )
            } else {
                "if the records are inside, set `records` to their place, or make them with `remap`"
                    .to_owned()
            };
            return Some((
                "the response is one record whose members are all objects or arrays".into(),
                option,
            ));
        }
        let other = items.other_type()?;
        let why = format!("a record is {other}, not an object, which SQL does not read as a row");
        let or_json = if self.settings.codec == Codec::Ndjson {
            ", or set codec = \"json\" if the response is one array of records"
        } else {
            ""
        };
        Some((why, format!("make an object from it with `remap`{or_json}")))
    }

    /// Warns of a program that has never made a record. Later it may well make none of a few rows.
    pub(crate) fn warn_of_nothing_made(&mut self) {
        if self.settings.remap.is_some()
            && !self.has_made
            && self.n_with_records > 0
            && self.position.offset == 0
        {
            self.warn_once(
                Warning::NothingMade,
                "`remap` makes no record of any row, since `.` is null or empty at its end; check the names in it. \
                 `runner run --dry-run` without `remap` shows the rows",
            );
        }
    }

    /// Warns of walks that another option would make better.
    pub(crate) fn warn_of_walk(&mut self, walk: &PageWalk, is_growing: bool) {
        if is_growing {
            self.warn_once(
                Warning::Growing,
                "every poll reads all rows of the one before, and more; `incremental = { cursor = … }` with \
                 `{{ since }}` in the request asks for new rows only",
            );
        }
        if walk.has_forgotten_rows(&self.settings) {
            self.warn_once(
                Warning::Forgotten,
                "a walk reads more rows than are remembered, so that the others are delivered at every poll; \
                 `incremental = { cursor = … }` knows new rows by a field",
            );
        }
        if let Some(option) = walk.missing_option() {
            let effect = match option {
                "key" => "each row is identified by all its fields",
                _ => "a row that has changed is not delivered again",
            };
            let why = format!(
                "no row has a field that `incremental.{option}` names, so that {effect}; check the names there, which are \
                 those after `remap` and `add`"
            );
            self.warn_once(Warning::MissingFields, &why);
        }
        if walk.has_equal_keys() {
            self.warn_once(
                Warning::EqualKeys,
                "rows of one page have the same `incremental.key` and are not equal, so that the key does not identify \
                 a row; all of them are delivered. Add fields to `key` that tell them apart",
            );
        }
        if self.settings.pagination.is_none()
            && self.settings.request.variables().contains("since")
            && let Some((n_rows, is_usual)) = walk.n_known_rows()
            && n_rows > 1
            && (is_usual || self.is_full(n_rows))
        {
            let why = format!(
                "the response has {n_rows} rows, most likely as many as the API returns at most, and none of them is new: \
                 `{{{{ since }}}}` stays behind the rows that follow. Set `pagination`, request more rows, or request each \
                 symbol with `for_each`"
            );
            self.warn_once(Warning::Stuck, &why);
        }
    }

    /// Warns of a response that has as many rows as one may have, and does not fill its window.
    pub(crate) fn warn_of_cut_window(&mut self, walk: &PageWalk, n_rows: usize) {
        if self.settings.pagination.is_none() && n_rows > 1 && self.is_full(n_rows) && walk.leaves_gap(n_rows)
        {
            let why = format!(
                "a response has {n_rows} rows, most likely as many as the API returns at most, and they do not fill the \
                 span of `incremental.step`: the rows behind them are not read. Set a shorter `step`, or `pagination`"
            );
            self.warn_once(Warning::CutWindow, &why);
        }
    }

    fn warn_once(&mut self, warning: Warning, why: &str) {
        self.given_warnings.warn_once(warning, self.settings.source_name, why);
    }

    /// Whether a response has as many rows as it may: a parameter that limits them has this value, or it is a usual limit.
    pub(crate) fn is_full(&self, n_rows: usize) -> bool {
        const LIMITS: &str = "limit size count per_page page_size pagesize max_results maxresults rows top";
        let is_asked_for = self.client.parts.endpoint.query_pairs().any(|(name, value)| {
            let name = name.trim_start_matches('$').to_ascii_lowercase();
            LIMITS.split(' ').any(|known| known == name) && value.parse() == Ok(n_rows)
        });
        is_asked_for || n_rows.is_multiple_of(100)
    }
}

/// The names of the members of an object, and whether each is an array; `None` if one is neither object nor array.
fn nested_members(object: &[u8]) -> Option<Vec<(String, bool)>> {
    let mut members = Children::of(0);
    let mut found = Vec::new();
    while let Some((key, value)) = members.next_member(object).ok()? {
        let is_array = match object[value.start] {
            b'[' => true,
            b'{' => false,
            _ => return None,
        };
        found.push((serde_json::from_slice(&object[key]).ok()?, is_array));
    }
    (!found.is_empty()).then_some(found)
}
