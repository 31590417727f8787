//! The header: the row that names the columns.

use super::non_row_lines::is_table_border;
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::rows::RowError;
use crate::shared::csv::types::is_like_a_value;
use std::collections::HashMap;

/// Some systems begin UTF-8 files with this mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What to do about columns that are aligned with blanks.
pub(crate) const RUNS_OF_BLANKS: &str = "If several blanks stand between two cells, read each line as one cell and split it \
                                         at runs of blanks in a `remap`, as docs/shaping.md shows";

/// More columns are most likely a file of another kind.
const MAX_COLUMNS: usize = 65_536;

/// Reads the column names from the header row; the option `columns` takes precedence.
pub(crate) fn column_names(row: &[u8], quoted: bool, dialect: &Dialect) -> Result<Vec<String>, RowError> {
    if is_table_border(row) {
        let message = "this line is the border of a table or a row that a program has drawn for people; write the rows without \
                       borders: `mysql --batch` separates the cells by tabs (delimiter = \"\\t\"), `psql --csv`, `sqlite3 \
                       -csv` and `duckdb -csv` write CSV";
        return Err(RowError::new(0, message.into()));
    }
    let start_of = |index| dialect.grammar.cells(row).nth(index).map_or(0, |cell| cell.start);
    let mut texts = CellTexts::default();
    texts.read(row, quoted, dialect);
    let n_named = match texts.get(texts.len() - 1) {
        // A delimiter at the end of the header is one too many, as in the rows.
        Some(last) if dialect.drops_extra_cells && last.is_empty() && texts.len() > 1 => texts.len() - 1,
        _ => texts.len(),
    };
    if n_named > MAX_COLUMNS {
        let message = format!(
            "the header row has {n_named} cells, and a file can have at most {MAX_COLUMNS} columns; check `delimiter`"
        );
        return Err(RowError::new(start_of(MAX_COLUMNS), message));
    }
    if !dialect.columns.is_empty() {
        let n_columns = dialect.columns.len();
        if n_named < n_columns || n_named > n_columns && !dialect.drops_extra_cells {
            let message = format!(
                "the header row has {n_named} cells, and `columns` has {n_columns} names; if the line is not the header, or \
                 lacks a name, skip it with `skip_lines` and set header = false"
            );
            return Err(RowError::new(0, message));
        }
        return Ok(dialect.columns.clone());
    }
    let mut known: HashMap<&str, usize> = HashMap::with_capacity(n_named);
    let mut names = Vec::with_capacity(n_named);
    for (index, bytes) in texts.iter().take(n_named).enumerate() {
        let Ok(name) = std::str::from_utf8(bytes) else {
            let message = format!(
                "the name of column {} is not {}; {}",
                index + 1,
                dialect.encoding,
                encoding_advice(dialect)
            );
            return Err(RowError::new(start_of(index), message));
        };
        if let Some(first) = known.insert(name, index) {
            let (one, other) = (first + 1, index + 1);
            let what = match name {
                "" => format!("columns {one} and {other} have no name"),
                _ => format!("columns {one} and {other} are both called `{name}`"),
            };
            let other = match name {
                "" if dialect.grammar.delimiter == b' ' => RUNS_OF_BLANKS,
                "" => "If this line is a title, set `skip_lines` to ignore the lines before the header",
                _ if is_like_a_value(name) => {
                    "If this line is a row, and the file has no header, set header = false as well"
                }
                _ => "",
            };
            let separator = if other.is_empty() { "" } else { ". " };
            let message = format!(
                "{what}; a record can have only one field of that name: name the columns in the pipeline file, \
                 columns = [\"…\", …] with {n_named} names{separator}{other}"
            );
            return Err(RowError::new(start_of(index), message));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// What to do about text that is not in the expected encoding.
pub(crate) fn encoding_advice(dialect: &Dialect) -> &'static str {
    match (dialect.encoding, dialect.prefix) {
        ("UTF-8", "") => {
            "set `encoding`, such as encoding = \"windows-1252\", or convert the file with `iconv -t UTF-8`"
        }
        ("UTF-8", _) => "set `encoding`, such as encoding = \"windows-1252\"",
        _ => "check `encoding`",
    }
}

/// A column that `types` declares and the header does not have.
pub(crate) fn unknown_column<'a>(dialect: &'a Dialect, names: &[String]) -> Option<&'a str> {
    let declared = dialect.types.declared().iter().map(|declared| declared.name.as_str());
    declared.into_iter().find(|declared| !names.iter().any(|name| name == declared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::csv::rows::Grammar;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn header_error_names_the_fix() {
        let named = Dialect { columns: names(&["name", "home", "work"]), ..Dialect::default() };
        let blanks = Dialect { grammar: Grammar::plain(b' '), ..Dialect::default() };
        for (header, dialect, at, start, part) in [
            ("  mpg cyl", blanks, 1, "columns 1 and 2 have no name;", "runs of blanks"),
            (",a,", Dialect::default(), 3, "columns 1 and 3 have no name;", "set `skip_lines`"),
            (
                "x,1.5,1.5",
                Dialect::default(),
                6,
                "columns 2 and 3 are both called `1.5`",
                "set header = false",
            ),
            ("+----+-------+", Dialect::default(), 0, "this line is the border", "`mysql --batch`"),
            (
                "Name,Address",
                named,
                0,
                "the header row has 2 cells, and `columns` has 3 names",
                "header = false",
            ),
        ] {
            let error = column_names(header.as_bytes(), false, &dialect).unwrap_err();
            let RowError { message, .. } = &error;
            assert!(message.starts_with(start) && message.contains(part), "{message}");
            assert_eq!(error.at, at, "{message}");
        }
    }

    #[test]
    fn header_of_too_many_columns_is_refused_in_linear_time() {
        let header = |n_columns: usize| {
            let names: Vec<String> = (0..n_columns).map(|n| format!("{n:x}")).collect();
            column_names(names.join(",").as_bytes(), false, &Dialect::default())
        };
        assert_eq!(header(MAX_COLUMNS).unwrap().len(), MAX_COLUMNS);
        let error = header(2_000_000).unwrap_err();
        assert!(
            error.message.starts_with("the header row has 2000000 cells, and a file can have at most 65536")
        );
    }

    #[test]
    fn names_are_those_of_the_options_or_of_the_header() {
        let dialect = Dialect { columns: names(&["name", "home", "work"]), ..Dialect::default() };
        assert_eq!(column_names(b"Name,Address,Address", false, &dialect).unwrap(), dialect.columns);
        let drops = Dialect { drops_extra_cells: true, ..Dialect::default() };
        assert_eq!(column_names(b"a,b,", false, &drops).unwrap(), ["a", "b"]);
        assert_eq!(column_names(b"a,b,", false, &Dialect::default()).unwrap(), ["a", "b", ""]);
    }
}
