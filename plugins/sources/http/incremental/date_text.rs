//! The texts that are read as points in time: ISO dates, RFC 3339 with its variants, and RFC 2822.
//!
//! One reader finds the time and the form, so that every text that is read can be written again.

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::cursor_value::{Nanos, SECOND, nanos};

#[cfg(test)]
mod tests;

/// The zones of RFC 2822, and others that mean one offset, in hours.
const ZONES: [(&str, Nanos); 22] = [
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("AKST", -9),
    ("AKDT", -8),
    ("WET", 0),
    ("WEST", 1),
    ("CET", 1),
    ("CEST", 2),
    ("EET", 2),
    ("EEST", 3),
    ("MSK", 3),
    ("JST", 9),
    ("AEST", 10),
    ("AEDT", 11),
    ("NZST", 12),
    ("NZDT", 13),
];

/// The point in time that a text means; without a zone it is in UTC.
pub(crate) fn read(text: &str) -> Option<Nanos> {
    of_epoch(text).or_else(|| Reader { rest: text, pattern: None }.read())
}

/// Such as `/Date(1704067200000)/` or `/Date(1704067200000+0100)/`, as in `OData` 2: milliseconds in UTC, and the offset
/// in which to show them.
fn of_epoch(text: &str) -> Option<Nanos> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let millis = inner
        .rsplit_once(['+', '-'])
        .map_or(inner, |(millis, _)| if millis.is_empty() { inner } else { millis });
    Some(millis.parse::<Nanos>().ok()? * (SECOND / 1_000))
}

/// The strftime pattern that writes a time in UTC in the form of this text.
pub(crate) fn pattern(text: &str) -> Option<String> {
    let mut pattern = String::new();
    Reader { rest: text, pattern: Some(&mut pattern) }.read()?;
    Some(pattern)
}

struct Reader<'a> {
    rest: &'a str,
    /// The form of what was read.
    pattern: Option<&'a mut String>,
}

