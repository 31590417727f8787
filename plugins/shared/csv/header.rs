//! The header: the row that names the columns.

use super::layout::{Dialect, RowError};
use super::scan::{cells, split};

/// Some systems begin UTF-8 files with this mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads the column names from the header row.
pub(crate) fn column_names(row: &[u8], quoted: bool, dialect: &Dialect) -> Result<Vec<String>, RowError> {
    let start_of = |index| cells(row, dialect.delimiter).nth(index).map_or(0, |cell| cell.start);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    split(row, dialect.delimiter, quoted, &mut bytes, &mut ends);
    let mut names: Vec<String> = Vec::with_capacity(ends.len());
    let mut start = 0;
    for (index, end) in ends.into_iter().enumerate() {
        let Ok(name) = std::str::from_utf8(&bytes[start..end as usize]) else {
            let message = format!("the name of column {} is not UTF-8; convert the file first", index + 1);
            return Err(RowError { at: start_of(index), message });
        };
        if let Some(first) = names.iter().position(|known| known == name) {
            let (one, other) = (first + 1, index + 1);
            let message = match name {
                "" => {
                    format!("columns {one} and {other} have no name; a record can have only one such field")
                }
                _ => format!(
                    "columns {one} and {other} are both called `{name}`; a record can have only one field of that name"
                ),
            };
            return Err(RowError { at: start_of(index), message });
        }
        names.push(name.to_owned());
        start = end as usize;
    }
    Ok(names)
}

/// A warning if a column has no name, as the index column of pandas or one after a trailing delimiter.
pub(crate) fn unnamed_column(names: &[String]) -> Option<String> {
    let index = names.iter().position(String::is_empty)?;
    Some(format!(
        "column {} of {} has no name, so its field in the records is called \"\"; give it a name in the header row, \
         or remove the column (pandas: `index=False`)",
        index + 1,
        names.len()
    ))
}

/// A warning if there is one column whose name contains another common delimiter.
pub(crate) fn likely_delimiter(names: &[String], delimiter: u8) -> Option<String> {
    let [name] = names else { return None };
    let other = b";\t|,".iter().find(|&&other| other != delimiter && name.as_bytes().contains(&other))?;
    let other = char::from(*other).escape_debug();
    Some(format!(
        "the header is one column, `{}`; if `{other}` separates its cells, set delimiter = \"{other}\"",
        name.escape_debug()
    ))
}

/// A column that `types` declares and the header does not have.
pub(crate) fn unknown_column<'a>(dialect: &'a Dialect, names: &[String]) -> Option<&'a str> {
    let declared = dialect.types.declared().iter().map(|(name, _)| name.as_str());
    declared.into_iter().find(|declared| !names.iter().any(|name| name == declared))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn unnamed_column_warning_names_its_index() {
        assert_eq!(unnamed_column(&names(&["a", "b"])), None);
        for (columns, place) in [(["", "a", "b"], "column 1 of 3"), (["a", "b", ""], "column 3 of 3")] {
            let warning = unnamed_column(&names(&columns)).unwrap();
            assert!(warning.starts_with(place), "{warning}");
        }
        let error = column_names(b",a,", false, &Dialect::default()).unwrap_err();
        assert_eq!((error.at, &error.message[..29]), (3, "columns 1 and 3 have no name;"));
    }

    #[test]
    fn header_with_another_delimiter_suggests_it() {
        for (column, option) in [("a;b", "\";\""), ("a\tb", "\"\\t\""), ("a|b", "\"|\"")] {
            let warning = likely_delimiter(&names(&[column]), b',').unwrap();
            assert!(warning.ends_with(&format!("set delimiter = {option}")), "{warning}");
        }
        assert!(likely_delimiter(&names(&["a,b"]), b';').unwrap().contains("`a,b`"));
        for (columns, delimiter) in [(&["a"][..], b','), (&["a;b", "c"], b','), (&["a;b"], b';')] {
            assert_eq!(likely_delimiter(&names(columns), delimiter), None);
        }
    }
}
