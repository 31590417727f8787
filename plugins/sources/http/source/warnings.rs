//! Warnings where a first run would mislead, each once per run, with the option that helps.

use std::collections::HashSet;

use serde_json::Value;
use tracing::warn;

use super::super::answer::{Codec, Items, Response};
use super::super::json::Children;
use super::super::pages::envelope_of;
use super::http_source::HttpSource;
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
    /// Pages whose records differ in one member only.
    NearCopies,
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

    /// Adds a warning. Returns whether it is given for the first time.
    pub(crate) fn add(&mut self, warning: Warning) -> bool {
        self.0.insert(warning)
    }
}

impl HttpSource {
    /// Warns of what looks like a misunderstanding between the API and the options.
    pub(crate) fn warn_of_misfits(&mut self, response: &Response, items: &Items) {
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
                warn!(
                    "{}: {why}, and only this page is read; to read all pages set {option}",
                    response.title
                );
                self.given_warnings.add(Warning::Pages);
            }
        }
        if self.settings.codec == Codec::Csv {
            return;
        }
        if self.settings.remap.is_none()
            && !self.given_warnings.has(Warning::Shape)
            && let Some((why, option)) = self.odd_shape(items)
        {
            self.given_warnings.add(Warning::Shape);
            warn!("{}: {why}; {option}", response.title);
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
        } else if let Some((path, value)) = around.says_partial() {
            let is = if value.is_boolean() { ", is = true" } else { "" };
            (format!("says `{path}`"), format!("{{ at = \"{path}\"{is} }}"))
        } else {
            return;
        };
        self.given_warnings.add(Warning::Errors);
        warn!(
            "{}: the response {what}, so that records may be missing; to make it an error set \
             `responses = {{ fail = [{matcher}] }}`",
            response.title
        );
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
