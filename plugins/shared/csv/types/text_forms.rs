//! Texts that look like a value, a date or a missing value rather than a name.

/// Whether programs write this where they have no value, or none that is a finite number.
pub(crate) fn stands_for_null(text: &[u8]) -> bool {
    const NULLS: [&str; 31] = [
        "",
        "null",
        "(null)",
        "none",
        "nil",
        "na",
        "n/a",
        "n.a.",
        "<na>",
        "unknown",
        "-",
        "--",
        "–",
        "—",
        "?",
        ".",
        "..",
        ":",
        "\\N",
        "nan",
        "inf",
        "-inf",
        "infinity",
        "-infinity",
        "#n/a",
        "#null!",
        "#div/0!",
        "#value!",
        "#ref!",
        "#name?",
        "#num!",
    ];
    NULLS.iter().any(|null| text.eq_ignore_ascii_case(null.as_bytes()))
}

/// Whether a text is more likely a value than a name: it has more digits than letters, as `007`, `$1.50` or `12%`.
pub(crate) fn is_like_a_value(text: &str) -> bool {
    let n_digits = text.bytes().filter(u8::is_ascii_digit).count();
    let n_letters = text.chars().filter(|char| char.is_alphabetic()).count();
    let first = text.chars().find(|char| !matches!(char, '$' | '€' | '£' | '¥' | '-' | '+' | ' ' | '.'));
    n_digits > n_letters && first.is_some_and(|first| first.is_ascii_digit()) || text.contains('@')
}

/// Whether a text has the form of a date or a time of day: digits, with separators between them.
pub(crate) fn is_like_a_date(text: &str) -> bool {
    let n_digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_separator = |byte: u8| matches!(byte, b'-' | b'/' | b'.' | b':' | b' ' | b'T' | b'Z' | b'+');
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || is_separator(byte));
    let starts_and_ends = text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit() || last == 'Z');
    is_whole && starts_and_ends && n_digits >= 4 && text.len() > n_digits && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_has_more_digits_than_letters() {
        for text in ["007", "$1.50", "-€ 5", "12%", "5kg12", "x@example.com"] {
            assert!(is_like_a_value(text), "{text}");
        }
        for text in ["52W H", "2nd quarter", "Q1", "A7", "Price (EUR)", "", "%", "x1", "P/E 2024"] {
            assert!(!is_like_a_value(text), "{text}");
        }
    }

    #[test]
    fn date_is_known_by_its_form() {
        for text in
            ["2024-01-31", "31/01/2024", "1.2.24", "2024-01-31T09:30:00Z", "09:30:00", "2024-01-31 09:30"]
        {
            assert!(is_like_a_date(text), "{text}");
        }
        for text in ["2024", "T", "Q1-2024", "-2024", "1.5", "A-1", "12-", "52W H"] {
            assert!(!is_like_a_date(text), "{text}");
        }
    }
}
