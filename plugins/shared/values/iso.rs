//! Dates and times in the forms of ISO 8601 that programs write.

use chrono::{NaiveDate, NaiveTime};

use super::time::Time;

/// Reads `2024-01-31`, or that date with a time: after `T` or a space, with or without seconds,
/// a fraction and a zone. The basic form of both is `20240131` and `20240131T093015`. `is_rfc3339` asks for
/// separators, seconds and a zone.
pub(super) fn read(text: &[u8], is_rfc3339: bool) -> Option<Time> {
    let needs_zone = is_rfc3339;
    let mut rest = Rest(text);
    let is_basic = !is_rfc3339 && text.get(4).is_some_and(u8::is_ascii_digit);
    let (year, month, day) = if is_basic {
        (rest.number(4)?, rest.number(2)?, rest.number(2)?)
    } else {
        (rest.number(4)?, rest.after(b'-', 2)?, rest.after(b'-', 2)?)
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let Some((separator, after)) = rest.0.split_first() else {
        return (!needs_zone).then(|| Time::new(date.and_time(NaiveTime::MIN), 0));
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    rest = Rest(after);
    let hour = rest.number(2)?;
    let is_basic = is_basic && rest.0.first() != Some(&b':');
    let minute = if is_basic { rest.number(2)? } else { rest.after(b':', 2)? };
    let (mut second, mut nanos) = (0, 0);
    if is_basic && rest.0.first().is_some_and(u8::is_ascii_digit) {
        second = rest.number(2)?;
        nanos = rest.fraction()?;
    } else if !is_basic && rest.0.first() == Some(&b':') {
        second = rest.after(b':', 2)?;
        nanos = rest.fraction()?;
    } else if needs_zone {
        return None;
    }
    // A leap second is the first moment of the next minute, as in the time of most systems.
    let is_leap = second == 60;
    let time = NaiveTime::from_hms_nano_opt(hour, minute, if is_leap { 59 } else { second }, nanos)?;
    let mut local = date.and_time(time);
    if is_leap {
        local = local.checked_add_signed(chrono::TimeDelta::seconds(1))?;
    }
    Some(Time::new(local, rest.zone(needs_zone)?))
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Exactly `n` digits.
    fn number(&mut self, n: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        digits
            .iter()
            .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
    }

    /// Exactly `n` digits after a separator.
    fn after(&mut self, separator: u8, n: usize) -> Option<u32> {
        self.0 = self.0.strip_prefix(&[separator])?;
        self.number(n)
    }

    /// A fraction of a second in nanoseconds, if there is one; more digits are cut off.
    fn fraction(&mut self) -> Option<u32> {
        let Some((b'.' | b',', rest)) = self.0.split_first() else { return Some(0) };
        let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at(n_digits);
        self.0 = rest;
        (n_digits > 0).then(|| nanos(digits))
    }

    /// The offset of a zone in seconds, at the end of the text.
    fn zone(&mut self, is_needed: bool) -> Option<i32> {
        let sign = match *self.0 {
            [] => return (!is_needed).then_some(0),
            [b'Z' | b'z'] => return Some(0),
            [b'+', ref rest @ ..] => {
                self.0 = rest;
                1
            }
            [b'-', ref rest @ ..] => {
                self.0 = rest;
                -1
            }
            _ => return None,
        };
        let hours = self.number(2)?;
        let minutes = match *self.0 {
            [] if !is_needed => 0,
            [b':', ..] => self.after(b':', 2)?,
            _ => self.number(2)?,
        };
        let is_valid = self.0.is_empty() && hours < 24 && minutes < 60;
        is_valid.then(|| sign * i32::try_from(hours * 3600 + minutes * 60).unwrap_or(0))
    }
}

/// The first nine digits of a fraction, as nanoseconds.
pub(super) fn nanos(digits: &[u8]) -> u32 {
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    padded.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'))
}
