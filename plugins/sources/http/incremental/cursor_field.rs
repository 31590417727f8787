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

/// What to do about text that is compared with a `start` that is a number.
const ID_ADVICE: &str = "if the values are ids, write `start` in their form, such as \"00000000\"; if they are dates, set \
                         `incremental.format` to their form, such as \"%d.%m.%Y\", or make them dates with `remap`";

/// What APIs write in place of a date that they do not have.
const NO_VALUE: [&str; 9] =
    ["N/A", "n/a", "null", "NULL", "None", "NaN", "-", "0000-00-00", "0000-00-00 00:00:00"];

impl Incremental {
    /// The value of a record.
    pub(super) fn value_of(&self, members: &Members<'_>) -> Result<CursorValue> {
        let cursor = &self.cursor;
        let value = members.get(cursor).with_context(|| {
            format!("the record has no field `{cursor}`, which `incremental.cursor` names{}", cursor.advice())
        })?;
        let at = CursorValue::parse(value, self.format.as_ref()).with_context(|| {
            format!(
                "the field `{cursor}`, which `incremental.cursor` names, is neither a string nor a number"
            )
        })?;
        if at.plain_text().is_some_and(|text| NO_VALUE.contains(&text)) {
            return Err(anyhow!(
                "the field `{cursor}`, which `incremental.cursor` names, is a mark for no value: leave out such rows with \
                 `remap`, or give them a value there"
            ));
        }
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

    /// The value of `by`.
    pub(crate) fn group_name(&self, members: &Members<'_>) -> Result<String> {
        let mut name = String::new();
        for field in &self.by.0 {
            let value = members.get(field).with_context(|| {
                format!("the record has no field `{field}`, which `incremental.by` names{}", field.advice())
            })?;
            if !name.is_empty() {
                name.push(' ');
            }
            match serde_json::from_str::<String>(value) {
                Ok(text) if self.by.0.len() == 1 => name.push_str(&text),
                _ => name.push_str(value),
            }
        }
        Ok(name)
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
        if at == other {
            return self.unsorted();
        }
        let advice = match (at == "a point in time", is_start) {
            (false, true) if (at, other) == ("text", "a number") => ID_ADVICE,
            (false, _) => ADVICE,
            (true, true) => {
                "write `start` as a date such as \"2024-01-05\", or in the form of `incremental.format`"
            }
            (true, false) => {
                "if the field has changed, begin with `--from-start`; `incremental.format` also reads the \
                 values before; if the API returns both, make them of one kind with `remap`, or leave out the rows of the \
                 other"
            }
        };
        anyhow!("the field `{}` is {at}, but {before} {other}: {advice}", self.cursor)
    }

    /// A value that cannot be compared with those of the rows before it.
    pub(crate) fn mixed_kinds(&self, at: &CursorValue, other: &CursorValue) -> Error {
        let (cursor, at, other) = (&self.cursor, at.kind(), other.kind());
        if at == other {
            return self.unsorted();
        }
        let format = if self.format.is_some() { "" } else { "`incremental.format`, or " };
        anyhow!(
            "the field `{cursor}` is {at}, but the rows before it have {other}: make them of one kind with {format}`remap`, \
             or leave out the rows of the other"
        )
    }

    /// A text whose order is not that of the number in it.
    fn unsorted(&self) -> Error {
        anyhow!(
            "the field `{}` is text with a number in it that has more or fewer digits than in the rows before, so that the \
             text sorts in another order, as \"P-9\" behind \"P-10\": make a number of it with `remap`, or name a field with \
             a date or a number in `incremental.cursor`",
            self.cursor
        )
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
