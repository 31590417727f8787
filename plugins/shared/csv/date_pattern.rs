//! Guesses the strftime pattern of a date, for the advice in errors.

use std::sync::LazyLock;

use crate::shared::values::{ReadTime, TypeName, ValueType};

/// Forms of dates that people write, the likelier first.
const DATES: [&str; 12] = [
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%B %d, %Y",
];
const TIMES: [&str; 6] = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p"];

/// The pattern that reads a text; `None` if no usual one does.
pub(super) fn likely_pattern(text: &[u8]) -> Option<String> {
    let n_digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if n_digits == text.len() {
        return match n_digits {
            10 => Some("epoch".into()),
            13 => Some("epoch_ms".into()),
            _ => None,
        };
    }
    let reads = |(_, form): &&(String, ValueType)| form.write_cell(text, &mut Vec::new()).is_ok();
    PATTERNS.iter().find(reads).map(|(pattern, _)| pattern.clone())
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
            ("19-Feb-2020", Some("%d-%b-%Y")),
            ("January 2, 2024", Some("%B %d, %Y")),
            ("1704153600", Some("epoch")),
            ("1704153600000", Some("epoch_ms")),
            ("soon", None),
            ("12", None),
        ] {
            assert_eq!(likely_pattern(text.as_bytes()).as_deref(), pattern, "{text}");
        }
    }
}
