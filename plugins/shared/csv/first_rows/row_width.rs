//! Rows with more cells than the header: most likely another line is the header, or another delimiter is meant.

use super::row_hints::comment_mark;
use crate::shared::csv::dialect::Dialect;
use crate::shared::csv::header::{Header, RUNS_OF_BLANKS};
use crate::shared::csv::types::toml_string;

/// More widths than these do not count.
const MAX_WIDTHS: usize = 16;

/// The rows of a sample that have more cells than there are columns.
#[derive(Debug, Default)]
pub(crate) struct WidthCounts {
    n_rows: usize,
    /// For each width the first row and how many have it.
    widths: Vec<(WideRows, usize)>,
}

/// How wide most rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WideRows {
    /// How many cells they have.
    pub(crate) width: usize,
    /// The line of the first one.
    pub(crate) first_line: u64,
}

impl WidthCounts {
    /// Adds a row with so many cells, on a line.
    pub(crate) fn add(&mut self, width: usize, line: u64) {
        self.n_rows += 1;
        let n_widths = self.widths.len();
        match self.widths.iter_mut().find(|(rows, _)| rows.width == width) {
            Some((_, n_rows)) => *n_rows += 1,
            None if n_widths < MAX_WIDTHS => {
                self.widths.push((WideRows { width, first_line: line }, 1));
            }
            None => {}
        }
    }

    /// The width of most of `n_rows` rows.
    pub(crate) fn of_most(&self, n_rows: usize) -> Option<WideRows> {
        let most = self.widths.iter().max_by_key(|(_, n_rows)| *n_rows);
        most.filter(|_| self.n_rows > 1 && self.n_rows > n_rows / 2).map(|(rows, _)| *rows)
    }
}

/// A message about a file whose rows have more cells than its header.
pub(crate) fn wider_rows(header: &Header, rows: WideRows, dialect: &Dialect) -> String {
    let (names, width) = (&header.names, rows.width);
    let comment = names.first().and_then(|name| comment_mark(name)).unwrap_or_else(|| "#".into());
    let what = if dialect.has_header { "the header row" } else { "`columns`" };
    let n_names = names.len();
    if dialect.drops_extra_cells {
        return format!(
            "{what} has {n_names} names, and most rows have {width} cells or so, the last of which are ignored \
             (`extra_cells`)"
        );
    }
    if dialect.grammar.delimiter == b' ' && width > n_names + 1 {
        return format!(
            "{what} has {n_names} names, and most rows have {width} cells or so. {RUNS_OF_BLANKS}"
        );
    }
    if !dialect.has_header {
        return format!(
            "{what} has {n_names} names, and most rows have {width} cells or so; name all columns"
        );
    }
    // The header has most likely as many cells as most rows.
    let n_lines = rows.first_line.saturating_sub(1).max(header.line);
    let is_in_a_name = |other: &char| names.iter().any(|name| name.contains(*other));
    let rare = if n_names == 1 { &['\u{1}', '\u{1f}', '~', '^'][..] } else { &[] };
    if let Some(other) =
        dialect.other_delimiters().map(char::from).chain(rare.iter().copied()).find(is_in_a_name)
    {
        let quoted = toml_string(other.encode_utf8(&mut [0; 4]));
        let other = other.escape_debug();
        let decimal = if dialect.grammar.delimiter == b',' {
            ", and decimal = \",\" if numbers have a decimal comma"
        } else {
            ""
        };
        return format!(
            "the header row has {n_names} cells, and most rows have {width} or so; a name in it contains `{other}`: if that \
             separates the cells, set delimiter = {quoted}{decimal}. If the line is not the header, set \
             skip_lines = {n_lines} to ignore the lines before the header"
        );
    }
    let unnamed = if n_names + 1 == width {
        format!(
            ". If it has no name for the first column, as of R, set skip_lines = {}, header = false and name the columns \
             with `columns`",
            header.line
        )
    } else {
        String::new()
    };
    format!(
        "the header row has {n_names} cells, and most rows have {width} or so: is this line the header? If not, set \
         skip_lines = {n_lines} to ignore the lines before the header, or comment = {} to ignore lines that begin \
         with `{comment}`. If it is, extra_cells = \"drop\" ignores what is behind the last column{unnamed}",
        toml_string(&comment)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::csv::rows::Grammar;

    fn message(names: &[&str], dialect: &Dialect) -> String {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let header = Header { names, line: 1, ..Header::default() };
        wider_rows(&header, WideRows { width: 3, first_line: 5 }, dialect)
    }

    #[test]
    fn wider_rows_advise_no_option_that_is_set() {
        let drops = Dialect { drops_extra_cells: true, ..Dialect::default() };
        let message_drops = message(&["a"], &drops);
        assert!(
            !message_drops.contains("extra_cells = \"drop\"")
                && message_drops.contains("ignored (`extra_cells`)"),
            "{message_drops}"
        );
        let plain = message(&["a"], &Dialect::default());
        assert!(plain.contains("skip_lines = 4") && plain.contains("extra_cells = \"drop\""), "{plain}");
        assert!(!plain.contains("of R"), "{plain}");
        let of_r = message(&["mpg", "cyl"], &Dialect::default());
        assert!(of_r.contains("skip_lines = 1, header = false and name the columns"), "{of_r}");
        let blanks = Dialect { grammar: Grammar::plain(b' '), ..Dialect::default() };
        assert!(message(&["y"], &blanks).contains("runs of blanks"));
        let other = message(&["Index;Close"], &Dialect::default());
        assert!(other.contains("delimiter = \";\"") && other.contains("decimal = \",\""), "{other}");
        assert!(!other.contains("extra_cells"), "{other}");
    }

    #[test]
    fn advice_is_toml_whatever_the_header_begins_with() {
        for (name, part) in [
            ("\0a", "comment = \"#\""),
            ("// made today", "comment = \"//\""),
            ("*note", "comment = \"*\""),
            ("a\u{1}b", "delimiter = \"\\u0001\""),
        ] {
            let message = message(&[name], &Dialect::default());
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn width_of_most_rows_is_that_of_the_header() {
        let mut counts = WidthCounts::default();
        for (width, line) in [(2, 2), (3, 4), (3, 5), (3, 6)] {
            counts.add(width, line);
        }
        assert_eq!(counts.of_most(5), Some(WideRows { width: 3, first_line: 4 }));
        assert_eq!(counts.of_most(8), None);
    }
}
