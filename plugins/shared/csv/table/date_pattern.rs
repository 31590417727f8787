//! Guesses the strftime pattern of a date, for the advice in errors.

use std::sync::LazyLock;

use crate::shared::values::{ReadTime, TypeName, ValueType};

/// Forms of dates that people write, the likelier first.
const DATES: [&str; 16] = [
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%Y %b %d",
];
const TIMES: [&str; 7] =
    ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %H:%M:%S %z", " %I:%M %p", " %I:%M:%S %p"];

/// The pattern that reads a text; `None` if no usual one does, or if day and month may be the other way pass and
/// the pattern `given` for other cells does not tell.
pub(crate) fn likely_pattern(text: &[u8], given: Option<&str>) -> Option<String> {
    let n_digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if n_digits == text.len() {
        return match n_digits {
            10 => Some("epoch".into()),
            13 => Some("epoch_ms".into()),
            _ => None,
        };
    }
    let reads = |(_, form): &&(String, ValueType)| form.write_cell(text, &mut Vec::new()).is_ok();
    let (first, _) = PATTERNS.iter().find(reads)?;
    let swapped = first.strip_prefix("%d/%m").map(|rest| format!("%m/%d{rest}"));
    let Some(swapped) = swapped.filter(|swapped| PATTERNS.iter().filter(reads).any(|(it, _)| it == swapped))
    else {
        return Some(first.clone());
    };
    let day_is_first = given.and_then(|given| Some(given.find("%d")? < given.find("%m")?))?;
    Some(if day_is_first { first.clone() } else { swapped })
}

/// All combinations, compiled once.
static PATTERNS: LazyLock<Vec<(String, ValueType)>> = LazyLock::new(|| {
    let all = DATES.iter().flat_map(|date| TIMES.iter().map(move |time| format!("{date}{time}")));
    all.filter_map(|pattern| {
        let read = ReadTime::try_from(pattern.clone()).ok()?;
        Some((pattern, ValueType::new(TypeName::Timestamp, Some(read), None)))
    })
    .collect()
});

/// The pattern of a date with a time of day in a usual form of ISO 8601.
pub(super) fn with_time_of_day(text: &[u8]) -> Option<String> {
    const TIMES: [&str; 7] =
        ["%H:%M:%S", "%H:%M", "%H:%M:%S%.f", "%H:%M:%SZ", "%H:%M:%S%.fZ", "%H:%M:%S%z", "%H:%M:%S%.f%z"];
    let patterns =
        TIMES.iter().flat_map(|time| [' ', 'T'].map(|separator| format!("%Y-%m-%d{separator}{time}")));
    patterns.into_iter().find(|pattern| {
        let read = ReadTime::try_from(pattern.clone()).ok();
        let read = read.map(|read| ValueType::new(TypeName::Date, Some(read), None));
        read.is_some_and(|read| read.write_cell(text, &mut Vec::new()).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_dates_have_a_pattern() {
        for (text, pattern) in [
            ("31/01/2024", Some("%d/%m/%Y")),
            ("01/31/2024", Some("%m/%d/%Y")),
            ("31.01.2024 09:30", Some("%d.%m.%Y %H:%M")),
            ("01/31/2024 09:30 PM", Some("%m/%d/%Y %I:%M %p")),
            ("2024-01-31 09:30:00 AM", Some("%Y-%m-%d %I:%M:%S %p")),
            ("2024-01-31 09:30:00 +0100", Some("%Y-%m-%d %H:%M:%S %z")),
            ("19-Feb-2020", Some("%d-%b-%Y")),
            ("January 2, 2024", Some("%B %d, %Y")),
            ("2-Jan-24", Some("%d-%b-%y")),
            ("Jan 2 2024", Some("%B %d %Y")),
            ("1704153600", Some("epoch")),
            ("1704153600000", Some("epoch_ms")),
            ("soon", None),
            ("12", None),
        ] {
            assert_eq!(likely_pattern(text.as_bytes(), None).as_deref(), pattern, "{text}");
        }
    }

    #[test]
    fn day_and_month_are_not_swapped() {
        for (given, pattern) in [
            (None, None),
            (Some("%m/%d/%Y"), Some("%m/%d/%Y %H:%M")),
            (Some("%d/%m/%Y"), Some("%d/%m/%Y %H:%M")),
            (Some("rfc3339"), None),
        ] {
            assert_eq!(likely_pattern(b"1/2/2024 0:00", given).as_deref(), pattern, "{given:?}");
        }
    }
}
