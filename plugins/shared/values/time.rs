//! A date and a time of day, with the offset of its zone.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _};

/// A date and a time of day as they were written, and the offset of their zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    local: NaiveDateTime,
    /// In seconds; 0 where nothing was written.
    offset: i32,
}

impl Time {
    pub(super) fn new(local: NaiveDateTime, offset: i32) -> Self {
        Time { local, offset }
    }

    /// Seconds since 1970, and nanoseconds after that.
    pub(super) fn from_epoch(seconds: i64, nanos: u32) -> Option<Self> {
        Some(Time::new(chrono::DateTime::from_timestamp(seconds, nanos)?.naive_utc(), 0))
    }

    /// The date as it was written, whatever the zone. Years have four digits.
    pub(super) fn date(&self) -> Option<NaiveDate> {
        Some(self.local.date()).filter(|date| (0..=9999).contains(&date.year()))
    }

    /// Whether the time of day, as it was written, is another one than midnight.
    pub(super) fn has_time_of_day(&self) -> bool {
        self.local.time() != NaiveTime::MIN
    }

    /// The time in UTC. Years have four digits.
    pub(super) fn utc(&self) -> Option<NaiveDateTime> {
        let mut utc = self.local;
        if self.offset != 0 {
            utc = utc.checked_sub_signed(TimeDelta::seconds(i64::from(self.offset)))?;
        }
        // A leap second is the first moment of the next minute, as in the time of most systems.
        if let Some(nanos) = utc.nanosecond().checked_sub(1_000_000_000) {
            utc = utc.with_nanosecond(nanos)?.checked_add_signed(TimeDelta::seconds(1))?;
        }
        Some(utc).filter(|utc| (0..=9999).contains(&utc.year()))
    }
}

/// Appends `%Y-%m-%d`.
pub(super) fn write_date(date: NaiveDate, out: &mut Vec<u8>) {
    let year = date.year().unsigned_abs();
    push_two(year / 100, out);
    push_two(year % 100, out);
    out.push(b'-');
    push_two(date.month(), out);
    out.push(b'-');
    push_two(date.day(), out);
}

/// Appends `%Y-%m-%d %H:%M:%S%.3f`.
pub(super) fn write_timestamp(utc: NaiveDateTime, out: &mut Vec<u8>) {
    write_date(utc.date(), out);
    out.push(b' ');
    push_two(utc.hour(), out);
    out.push(b':');
    push_two(utc.minute(), out);
    out.push(b':');
    push_two(utc.second(), out);
    out.push(b'.');
    let millis = utc.nanosecond() / 1_000_000;
    out.push(digit(millis / 100));
    push_two(millis % 100, out);
}

fn push_two(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit(number / 10), digit(number % 10)]);
}

fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}
