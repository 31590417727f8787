//! Reads the field that `cursor` names, and says why a value cannot be compared.

use anyhow::{Context as _, anyhow};
use runner_core::{Error, Result};

use super::super::json::Members;
use super::cursor_value::CursorValue;
use super::unsupported_date::UnsupportedDate;
use super::{Incremental, Lag};

/// What makes a date of a value.
const ADVICE: &str = "set `incremental.format` to the form of the field, such as \"%d.%m.%Y\", \"%Y\" or \"epoch\", or \
                      make it a date with `remap`";

impl Incremental {
    /// The value of a record.
    pub(super) fn value_of(&self, members: &Members<'_>) -> Result<CursorValue> {
        let cursor = &self.cursor;
        let value = members.get(cursor).with_context(|| {
            format!("the record has no field `{cursor}`, which `incremental.cursor` names")
        })?;
        let at = CursorValue::parse(value, self.format.as_ref()).with_context(|| {
            format!(
                "the field `{cursor}`, which `incremental.cursor` names, is neither a string nor a number"
            )
        })?;
        if let Some(unread) = at.plain_text().and_then(UnsupportedDate::of) {
            return Err(self.unread(&unread));
        }
        match self.lag {
            Some(Lag::Time(_)) if at.moment().is_none() => Err(self.not_a_time("lag")),
            Some(Lag::Number(_)) if at.kind() != "a number" => Err(anyhow!(
                "the field `{cursor}` is {}, but `incremental.lag` is a number; the lag of times is a duration such \
                 as \"2d\"",
                at.kind()
            )),
            _ => Ok(at),
        }
    }

    /// A value that an option takes for a point in time.
    pub(super) fn not_a_time(&self, option: &str) -> Error {
        anyhow!(
            "the field `{}` is not a point in time, which `incremental.{option}` requires: {ADVICE}",
            self.cursor
        )
    }

    /// A value that cannot be compared with `start`, or with the values that were delivered before.
    pub(super) fn mismatch(&self, at: &CursorValue, other: &CursorValue, is_start: bool) -> Error {
        let before = if is_start { "`incremental.start` is" } else { "the values before it are" };
        let (at, other) = (at.kind(), other.kind());
        let advice = match (at == "a point in time", is_start) {
            (false, _) => ADVICE,
            (true, true) => {
                "write `start` as a date such as \"2024-01-05\", or in the form of `incremental.format`"
            }
            (true, false) => {
                "if the field has changed, begin with `--from-start`; `incremental.format` also reads the \
                 values before"
            }
        };
        anyhow!("the field `{}` is {at}, but {before} {other}: {advice}", self.cursor)
    }

    /// A date or time whose order as text is another one.
    fn unread(&self, unread: &UnsupportedDate) -> Error {
        let cursor = &self.cursor;
        let not_read = if self.format.is_some() { ", which `incremental.format` does not read" } else { "" };
        let what = "whose order is not that of its text";
        match unread {
            UnsupportedDate::Date(Some(form)) => anyhow!(
                "the field `{cursor}` looks like a date{not_read}, {what}: set `incremental.format`, such as \"{form}\", \
                 which is then also the form in requests, or make it an ISO date with `remap`"
            ),
            UnsupportedDate::Date(None) => anyhow!(
                "the field `{cursor}` looks like a date{not_read}, {what}: make it an ISO date with `remap`"
            ),
            UnsupportedDate::Time => anyhow!(
                "the field `{cursor}` looks like a time of the day, so that the rows of the next day would be older: \
                 add the date to it with `remap`"
            ),
        }
    }
}
