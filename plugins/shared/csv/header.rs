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
            let message = format!(
                "columns {} and {} are both called `{name}`; a record can have only one field of that name",
                first + 1,
                index + 1
            );
            return Err(Fault { at: start_of(index), message });
        }
        names.push(name.to_owned());
        start = end as usize;
    }
    Ok(names)
}

/// Declared columns that the header does not name: a slip of the pen in the options.
pub(crate) fn undeclared<'a>(dialect: &'a Dialect, names: &[String]) -> Option<&'a str> {
    let declared = dialect.types.declared().iter().map(|(name, _)| name.as_str());
    declared.into_iter().find(|declared| !names.iter().any(|name| name == declared))
}
