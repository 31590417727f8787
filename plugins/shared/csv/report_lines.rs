//! Lines that programs print around the rows of a result: a rule under the header, a count at the end.

/// The control character with which files of DOS end (Ctrl-Z).
pub(crate) const END_OF_TEXT: u8 = 0x1A;

/// Whether a row is the rule that sqlcmd and others draw under the header: dashes in every cell.
pub(crate) fn is_rule<'a>(cells: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut longest = 0;
    for cell in cells {
        let cell = cell.trim_ascii();
        if cell.is_empty() || !cell.iter().all(|&byte| byte == b'-') {
            return false;
        }
        longest = longest.max(cell.len());
    }
    longest >= 2
}

/// A longer line is not a count.
const MAX_COUNT: usize = 64;

/// Whether a line is the count that programs print behind the rows, such as `(2 rows affected)`.
pub(crate) fn is_count(line: &[u8]) -> bool {
    // Nearly all rows end here.
    let (true, [first, .., last]) = (line.len() <= MAX_COUNT, line.trim_ascii()) else { return false };
    if !matches!((first, last), (b'(', b')') | (b'0'..=b'9', b'd' | b'D' | b'.')) {
        return false;
    }
    let Ok(line) = std::str::from_utf8(line.trim_ascii()) else { return false };
    let inner = line.strip_prefix('(').and_then(|line| line.strip_suffix(')'));
    let words = |text: &str| without_number(text).map(|words| words.trim().to_ascii_lowercase());
    match inner {
        Some(inner) => {
            matches!(words(inner).as_deref(), Some("rows affected" | "row affected" | "rows" | "row"))
        }
        None => matches!(
            words(line.strip_suffix('.').unwrap_or(line)).as_deref(),
            Some("rows selected" | "row selected" | "record(s) selected" | "rows affected" | "row affected")
        ),
    }
}

/// What follows a whole number, whose digits may be in groups of three.
fn without_number(text: &str) -> Option<&str> {
    let n_digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let n_first = n_digits(text);
    let mut rest = &text[n_first..];
    if n_first == 0 {
        return None;
    }
    while n_first <= 3
        && let Some(group) = rest.strip_prefix([',', '.', '\'', ' ', '\u{a0}', '\u{202f}'])
        && n_digits(group) == 3
    {
        rest = &group[3..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_has_dashes_in_every_cell() {
        let rule = |cells: &[&str]| is_rule(cells.iter().map(|cell| cell.as_bytes()));
        assert!(rule(&["---", "-", "--------  "]));
        for cells in [&["-", "-"][..], &["---", ""], &["--", "1"], &["- -"], &["–––"]] {
            assert!(!rule(cells), "{cells:?}");
        }
    }

    #[test]
    fn count_line_is_known_by_its_words() {
        for line in [
            "(2 rows affected)",
            "(1 row affected)",
            "(120 rows)",
            "(1,234 rows affected)",
            "(1.234.567 rows)",
            "12,345 rows selected.",
            "14 rows selected.",
            "  3 record(s) selected. ",
        ] {
            assert!(is_count(line.as_bytes()), "{line}");
        }
        for line in [
            "2",
            "(2)",
            "rows affected",
            "(two rows)",
            "(1,23 rows)",
            "(1234,567 rows)",
            "",
            "2 rows sold",
            "(2 rows affected) x",
            "2020-01-01",
        ] {
            assert!(!is_count(line.as_bytes()), "{line}");
        }
    }
}
