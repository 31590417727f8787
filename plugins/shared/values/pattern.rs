//! strftime patterns.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use chrono::format::{Fixed, Item, Numeric, Pad, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, Datelike as _, NaiveDateTime, NaiveTime, TimeZone as _, Utc};

use super::time::Time;

/// A year of a pattern has four digits.
const FIRST_YEAR: i32 = 1000;

/// A strftime pattern, compiled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(super) text: Box<str>,
    items: Arc<[Item<'static>]>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| {
            format!("`{text}` is not a valid strftime pattern; one for 31/01/2024 is \"%d/%m/%Y\"")
        })?;
        if !items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_))) {
            return Err(format!(
                "`{text}` is not \"rfc3339\", \"epoch\" or \"epoch_ms\", and has no strftime specifier, as \
                 \"%d/%m/%Y\" has. Microseconds and nanoseconds since 1970 are read by `from_unix_timestamp` in a `remap`"
            ));
        }
        Ok(Pattern { text: text.into(), items: items.into() })
    }

    /// Fails if the pattern does not read whole dates, or reads a part of a text without using it.
    pub(super) fn check_reading(&self) -> Result<(), String> {
        let text = &self.text;
        for item in self.items.iter() {
            match item {
                Item::Fixed(Fixed::TimezoneName) => {
                    return Err(format!(
                        "`{text}` has `%Z`, and the name of a time zone does not tell its offset, so the time would be \
                         taken for UTC. Where cells have an offset such as +0100, use `%z`; where all of them end with \
                         UTC, write that instead of `%Z`; for times in another zone use `remap` with `timezone`"
                    ));
                }
                Item::Numeric(Numeric::Nanosecond, _) => {
                    return Err(format!(
                        "`{text}` has `%f`, which counts nanoseconds, so the 5 in 09:30:15.5 would be 5 of them. Use \
                         `%.f` for a fraction of a second with its point, as in \"%S%.f\", or `%3f`, `%6f` or `%9f` for \
                         so many digits without one"
                    ));
                }
                _ => {}
            }
        }
        let sample = Utc.with_ymd_and_hms(2023, 11, 24, 13, 45, 56).single();
        let sample = sample.ok_or("there is no sample date")?.naive_utc();
        let mut written = Vec::new();
        // `%#z` is for reading only.
        let writing = Pattern::new(&text.replace("%#z", "%z"))?;
        let written = writing.write(sample, &mut written).and_then(|()| std::str::from_utf8(&written).ok());
        if let Some(parsed) = written.and_then(|written| self.parsed(written)) {
            check_time(&parsed)
                .map_err(|missing| format!("`{text}` does not give a whole time: {missing}"))?;
        }
        match written.and_then(|written| self.read(written)?.date()) {
            Some(date) if date == sample.date() => Ok(()),
            _ => Err(format!(
                "`{text}` does not give a whole date: it needs a year, a month and a day, as \"%d/%m/%Y\" has"
            )),
        }
    }

    /// The parts of a date or a time that a text has.
    pub(crate) fn parsed(&self, text: &str) -> Option<Parsed> {
        parse_items(text, &self.items)
    }

    /// Reads a date or a time.
    pub(super) fn read(&self, text: &str) -> Option<Time> {
        let mut parsed = self.parsed(text)?;
        if parsed.hour_mod_12().is_some() && parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        let offset = parsed.offset().unwrap_or(0);
        let local = match parsed.to_naive_datetime_with_offset(offset) {
            Ok(local) => local,
            Err(_) if parsed.hour_div_12().is_none() && parsed.timestamp().is_none() => {
                parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN)
            }
            Err(_) => return None,
        };
        // `%Y` reads `24` as the year 24, while 2024 is meant.
        (local.year() >= FIRST_YEAR).then(|| Time::new(local, offset))
    }

    /// A time in UTC as text, which fails if the pattern cannot write it.
    pub(crate) fn format(&self, utc: DateTime<Utc>) -> impl Display {
        utc.format_with_items(self.items.iter())
    }

    /// Appends a time; `None` if the pattern cannot write it.
    pub(super) fn write(&self, utc: NaiveDateTime, out: &mut Vec<u8>) -> Option<()> {
        let mut text = String::new();
        write!(text, "{}", self.format(utc.and_utc())).ok()?;
        out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

/// Reads all of a text. Numbers that nothing separates, as in `%Y%m%d`, have all their digits, and an offset is less than
/// a day.
fn parse_items(text: &str, items: &[Item<'_>]) -> Option<Parsed> {
    let (mut parsed, mut rest) = (Parsed::new(), text);
    for (index, item) in items.iter().enumerate() {
        let behind = parse_and_remainder(&mut parsed, rest, std::iter::once(item)).ok()?;
        let is_beside_number = || {
            let before = index.checked_sub(1).and_then(|before| items.get(before));
            [before, items.get(index + 1)].into_iter().flatten().any(|other| width_of(other).is_some())
        };
        if let Some(width) = width_of(item)
            && rest.len() - behind.len() != width
            && is_beside_number()
        {
            return None;
        }
        rest = behind;
    }
    let is_offset = parsed.offset().is_none_or(|offset| offset.abs() < 24 * 60 * 60);
    (rest.is_empty() && is_offset).then_some(parsed)
}

/// How many digits a number has that is padded.
fn width_of(item: &Item<'_>) -> Option<usize> {
    match item {
        Item::Numeric(_, Pad::None) | Item::Numeric(Numeric::Timestamp | Numeric::Nanosecond, _) => None,
        Item::Numeric(Numeric::Year | Numeric::IsoYear, _) => Some(4),
        Item::Numeric(Numeric::Ordinal, _) => Some(3),
        Item::Numeric(Numeric::Quarter | Numeric::NumDaysFromSun | Numeric::WeekdayFromMon, _) => Some(1),
        Item::Numeric(..) => Some(2),
        _ => None,
    }
}

/// Fails if a part of the time of day has no meaning without another one.
fn check_time(parsed: &Parsed) -> Result<(), &'static str> {
    let has_timestamp = parsed.timestamp().is_some();
    let (has_half, has_hour) = (parsed.hour_div_12().is_some(), parsed.hour_mod_12().is_some());
    let (has_minute, has_second) = (parsed.minute().is_some(), parsed.second().is_some());
    if has_hour && !has_half {
        return Err("`%I` is an hour of half a day; add `%p` for AM and PM, or use `%H`");
    }
    if !has_hour && (has_half || has_minute || has_second) {
        return Err("it needs the hour, as \"%H:%M\" and \"%I:%M %p\" have");
    }
    if has_second && !has_minute {
        return Err("it needs the minute, as \"%H:%M:%S\" has");
    }
    if parsed.nanosecond().is_some() && !has_second && !has_timestamp {
        return Err("a fraction needs the second, as \"%H:%M:%S%.f\" has");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_reads_padded_numbers_and_offsets_below_a_day() {
        let is_read = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().read(text).is_some();
        for (pattern, text) in [
            ("%Y%m%d%H%M%S", "20240115103000"),
            ("%Y%m%d%H%M%S%3f", "20240115103000250"),
            ("%y%m%d", "240115"),
            ("%Y%j", "2024015"),
            ("%Y%m%dT%H%M%S%z", "20240115T103000+0100"),
            ("%m/%d/%Y %H%M", "1/5/2024 0930"),
            ("%d.%m.%Y %H:%M:%S", "5.1.2024 9:30:05"),
            ("%d%b%Y", "5Jan2024"),
            ("%Y-%m-%d %H:%M:%S %z", "2024-01-15 10:30:00 -1200"),
        ] {
            assert!(is_read(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("%Y%m%d%H%M%S", "2024011510300"),
            ("%Y%m%d", "2024015"),
            ("%Y%j", "202415"),
            ("%m/%d/%Y %H%M", "1/5/2024 093"),
            ("%Y-%m-%d %H:%M:%S %z", "2024-01-15 10:30:00 +2500"),
            ("%Y-%m-%dT%H:%M:%S%:z", "2024-01-15T10:30:00+25:00"),
        ] {
            assert!(!is_read(pattern, text), "{pattern} {text}");
        }
    }
}