impl Reader<'_> {
    fn read(mut self) -> Option<Nanos> {
        if !self.rest.is_ascii() {
            return None;
        }
        let begins_with_year = self.rest.len() >= 7 && self.rest.bytes().take(4).all(|c| c.is_ascii_digit());
        if begins_with_year { self.iso() } else { self.rfc2822() }
    }

    fn iso(&mut self) -> Option<Nanos> {
        let (year, _) = self.number(4, 4)?;
        self.form("%Y");
        let separator = self.rest.chars().next()?;
        let date = match separator {
            '-' | '/' => self.date(year, separator)?,
            _ => {
                let ((month, _), (day, _)) = (self.number(2, 2)?, self.number(2, 2)?);
                self.form("%m%d");
                // Digits alone are a number.
                if !self.rest.starts_with(['T', 't']) {
                    return None;
                }
                date_of(year, month, day)?
            }
        };
        let (mut time, mut has_time) = (0, false);
        let has_digit = |rest: &str| rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if has_digit(self.rest)
            && let Some(between) = self.eat(&['T', 't', ' '])
        {
            self.form(between.encode_utf8(&mut [0; 4]));
            (time, has_time) = (self.time()?, true);
        }
        Some(date + time - self.zone(has_time)?)
    }

    /// The rest of a date: a month, or a month and a day.
    fn date(&mut self, year: u32, separator: char) -> Option<Nanos> {
        self.eat(&[separator])?;
        let (month, n_month) = self.number(1, 2)?;
        if self.rest.is_empty() {
            self.form("-%m");
            return date_of(year, month, 1).filter(|_| separator == '-' && n_month == 2);
        }
        self.eat(&[separator])?;
        let (day, n_day) = self.number(1, 2)?;
        self.form(match (separator, n_month.min(n_day)) {
            ('-', 1) => "-%-m-%-d",
            ('-', _) => "-%m-%d",
            (_, 1) => "/%-m/%-d",
            _ => "/%m/%d",
        });
        date_of(year, month, day)
    }

    /// An hour, with minutes, seconds and their parts if they follow.
    fn time(&mut self) -> Option<Nanos> {
        let (hour, n_hour) = self.number(1, 2)?;
        self.form(if n_hour == 1 { "%-H" } else { "%H" });
        let (mut minute, mut second, mut part) = (0, 0, 0);
        let has_colons = self.rest.starts_with(':');
        if has_colons || self.begins_with_digit() {
            minute = self.two_digits(has_colons, "%M")?;
            if self.rest.starts_with(':') == has_colons && (has_colons || self.begins_with_digit()) {
                second = self.two_digits(has_colons, "%S")?;
                if let Some(point) = self.eat(&['.', ',']) {
                    part = self.part_of_second(point)?;
                }
            }
        }
        let is_time = hour < 24 && minute < 60 && second <= 60;
        let seconds = Nanos::from(hour * 3600 + minute * 60 + second);
        is_time.then_some(seconds * SECOND + part)
    }

    fn two_digits(&mut self, has_colon: bool, form: &str) -> Option<u32> {
        if has_colon {
            self.eat(&[':'])?;
            self.form(":");
        }
        self.form(form);
        Some(self.number(2, 2)?.0)
    }

    /// The fraction of the second, in nanoseconds.
    fn part_of_second(&mut self, point: char) -> Option<Nanos> {
        let n_digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(n_digits);
        self.rest = rest;
        self.form(point.encode_utf8(&mut [0; 4]));
        self.form(match n_digits {
            0 => return None,
            1..6 => "%3f",
            6..9 => "%6f",
            _ => "%9f",
        });
        format!("{digits:0<9}")[..9].parse().ok()
    }

    /// The offset from UTC, up to the end of the text.
    fn zone(&mut self, has_time: bool) -> Option<Nanos> {
        if self.rest.is_empty() {
            return Some(0);
        }
        // A region behind the offset, as in RFC 9557, or a comment, as in RFC 2822.
        let named = self.rest.strip_suffix(']').and_then(|rest| rest.split_once('['));
        let named = named.or_else(|| self.rest.strip_suffix(')')?.split_once(" ("));
        self.rest = named.map_or(self.rest, |(offset, _)| offset);
        if self.eat(&[' ']).is_some() {
            self.form(" ");
        }
        let n_letters = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, offset) = self.rest.split_at(n_letters);
        match name {
            "" => {}
            // Marketo writes `Z+0000`.
            "Z" | "z" | "UTC" | "GMT" if matches!(offset, "" | "+0000") => {
                self.form(name);
                return Some(0);
            }
            "UTC" | "GMT" => self.form(name),
            _ => {
                let hours = hours_of(name).filter(|_| has_time && offset.is_empty())?;
                self.form("UTC");
                return Some(hours * 3600 * SECOND);
            }
        }
        self.rest = offset;
        let sign = if self.eat(&['+', '-'])? == '-' { -1 } else { 1 };
        let (hours, n_hours) = self.number(if name.is_empty() { 2 } else { 1 }, 2)?;
        let has_colon = self.eat(&[':']).is_some();
        // A day of two digits may be followed by a third number, which is not a zone.
        let has_minutes = has_colon || !(self.rest.is_empty() && has_time);
        let minutes = if has_minutes { self.number(2, 2)?.0 } else { 0 };
        self.form(match (has_colon, has_minutes) {
            (true, _) => "+00:00",
            (_, true) => "+0000",
            _ if n_hours == 1 => "+0",
            _ => "+00",
        });
        let is_zone = self.rest.is_empty() && hours < 24 && minutes < 60;
        is_zone.then_some(sign * Nanos::from(hours * 3600 + minutes * 60) * SECOND)
    }

    /// Such as `Wed, 31 Jan 2024 16:00:00 +0000`, whatever the day of the week.
    fn rfc2822(&mut self) -> Option<Nanos> {
        let is_name = |name: &str| name.len() == 3 && name.bytes().all(|c| c.is_ascii_alphabetic());
        let day_of_week = self.rest.split_once(", ").filter(|(name, _)| is_name(name));
        let text = day_of_week.map_or(self.rest, |(_, rest)| rest);
        let (front, zone) = text.rsplit_once(' ')?;
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !is_name(text.split(' ').nth(1)?) {
            return None;
        }
        let time = match (zone, hours_of(zone)) {
            ("UTC", _) => DateTime::parse_from_rfc2822(&format!("{front} +0000")),
            (_, Some(hours)) => DateTime::parse_from_rfc2822(&format!("{front} {:+05}", hours * 100)),
            _ => DateTime::parse_from_rfc2822(text),
        };
        if day_of_week.is_some() {
            self.form("%a, ");
        }
        self.form(if front.matches(':').count() > 1 { "%d %b %Y %H:%M:%S " } else { "%d %b %Y %H:%M " });
        self.form(if matches!(zone, "UTC" | "GMT" | "Z") { zone } else { "+0000" });
        Some(nanos(time.ok()?.naive_utc()))
    }

    fn form(&mut self, part: &str) {
        if let Some(pattern) = &mut self.pattern {
            pattern.push_str(part);
        }
    }

    fn begins_with_digit(&self) -> bool {
        self.rest.starts_with(|c: char| c.is_ascii_digit())
    }

    /// Takes one of these characters.
    fn eat(&mut self, any: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|first| any.contains(first))?;
        self.rest = &self.rest[1..];
        Some(first)
    }

    /// Takes a number of so many digits, and says how many there were.
    fn number(&mut self, min_digits: usize, max_digits: usize) -> Option<(u32, usize)> {
        let n_digits = self.rest.bytes().take(max_digits).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(n_digits);
        self.rest = rest;
        Some((digits.parse().ok().filter(|_| n_digits >= min_digits)?, n_digits))
    }
}

fn hours_of(zone: &str) -> Option<Nanos> {
    ZONES.iter().find(|(name, _)| *name == zone).map(|(_, hours)| *hours)
}

/// The beginning of a day.
fn date_of(year: u32, month: u32, day: u32) -> Option<Nanos> {
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(nanos(date.and_time(NaiveTime::MIN)))
}

/// The point in time of a number in the form year, month, day, with hour, minute and second if it
/// has so many digits; and the strftime pattern of its form. Epochs of this size are hardly met: those of
/// 8 digits are in August 1970.
pub(super) fn of_digits(number: i128) -> Option<(Nanos, &'static str)> {
    let (pattern, number) = match number {
        19_000_101..=20_991_231 => ("%Y%m%d", number * 1_000_000),
        190_001_010_000..=209_912_312_359 => ("%Y%m%d%H%M", number * 100),
        19_000_101_000_000..=20_991_231_235_959 => ("%Y%m%d%H%M%S", number),
        _ => return None,
    };
    let number = u64::try_from(number).ok()?;
    let part = |unit: u64, size: u64| (number / unit % size) as u32;
    let date = date_of(part(10_000_000_000, 10_000), part(100_000_000, 100), part(1_000_000, 100))?;
    let (hour, minute, second) = (part(10_000, 100), part(100, 100), part(1, 100));
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then(|| (date + Nanos::from(hour * 3600 + minute * 60 + second) * SECOND, pattern))
}
