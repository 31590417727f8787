//! The header: the row that names the columns.

use super::layout::{Dialect, Fault};
use super::scan::{cells, split};

/// What UTF-8 files of other systems begin with.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The names of the columns, out of the header row.
pub(crate) fn column_names(row: &[u8], quoted: bool, dialect: &Dialect) -> Result<Vec<String>, Fault> {
    let start_of = |index| cells(row, dialect.delimiter).nth(index).map_or(0, |cell| cell.start);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    split(row, dialect.delimiter, quoted, &mut bytes, &mut ends);
    let mut names: Vec<String> = Vec::with_capacity(ends.len());
    let mut start = 0;
    for (index, end) in ends.into_iter().enumerate() {
        let Ok(name) = std::str::from_utf8(&bytes[start..end as usize]) else {
            let message = format!("the name of column {} is not UTF-8; convert the file first", index + 1);
            return Err(Fault { at: start_of(index), message });
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
            return Err(Fault { at: start_of(index), message });
        }
        names.push(name.to_owned());
        start = end as usize;
    }
    Ok(names)
}

/// That a column has no name, as the index that pandas writes, or one behind a last delimiter.
pub(crate) fn nameless(names: &[String]) -> Option<String> {
    let index = names.iter().position(String::is_empty)?;
    Some(format!(
        "column {} of {} has no name, so its field in the records is called \"\"; give it a name in the header row, \
         or leave the column out (pandas: `index=False`)",
        index + 1,
        names.len()
    ))
}

/// That the columns are one, of a name in which another delimiter stands.
pub(crate) fn other_delimiter(names: &[String], delimiter: u8) -> Option<String> {
    let [name] = names else { return None };
    let other = b";\t|,".iter().find(|&&other| other != delimiter && name.as_bytes().contains(&other))?;
    let other = char::from(*other).escape_debug();
    Some(format!(
        "the header is one column, `{}`; if `{other}` stands between its cells, set delimiter = \"{other}\"",
        name.escape_debug()
    ))
}

/// Declared columns that the header does not name: a slip of the pen in the options.
pub(crate) fn undeclared<'a>(dialect: &'a Dialect, names: &[String]) -> Option<&'a str> {
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
    fn a_column_without_a_name_is_told_by_its_place() {
        assert_eq!(nameless(&names(&["a", "b"])), None);
        for (columns, place) in [(["", "a", "b"], "column 1 of 3"), (["a", "b", ""], "column 3 of 3")] {
            let told = nameless(&names(&columns)).unwrap();
            assert!(told.starts_with(place), "{told}");
        }
        let fault = column_names(b",a,", false, &Dialect::default()).unwrap_err();
        assert_eq!((fault.at, &fault.message[..29]), (3, "columns 1 and 3 have no name;"));
    }

    #[test]
    fn a_header_with_another_delimiter_in_it_is_told_of() {
        for (column, option) in [("a;b", "\";\""), ("a\tb", "\"\\t\""), ("a|b", "\"|\"")] {
            let told = other_delimiter(&names(&[column]), b',').unwrap();
            assert!(told.ends_with(&format!("set delimiter = {option}")), "{told}");
        }
        assert!(other_delimiter(&names(&["a,b"]), b';').unwrap().contains("`a,b`"));
        for (columns, delimiter) in [(&["a"][..], b','), (&["a;b", "c"], b','), (&["a;b"], b';')] {
            assert_eq!(other_delimiter(&names(columns), delimiter), None);
        }
    }
}
