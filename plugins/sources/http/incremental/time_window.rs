//! The windows of `step`.

use serde::{Deserialize, Serialize};

use super::Incremental;
use super::cursor_value::{CursorValue, Nanos};
use super::time_format::TimeFormat;

const MILLI: Nanos = 1_000_000;

/// A part of the time from the position to now, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimeWindow {
    from: i64,
    to: i64,
    /// The end of the last window.
    end: i64,
}

impl TimeWindow {
    /// The first window of a walk.
    pub(crate) fn first(options: &Incremental, since: Option<&CursorValue>, now: Nanos) -> Option<Self> {
        let from = (since?.time()? / MILLI) as i64;
        let end = ((now / MILLI) as i64).max(from);
        Some(TimeWindow { from, to: from, end }.advanced(options))
    }

    /// The window after this one.
    pub(crate) fn next(self, options: &Incremental) -> Option<Self> {
        (self.to < self.end).then(|| TimeWindow { from: self.to, ..self }.advanced(options))
    }

    fn advanced(self, options: &Incremental) -> Self {
        let step =
            options.step.map_or(i64::MAX, |step| i64::try_from(step.0.as_millis()).unwrap_or(i64::MAX));
        TimeWindow { to: self.from.saturating_add(step.max(1)).min(self.end), ..self }
    }

    /// The bounds as points in time.
    pub(super) fn times(self) -> (Nanos, Nanos) {
        (Nanos::from(self.from) * MILLI, Nanos::from(self.to) * MILLI)
    }

    /// The bounds as requests contain them.
    pub(crate) fn bounds(self, format: &TimeFormat) -> (String, String) {
        let (from, to) = self.times();
        (format.write(from), format.write(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(step: &str) -> Incremental {
        let table = serde_json::json!({"cursor": "t", "start": "2024-01-01", "step": step});
        serde_json::from_value(table).unwrap()
    }

    fn windows(step: &str, now: &str) -> Vec<(String, String)> {
        let options = options(step);
        let now = CursorValue::of_text(now, None).unwrap().time().unwrap();
        let format = options.time_format().unwrap();
        let first = TimeWindow::first(&options, options.start.as_ref(), now);
        std::iter::successors(first, |window| window.next(&options)).map(|it| it.bounds(&format)).collect()
    }

    #[test]
    fn windows_meet_and_end_now() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            windows("15d", "2024-02-03"),
            [
                pair("2024-01-01", "2024-01-16"),
                pair("2024-01-16", "2024-01-31"),
                pair("2024-01-31", "2024-02-03")
            ]
        );
        assert_eq!(windows("15d", "2024-01-16"), [pair("2024-01-01", "2024-01-16")]);
        assert_eq!(windows("15d", "2024-01-01"), [pair("2024-01-01", "2024-01-01")]);
        assert_eq!(windows("15d", "2023-06-01"), [pair("2024-01-01", "2024-01-01")]);
    }
}
