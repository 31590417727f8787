//! Which rows are new: by a field (`incremental`), or by their content (`unchanged`).
//!
//! `incremental_filter` decides row by row by the field that `cursor` names. `cursor_field` reads the field into a
//! `cursor_value`, which `date_text` or a `time_format` takes for a point in time, or else by its `text_order`;
//! `unsupported_date` refuses dates that neither reads. `groups` is the position that a walk leaves, which `group_rules`
//! compares with the options; `known_rows` are the rows that a walk may meet again, `named_fields` whether rows have the
//! fields of the options, `value_range` is what it has read, `snapshot` how far it is, and `time_window` a part of the time
//! for `step`. Without `incremental`, `unchanged` skips the rows that the walk before held. Both remember rows as
//! `row_hashes`.

mod cursor_field;
mod cursor_value;
mod date_text;
mod group_rules;
mod groups;
mod incremental_filter;
mod known_rows;
mod named_fields;
mod row_hashes;
mod snapshot;
#[cfg(test)]
mod tests;
mod text_order;
mod time_format;
mod time_window;
mod unchanged;
mod unsupported_date;
mod value_range;

use std::time::Duration;

use runner_core::{HumanDuration, OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::json::{Field, Fields};

pub(crate) use self::cursor_value::{CursorValue, Nanos, now};
pub(crate) use self::group_rules::{GroupRules, RulesChange};
pub(crate) use self::groups::Groups;
pub(crate) use self::incremental_filter::{Decision, IncrementalFilter};
pub(crate) use self::row_hashes::RowHashes;
pub(crate) use self::snapshot::{IncrementalSnapshot, SavedIncremental};
pub(crate) use self::time_format::TimeFormat;
pub(crate) use self::time_window::TimeWindow;
pub(crate) use self::unchanged::{
    DeliveredRows, SavedUnchanged, Unchanged, UnchangedFilter, UnchangedSnapshot,
};

/// Emits only rows that are newer than what was delivered, in this run and in earlier ones.
///
/// The position is the newest delivered value of `cursor`. It moves when a whole walk is
/// delivered: all pages of an element, or of one window of `step`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Incremental {
    /// The field by which rows are compared: a date, a time, an epoch, a number or text. A name, or
    /// a JSON pointer into the record as it is after `remap` and `add`. A record without it is
    /// rejected.
    pub(super) cursor: Field,
    /// The first value: older rows are not delivered. `{{ since }}` has this value until a row is
    /// delivered. Without it all rows are new in the first run.
    pub(super) start: Option<CursorValue>,
    /// How `{{ since }}`, `{{ now }}`, `{{ from }}` and `{{ to }}` are written: `"epoch"`,
    /// `"epoch_ms"`, `"rfc3339"` or a strftime pattern, in UTC. Without it in the form of `start`. `start`
    /// and the field are read in this form, too; without it they are read as ISO dates, RFC 3339, RFC 2822,
    /// epochs, numbers such as 20240105, other numbers and text.
    pub(super) format: Option<TimeFormat>,
    /// How much older than the newest value a new row may be: a duration, or a number if the values
    /// are numbers. `{{ since }}` is the newest value minus this. Default: 0.
    pub(super) lag: Option<Lag>,
    /// A field, or several, whose values have a position each, such as the symbol if one response
    /// contains several. `{{ since }}` is then the oldest of their positions. If it changes, they begin again at the
    /// oldest one.
    #[serde(default)]
    pub(super) by: Fields,
    /// The fields that identify a row, among the rows at the newest value and within `lag`. Without it, rows that are
    /// equal in all fields are as many rows.
    pub(super) key: Option<Fields>,
    /// A row with a known `key` is delivered again if one of these fields has changed. Default: any
    /// field. With `[]` it is never delivered again.
    pub(super) compare: Option<Fields>,
    /// `"newest_first"`: a walk stops after a page whose rows are all older than the newest value minus `lag`; with
    /// `by`, than the oldest position minus `lag`. Default: `"any"`; a walk reads all pages.
    #[serde(default)]
    pub(super) order: Order,
    /// Does not deliver rows that are younger than this, such as a bar that is still open.
    pub(super) hold: Option<HumanDuration>,
    /// Splits the time from the position to now into spans of this length; `{{ from }}` and
    /// `{{ to }}` are their bounds. Requires `start`. A span must not have more rows than the API returns, unless
    /// `pagination` reads the others.
    pub(super) step: Option<HumanDuration>,
}

/// The order of the rows of an API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Any order; a walk reads all pages.
    #[default]
    Any,
    /// No page holds a row that is newer than those of the pages before.
    NewestFirst,
}

/// A span of time, or a difference of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(inline, extend("type" = ["string", "number"], "examples" = ["2d", 100]))]
pub(super) enum Lag {
    Time(Duration),
    Number(f64),
}

impl TryFrom<Value> for Lag {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => HumanDuration::try_from(text).map(|span| Lag::Time(span.0)),
            Value::Number(number) => match number.as_f64().filter(|number| *number >= 0.0) {
                Some(number) => Ok(Lag::Number(number)),
                None => Err(format!("`{number}` is negative")),
            },
            _ => Err("expected a duration such as \"2d\", or a number".into()),
        }
    }
}

impl Incremental {
    /// Checks combinations of options.
    pub(super) fn check(&self) -> Result<()> {
        let error =
            |option: &str, message: &str| Err(OptionError::new(format!("incremental.{option}"), message));
        if let Some(step) = self.step {
            if step.unless_zero().is_none() {
                return error("step", "must be greater than 0");
            }
            match self.start() {
                None => return error("step", "requires `start`, where the first window begins"),
                Some(start) if start.time().is_none() => {
                    return error("start", "must be a point in time, since `step` splits time");
                }
                Some(_) => {}
            }
        }
        if matches!(self.lag, Some(Lag::Number(_))) && self.hold.or(self.step).is_some() {
            return error("lag", "must be a duration, since `hold` and `step` require points in time");
        }
        Ok(())
    }

    /// The value of `start`, read with `format`.
    pub(super) fn start(&self) -> Option<CursorValue> {
        Some(self.start.as_ref()?.as_start(self.format.as_ref()))
    }

    /// A value less `lag`.
    fn less_lag(&self, value: &CursorValue) -> CursorValue {
        let less = match self.lag {
            None => None,
            Some(Lag::Time(span)) => value.minus_time(span),
            Some(Lag::Number(number)) => value.minus_number(number),
        };
        less.unwrap_or_else(|| value.clone())
    }

    /// The format of points in time in requests, if `format` or `start` determine it.
    pub(super) fn time_format(&self) -> Option<TimeFormat> {
        self.format.clone().or_else(|| TimeFormat::of(self.start.as_ref()?.text()))
    }

    /// A value as requests contain it.
    pub(super) fn write(&self, value: &CursorValue) -> String {
        let start = self.start();
        let is_start = start.as_ref() == Some(value);
        // Numbers that are counted need no unit.
        let is_number = |value: &CursorValue| value.kind() == "a number";
        let is_same_kind = start.is_none_or(|start| is_number(&start) && is_number(value));
        if self.format.is_none() && (is_same_kind || is_start) {
            return value.text().to_owned();
        }
        let time = if is_start { value.time() } else { value.moment() };
        match (self.time_format(), time) {
            (Some(format), Some(time)) => format.write(time),
            _ => value.text().to_owned(),
        }
    }
}
