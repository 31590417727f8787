//! What is unusual about a header, and about the rows under it.

use std::cmp::Reverse;

use runner_core::ColumnType;

use super::inference::{Inference, SampledColumn};
use super::option_hints::OptionHints;
use super::row_hints::COMMENTS;
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::header::Header;
use crate::shared::csv::types::{is_like_a_date, is_like_a_value, narrowest, toml_string, without_blanks};

impl Header {
    /// Warnings about the header alone.
    pub(crate) fn warnings(&self, dialect: &Dialect) -> Vec<String> {
        if self.raw.is_empty() {
            return Vec::new();
        }
        let mut warnings = Vec::new();
        warnings.extend(self.comment(dialect));
        if dialect.columns.is_empty() {
            warnings.extend(unnamed_column(&self.names));
            warnings.extend(self.likely_delimiter(dialect));
            if warnings.is_empty() {
                warnings.extend(self.blanks(dialect));
            }
        }
        warnings
    }

    /// The line may be a comment.
    fn comment(&self, dialect: &Dialect) -> Option<String> {
        let written = self.raw.trim_ascii_start();
        let comment = COMMENTS.into_iter().find(|comment| written.starts_with(comment.as_bytes()))?;
        // A column may be called `#`.
        let is_name = written[comment.len()..].first().is_none_or(|&next| next == dialect.grammar.delimiter);
        if dialect.grammar.comment.is_some() || is_name {
            return None;
        }
        Some(format!(
            "the header begins with `{comment}`: if this line is a comment, set comment = \"{comment}\" to ignore lines \
             that begin so, or skip_lines = {} to ignore the lines before the header",
            self.line
        ))
    }

    /// Another delimiter may be meant.
    fn likely_delimiter(&self, dialect: &Dialect) -> Option<String> {
        let n_own = self.names.len() - 1;
        let count = |other| match &*self.names {
            [name] => name.bytes().filter(|&byte| byte == other).count(),
            _ => count_unquoted(&self.raw, other),
        };
        let counts = dialect.other_delimiters().map(|other| (count(other), other));
        let (n_other, other) = counts.min_by_key(|&(count, _)| Reverse(count))?;
        if n_other <= n_own {
            return None;
        }
        let other = char::from(other).escape_debug();
        let what = match &*self.names {
            [name] => format!("the header is one column, `{}`", name.escape_debug()),
            names => format!("the header has {} columns, and `{other}` {n_other} times", names.len()),
        };
        Some(format!("{what}; if `{other}` separates its cells, set delimiter = \"{other}\""))
    }

    /// Names may have blanks by accident.
    fn blanks(&self, dialect: &Dialect) -> Option<String> {
        let mut with_blanks =
            self.names.iter().filter(|name| name.trim() != name.as_str() && !name.is_empty());
        let first = with_blanks.next().filter(|_| !dialect.grammar.trim)?;
        Some(format!(
            "the name of column `{}`{} begins or ends with a blank; trim = true removes blanks around names and cells",
            first.escape_debug(),
            and_others(with_blanks.count()),
        ))
    }

    /// What the first rows say about the header and the options, with the line it is about.
    pub(crate) fn warnings_about_rows(&self, rows: &Inference) -> Vec<(Option<u64>, String)> {
        let dialect = &*rows.dialect;
        let mut warnings = Vec::new();
        let first_row = rows.first_row.map(|row| row.line);
        if !self.raw.is_empty() && self.is_like_a_row(rows, dialect) {
            let advice = match &*dialect.columns {
                [] => format!("header = false and name the {} columns with `columns`", self.names.len()),
                _ => "header = false: `columns` names the columns in any case, and this line is read".into(),
            };
            let message = format!(
                "this line is taken for the header, and its cells look like those of a row; if the file has no header, \
                 set {advice}"
            );
            warnings.push((Some(self.line), message));
        }
        if let Some(column) = rows.column_with_a_text_in_the_first_row() {
            let name = self.names[column].escape_debug();
            let before = first_row.map_or(self.line, |line| line.saturating_sub(1));
            let advice = if self.raw.is_empty() {
                "If this line is the header, set header = true".to_owned()
            } else {
                format!(
                    "If this line is the header, set skip_lines = {before}; if it has the units, set skip_lines = \
                     {before} and name the columns with `columns`"
                )
            };
            let message = format!(
                "this row has a text in columns whose other cells are not text, such as `{name}`, so they are read as \
                 text. {advice}; if the text stands for null, add it to `null_values`"
            );
            warnings.push((first_row, message));
        }
        if dialect.columns.is_empty() && self.likely_delimiter(dialect).is_none() {
            warnings.extend(self.delimiter_of_rows(rows, dialect).map(|warning| (None, warning)));
        }
        let of_rows = rows.row_hints.comment_warning().into_iter().chain(rows.row_hints.nul_warning());
        warnings.extend(of_rows.map(|(line, warning)| (Some(line), warning)));
        let of_cells = rows.row_hints.escape_warning().into_iter().chain(rows.row_hints.blanks_warning());
        warnings.extend(of_cells.map(|warning| (None, warning)));
        warnings
    }

