//! Cron: Glue's expressions of when a crawler starts, in UTC, such as `cron(15 12 * * ? *)`.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, Utc};

/// Minutes, hours, days and years that fit.
#[derive(Debug)]
pub(super) struct Cron {
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: DayRule,
    months: BTreeSet<u32>,
    years: BTreeSet<u32>,
}

#[derive(Debug)]
enum DayRule {
    OfMonth(BTreeSet<u32>),
    LastOfMonth,
    /// 1 is Sunday.
    OfWeek(BTreeSet<u32>),
}

const FORM: &str = "minutes, hours, day of month, month, day of week, year, as in cron(15 12 * * ? *)";
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Cron, String> {
        let fields = text.trim().strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
        let fields = fields.ok_or_else(|| format!("`{text}` is no schedule: write cron(…) with {FORM}"))?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[minutes, hours, day, month, weekday, year] = &*fields else {
            return Err(format!("`{text}` has {} fields, and a schedule six: {FORM}", fields.len()));
        };
        let days = match (day, weekday) {
            ("?", "?") => return Err(format!("`{text}`: only one of the two days is `?`: {FORM}")),
            ("L", "?") => DayRule::LastOfMonth,
            (day, "?") => DayRule::OfMonth(field(day, 1, 31, &[])?),
            ("?", weekday) => DayRule::OfWeek(field(weekday, 1, 7, &WEEKDAYS)?),
            _ => return Err(format!("`{text}`: one of day of month and day of week must be `?`: {FORM}")),
        };
        Ok(Cron {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days,
            months: field(month, 1, 12, &MONTHS)?,
            years: field(year, 1970, 2199, &[])?,
        })
    }

    /// The first time after `instant`, if there is one before the years run out.
    pub(super) fn after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last_year = i32::try_from(*self.years.last()?).ok()?;
        let mut day = instant.date_naive();
        while day.year() <= last_year {
            if self.is_due(day) {
                let times = self
                    .hours
                    .iter()
                    .flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)));
                let times = times.filter_map(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0));
                if let Some(due) = times.map(|time| day.and_time(time).and_utc()).find(|due| *due > instant) {
                    return Some(due);
                }
            }
            day = day.checked_add_days(Days::new(1))?;
        }
        None
    }

    fn is_due(&self, day: NaiveDate) -> bool {
        let is_day = match &self.days {
            DayRule::OfMonth(days) => days.contains(&day.day()),
            DayRule::LastOfMonth => day.succ_opt().is_none_or(|next| next.month() != day.month()),
            DayRule::OfWeek(days) => days.contains(&(day.weekday().num_days_from_sunday() + 1)),
        };
        is_day && self.months.contains(&day.month()) && self.years.contains(&(day.year() as u32))
    }
}

/// What a field lets through: `*`, `5`, `MON-FRI`, `1,15`, `0/10`.
fn field(text: &str, first: u32, last: u32, names: &[&str]) -> Result<BTreeSet<u32>, String> {
    let wrong = || format!("`{text}` stands where {first} to {last} is expected: {FORM}");
    let value = |text: &str| -> Option<u32> {
        let by_name = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = by_name.map(|at| at as u32 + 1).or_else(|| text.parse().ok())?;
        (first..=last).contains(&value).then_some(value)
    };
    let mut fitting = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1_u32),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((from, to)) => (value(from).ok_or_else(wrong)?, value(to).ok_or_else(wrong)?),
            None => {
                let from = value(range).ok_or_else(wrong)?;
                (from, if part.contains('/') { last } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        fitting.extend((from..=to).step_by(step as usize));
    }
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, after: &str) -> String {
        let after: DateTime<Utc> = after.parse().unwrap();
        Cron::parse(cron)
            .unwrap()
            .after(after)
            .map(|it| it.format("%Y-%m-%dT%H:%M").to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_schedule_is_due_when_it_says() {
        for (cron, after, due) in [
            ("cron(15 12 * * ? *)", "2026-01-01T12:14:59Z", "2026-01-01T12:15"),
            ("cron(15 12 * * ? *)", "2026-01-01T12:15:00Z", "2026-01-02T12:15"),
            ("cron(0/10 * ? * MON-FRI *)", "2026-01-02T23:55:00Z", "2026-01-05T00:00"),
            ("cron(0 8 1 * ? *)", "2026-01-01T09:00:00Z", "2026-02-01T08:00"),
            ("cron(0 0 L FEB ? *)", "2026-01-01T00:00:00Z", "2026-02-28T00:00"),
            ("cron(0 0 ? * 1 *)", "2026-01-01T00:00:00Z", "2026-01-04T00:00"),
            ("cron(5,35 14 * * ? 2025)", "2026-01-01T00:00:00Z", ""),
        ] {
            assert_eq!(next(cron, after), due, "{cron}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for (cron, reason) in [
            ("15 12 * * ? *", "write cron(…)"),
            ("cron(15 12 * * ?)", "5 fields"),
            ("cron(15 12 * * * *)", "must be `?`"),
            ("cron(60 12 * * ? *)", "`60` stands where 0 to 59"),
            ("cron(0 12 15W * ? *)", "`15W`"),
        ] {
            let error = Cron::parse(cron).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
