//! Lines that programs print around the rows of a result: the delimiter before them, dashes under the header, a
//! count at the end.

use crate::shared::csv::dialect::Dialect;
use crate::shared::csv::rows::{Grammar, RowError, first_line_end};
use crate::shared::csv::types::toml_string;

/// The control character with which files of DOS end (Ctrl-Z).
pub(crate) const END_OF_TEXT: u8 = 0x1A;

/// The delimiter that the first line of a text names for Excel: `sep=;`.
pub(crate) fn sep_line_delimiter(text: &[u8]) -> Option<u8> {
    let line = &text[..first_line_end(text, 0).unwrap_or(text.len())];
    let inner = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    match inner.unwrap_or(line) {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter]
            if delimiter.is_ascii_punctuation() || matches!(delimiter, b'\t' | b' ') =>
        {
            Some(*delimiter)
        }
        _ => None,
    }
}

/// Fails if the first line of a text names another delimiter than the options.
pub(crate) fn check_sep_line(named: u8, dialect: &Dialect) -> Result<(), RowError> {
    if named == dialect.grammar.delimiter {
        return Ok(());
    }
    let named = toml_string(char::from(named).encode_utf8(&mut [0; 4]));
    let message = format!(
        "this line says that {named} separates the cells, as Excel reads it; set delimiter = {named}, then the line is \
         skipped, or skip_lines = 1 to ignore it"
    );
    Err(RowError::new(0, message))
}

/// Whether a line of dashes shows columns of a fixed width that no delimiter separates: `--- --------`.
pub(crate) fn is_fixed_width_underline(row: &[u8]) -> bool {
    let row = row.trim_ascii();
    let is_drawn = row.iter().all(|byte| matches!(byte, b'-' | b' '));
    is_drawn && row.starts_with(b"-") && row.windows(2).any(|pair| pair == b"--") && row.contains(&b' ')
}

/// Whether a line is the border of a table or a row that a program has drawn for people: `+----+----+`.
pub(crate) fn is_table_border(line: &[u8]) -> bool {
    let is_drawn = line.starts_with(b"\xE2\x94") || line.starts_with(b"\xE2\x95");
    // One cell on each line, as `mysql -E` and `psql -x` write rows.
    let is_expanded = line.starts_with(b"-[ RECORD ")
        || line.starts_with(b"****") && memchr::memmem::find(line, b"1. row ****").is_some();
    let is_line = matches!(line.trim_ascii(), [b'+', b'-' | b'=', .., b'+'])
        && line.iter().all(|byte| matches!(byte, b'+' | b'-' | b'=' | b' '));
    is_drawn || is_expanded || is_line
}

/// Whether a row is the line that sqlcmd, psql and others draw under the header: dashes in every cell, or with `+`
/// where columns meet.
fn is_underline(row: &[u8], grammar: &Grammar) -> bool {
    // The last one is that of Markdown.
    let is_crossed = match row.trim_ascii() {
        [b'-', inner @ .., b'-'] => {
            inner.contains(&b'+') && inner.iter().all(|byte| matches!(byte, b'-' | b'+'))
        }
        [b'|', inner @ .., b'|'] => {
            inner.windows(2).any(|pair| pair == b"--")
                && inner.iter().all(|byte| matches!(byte, b'-' | b'|' | b':' | b' '))
        }
        _ => false,
    };
    is_crossed || has_dashes_only(grammar.cells(row).map(|cell| &row[cell]))
}

/// Whether the line under a header with these names underlines it, and is not a row: a row may consist of texts for null,
/// and in a file of one column the line is as long as the name.
pub(crate) fn is_underline_of(names: &[String], row: &[u8], dialect: &Dialect) -> bool {
    let grammar = &dialect.grammar;
    let is_short = || matches!(names, [name] if row.trim_ascii().len() < name.chars().count());
    let is_null = || grammar.cells(row).all(|cell| dialect.is_null(grammar.trimmed(&row[cell])));
    is_underline(row, grammar) && !is_short() && !is_null()
}

fn has_dashes_only<'a>(cells: impl Iterator<Item = &'a [u8]>) -> bool {
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
pub(crate) fn is_row_count(line: &[u8]) -> bool {
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
        let rule = |cells: &[&str]| has_dashes_only(cells.iter().map(|cell| cell.as_bytes()));
        assert!(rule(&["---", "-", "--------  "]));
        for cells in [&["-", "-"][..], &["---", ""], &["--", "1"], &["- -"], &["–––"]] {
            assert!(!rule(cells), "{cells:?}");
        }
    }

    #[test]
    fn rule_may_have_crosses_where_columns_meet() {
        let grammar = Grammar::plain(b'|');
        assert!(is_underline(b"----+------", &grammar) && is_underline(b"---|---", &grammar));
        assert!(is_underline(b"| --- |:---:|", &Grammar::default()));
        for line in ["+---+", "-1+-2", "a-+-b", "-", "|-|1|", "||"] {
            assert!(!is_underline(line.as_bytes(), &grammar), "{line}");
        }
    }

    #[test]
    fn row_of_texts_for_null_is_not_a_rule() {
        let is_underline = |names: &[&str], row: &str, nulls: &[&str]| {
            let nulls = nulls.iter().map(|&null| null.into()).collect();
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            is_underline_of(&names, row.as_bytes(), &Dialect { null_values: nulls, ..Dialect::default() })
        };
        assert!(is_underline(&["value"], "-----", &[""]) && is_underline(&["a", "b"], "--,---", &["--"]));
        assert!(is_underline(&["id"], "--", &[""]) && is_underline(&["a", "value"], "-,--", &[""]));
        assert!(!is_underline(&["id"], "--", &["", "--"]) && !is_underline(&["a", "b"], "--,--", &["--"]));
        assert!(!is_underline(&["value"], "--", &[""]), "it is shorter than the name");
    }

    #[test]
    fn rule_of_columns_of_fixed_width_has_blanks() {
        assert!(is_fixed_width_underline(b"--- -------- -") && is_fixed_width_underline(b" -- --  "));
        for line in ["----", "- -", "-- x --", "--\t--", "", "  "] {
            assert!(!is_fixed_width_underline(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn border_is_a_line_without_text() {
        for line in [
            "+----+-----+",
            "+===+",
            "-[ RECORD 1 ]---",
            "****** 1. row ******",
            "\u{250c}\u{2500}\u{2510}",
            "\u{2554}\u{2550}",
        ] {
            assert!(is_table_border(line.as_bytes()), "{line}");
        }
        for line in ["+", "++", "+1,+2", "+49-30-1+", "----+----", "a", ""] {
            assert!(!is_table_border(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn first_line_may_name_the_delimiter() {
        for (text, delimiter) in [
            ("sep=;\na;b\n", Some(b';')),
            ("\"sep=,\"\r\na\n", Some(b',')),
            ("SEP=\t", Some(b'\t')),
            ("sep=;;\n", None),
            ("sep=a\n", None),
            ("sep\n=;", None),
            ("sepal=;\n", None),
        ] {
            assert_eq!(sep_line_delimiter(text.as_bytes()), delimiter, "{text:?}");
        }
        assert!(check_sep_line(b',', &Dialect::default()).is_ok());
        let error = check_sep_line(b'\t', &Dialect::default()).unwrap_err();
        assert!(error.message.contains(r#"set delimiter = "\t""#), "{}", error.message);
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
            assert!(is_row_count(line.as_bytes()), "{line}");
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
            assert!(!is_row_count(line.as_bytes()), "{line}");
        }
    }
}