    /// A delimiter in the name of a column and in all its cells.
    fn delimiter_of_rows(&self, rows: &Inference, dialect: &Dialect) -> Option<String> {
        if let [name] = &*self.names
            && let Some(delimiter) = rows.row_hints.delimiter()
        {
            let delimiter = toml_string(char::from(delimiter).encode_utf8(&mut [0; 4]));
            return Some(format!(
                "the header is one column, `{}`, and every row has as many {delimiter} as it has; if that separates cells, \
                 set delimiter = {delimiter}",
                name.escape_debug()
            ));
        }
        let has_it = |index: usize, name: &str, delimiter| {
            name.as_bytes().contains(&delimiter)
                && rows.columns[index].inferred().is_some()
                && rows.columns[index].hints.has_delimiter(delimiter)
        };
        let (name, delimiter) = self.names.iter().enumerate().find_map(|(index, name)| {
            dialect.other_delimiters().find(|&other| has_it(index, name, other)).map(|other| (name, other))
        })?;
        let delimiter = char::from(delimiter).escape_debug();
        Some(format!(
            "column `{}` and all its cells contain `{delimiter}`; if it separates cells, set delimiter = \"{delimiter}\"",
            name.escape_debug()
        ))
    }

    /// Whether the header is most likely the first row of a file without one: it has values, and no text over a
    /// column without text.
    fn is_like_a_row(&self, rows: &Inference, dialect: &Dialect) -> bool {
        let mut cells = CellTexts::default();
        cells.read(&self.raw, true, dialect);
        let (mut integers, mut n_dates, mut has_value) = (Vec::new(), 0, false);
        for index in 0..cells.len().min(self.names.len()) {
            let text = without_blanks(cells.get(index).unwrap_or_default());
            if text.is_empty() {
                // pandas leaves out the first name, and rows may end with a delimiter.
                has_value |= index > 0 && index + 1 < cells.len() && !dialect.columns.is_empty();
                continue;
            }
            let kind = narrowest(text, dialect.numbers, &mut Vec::new());
            let text = String::from_utf8_lossy(text);
            let is_date = is_like_a_date(&text);
            match kind {
                ColumnType::Integer => integers.push(text.parse::<i64>().unwrap_or(i64::MAX)),
                ColumnType::Float | ColumnType::Boolean => has_value = true,
                ColumnType::String if is_date => n_dates += 1,
                ColumnType::String => {
                    let hints = OptionHints::of(text.as_bytes(), kind, dialect, &mut Vec::new());
                    let is_number = hints.number_options(dialect.numbers).is_some()
                        || !dialect.columns.is_empty() && is_like_a_value(&text);
                    has_value |= is_number;
                    if !is_number
                        && !matches!(
                            rows.columns.get(index).and_then(SampledColumn::inferred),
                            None | Some(ColumnType::String)
                        )
                    {
                        return false;
                    }
                }
            }
        }
        if !dialect.columns.is_empty() {
            return has_value || n_dates > 0 || !integers.is_empty();
        }
        // Years, dates and numbers in order may be names.
        let is_sequence = match *integers {
            [] => true,
            [one] => one == 0 || (1800..2200).contains(&one),
            _ => integers.is_sorted_by(|one, next| one < next),
        };
        has_value || (1..=2).contains(&n_dates) || !is_sequence
    }
}

pub(super) fn and_others(n_others: usize) -> String {
    match n_others {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    }
}

/// How often a byte occurs outside double quotes.
fn count_unquoted(bytes: &[u8], byte: u8) -> usize {
    let mut is_quoted = false;
    let is_counted = |&&other: &&u8| {
        is_quoted ^= other == b'"';
        other == byte && !is_quoted
    };
    bytes.iter().filter(is_counted).count()
}

/// A warning if a column has no name, as the index column of pandas or one after a trailing delimiter.
pub(crate) fn unnamed_column(names: &[String]) -> Option<String> {
    let index = names.iter().position(String::is_empty)?;
    let is_last = index > 0 && index + 1 == names.len();
    let advice = if is_last {
        "if the rows also end with a delimiter, set extra_cells = \"drop\""
    } else {
        "give it a name in the header row, or name all columns with `columns` (pandas: `index=False` omits it)"
    };
    Some(format!(
        "column {} of {} has no name, so its field in the records is called \"\"; {advice}",
        index + 1,
        names.len()
    ))
}

#[cfg(test)]
mod tests;
