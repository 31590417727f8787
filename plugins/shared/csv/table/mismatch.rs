//! Why a row does not match its layout, and which option helps. The messages contain no value of the row.

use runner_core::{Column, ColumnType};

use super::date_pattern::{likely_pattern, with_time_of_day};
use super::layout::RowLayout;
use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::first_rows::{OptionHints, comment_mark};
use crate::shared::csv::header::encoding_advice;
use crate::shared::csv::rows::{Grammar, RowError};
use crate::shared::csv::types::{
    DeclaredColumn, Number, converted, narrowest, stands_for_null, toml_string, type_name, without_blanks,
};
use crate::shared::values::{TypeName, ValueType};

impl RowLayout {
    /// The row has another number of cells than its file has columns.
    pub(crate) fn wrong_width(&self, row: &[u8], texts: &CellTexts) -> RowError {
        let (n_cells, n_columns) = (texts.len(), self.n_cells());
        let grammar = &self.dialect().grammar;
        let delimiter = char::from(grammar.delimiter).escape_debug();
        let surplus = grammar.cells(row).nth(n_columns);
        let (what, advice) = match &surplus {
            Some(_) if texts.has_text_from(n_columns) => {
                ("too many", format!("remove the extra cells, or quote a cell that contains `{delimiter}`"))
            }
            Some(_) => (
                "too many",
                format!(
                    "the row ends with `{delimiter}`, and the header does not: set extra_cells = \"drop\" to ignore it"
                ),
            ),
            None => (
                "too few",
                "add the missing cells, which may be empty, or set missing_cells = \"null\"".into(),
            ),
        };
        let advice = match self.likely_cause(row, texts) {
            Some(cause) => format!("{cause}. Else {advice}"),
            None => advice,
        };
        RowError::new(
            surplus.map_or(row.len(), |cell| cell.start),
            format!("{what} cells: the row has {n_cells}, the file has {n_columns} columns; {advice}"),
        )
    }

    /// What a row of another width may be, and the option for it.
    fn likely_cause(&self, row: &[u8], texts: &CellTexts) -> Option<String> {
        let grammar = &self.dialect().grammar;
        let start = row.trim_ascii_start();
        let first = char::from(*start.first()?);
        if row.contains(&0) {
            return Some(
                "it has NUL bytes, as a file has them after a power failure; `tr -d '\\0'` removes them"
                    .into(),
            );
        }
        let begins_with_a_sign = matches!(first, '+' | '-' | '.')
            && start.get(1).is_some_and(|next| next.is_ascii_digit() || *next == b'.');
        let is_value = first.is_alphanumeric() || !first.is_ascii() || begins_with_a_sign;
        let has_other_meaning = start[0] == grammar.delimiter || matches!(first, '"' | '\'' | '\\');
        if !is_value && !has_other_meaning && grammar.comment.is_none() {
            let mark = comment_mark(&String::from_utf8_lossy(start)).unwrap_or_else(|| first.into());
            let (quoted, first) = (toml_string(&mark), mark.escape_debug());
            return Some(format!(
                "if this line is a comment or a note, and not a row, set comment = {quoted} to ignore lines that begin \
                 with `{first}`"
            ));
        }
        if grammar.cells(row).any(|cell| grammar.has_blanks_before_quote(&row[cell])) {
            return Some("if the blanks before a quote have no meaning, set trim = true".into());
        }
        let n_columns = self.n_cells();
        if texts.len() > n_columns && grammar.quote != Some(b'\'') && has_split_quotes(row, grammar) {
            return Some("if cells are in single quotes, set quote = \"'\"".into());
        }
        let is_escaped =
            memchr::memmem::find(row, &[b'\\', grammar.delimiter]).is_some() || row.ends_with(b"\\");
        if is_escaped && grammar.escape.is_none() {
            return Some(
                "if `\\` takes the meaning from the delimiter or the line end behind it, set escape = \"\\\\\"".into(),
            );
        }
        let count = |other| memchr::memchr_iter(other, row).count();
        let other = self.dialect().other_delimiters().find(|&other| {
            let n_others = count(other);
            n_others > 0
                && (n_others + 1 == n_columns || texts.len() == 1 || n_others >= texts.len() && n_others > 1)
        })?;
        let other = char::from(other).escape_debug();
        let header = if self.dialect().has_header && n_columns > 1 {
            ". If the header alone has another one, skip it with `skip_lines`, set header = false and name the columns \
             with `columns`"
        } else {
            ""
        };
        Some(format!("if `{other}` separates the cells of this row, set delimiter = \"{other}\"{header}"))
    }

    /// The row has bytes that are not UTF-8.
    pub(crate) fn not_utf8(&self, row: &[u8]) -> RowError {
        let dialect = self.dialect();
        let bad = dialect
            .grammar
            .cells(row)
            .enumerate()
            .find_map(|(index, cell)| Some((index, cell.start, std::str::from_utf8(&row[cell]).err()?)));
        let (index, at, n_valid) =
            bad.map_or((0, 0, 0), |(index, at, error)| (index, at, error.valid_up_to()));
        let column = match self.column_of_cell(index) {
            Some(column) => format!("column `{}`", column.name),
            None => format!("cell {}", index + 1),
        };
        let what = if dialect.encoding == "UTF-8" {
            let byte = row.get(at + n_valid).copied().unwrap_or_default();
            format!("byte 0x{byte:02X} at {} of the cell", n_valid + 1)
        } else {
            format!("at character {} of the cell", n_valid + 1)
        };
        let message = format!("{column} is not {}: {what}; {}", dialect.encoding, encoding_advice(dialect));
        RowError::new(at, message)
    }

    /// The text of a cell does not match the type of its column.
    pub(crate) fn wrong_type(&self, row: &[u8], cell: usize, column: usize, text: &[u8]) -> RowError {
        let dialect = self.dialect();
        let column = &self.header().columns()[column];
        let kind = narrowest(text, dialect.numbers, &mut Vec::new());
        let declared = dialect.types.declaration_of(&column.name);
        let loses_time = declared.is_some_and(|it| it.value_type.loses_time_of(without_blanks(text)));
        let is_number = matches!(column.kind, ColumnType::Integer | ColumnType::Float);
        let found = match (kind, text) {
            (_, b"") => "is empty".to_owned(),
            _ if loses_time => "has a time of day, which a date would lose".to_owned(),
            (ColumnType::String, _) if is_number => not_a_number(text, dialect),
            (ColumnType::String, _) => "is text".to_owned(),
            (kind, _) => format!("is {}", with_article(type_name(kind))),
        };
        let null = if stands_for_null(without_blanks(text)) {
            "; if it stands for null, add it to `null_values`"
        } else {
            ""
        };
        let numbers = OptionHints::of(text, kind, dialect, &mut Vec::new()).number_options(dialect.numbers);
        let numbers = numbers.filter(|_| is_number && kind == ColumnType::String);
        let numbers = numbers.map_or_else(String::new, |options| format!("; it is a number with {options}"));
        let is_comment =
            cell == 0 && row.trim_ascii_start().starts_with(b"#") && dialect.grammar.comment.is_none();
        let comment = if is_comment { "; if this line is a comment, set comment = \"#\"" } else { "" };
        RowError::new(
            dialect.grammar.cells(row).nth(cell).map_or(0, |cell| cell.start),
            format!(
                "column `{}` is {}, and this cell {found}{numbers}{null}{comment}; correct the row, or add to the source: {}",
                column.name,
                expected(column, declared),
                wider_declaration(column, declared, text, loses_time, dialect),
            ),
        )
    }
}

/// The type of a column, and where it comes from.
fn expected(column: &Column, declared: Option<&DeclaredColumn>) -> String {
    let Some(declared) = declared else {
        return format!("{} (inferred from its first rows)", with_article(type_name(column.kind)));
    };
    let name = declared.value_type.name();
    let form = match (name, &declared.parse) {
        (TypeName::Boolean, _) => " (true/false, yes/no, t/f, y/n or 1/0)".to_owned(),
        (TypeName::Date | TypeName::Timestamp, Some(parse)) => format!(" in the form `{parse}`"),
        (TypeName::Date | TypeName::Timestamp, None) => {
            " in the form of ISO 8601 (another form: `parse`)".to_owned()
        }
        _ => String::new(),
    };
    format!("{}{form} (declared in the pipeline file)", with_article(name.as_str()))
}

/// The option that declares a column so that it takes this cell.
fn wider_declaration(
    column: &Column,
    declared: Option<&DeclaredColumn>,
    text: &[u8],
    loses_time: bool,
    dialect: &Dialect,
) -> String {
    let wider = wider_type(column.kind, declared, text, dialect);
    let time = declared.map(|it| it.value_type.name()).filter(|name| name.is_time());
    let given = declared.and_then(|it| it.parse.as_deref());
    let parse = time.filter(|_| wider == TypeName::String).and_then(|_| likely_pattern(text, given));
    let wider = match &parse {
        // A date would lose the time of day.
        Some(parse) if parse.contains("%H") || parse.contains("%I") => TypeName::Timestamp,
        Some(_) => time.unwrap_or(wider),
        None => wider,
    };
    let declaration = dialect.types.toml_line(&column.name, wider, parse);
    match with_time_of_day(without_blanks(text)).filter(|_| loses_time) {
        Some(parse) => {
            let date = dialect.types.toml_line(&column.name, TypeName::Date, Some(parse));
            format!("{declaration}; {date} drops the time of day")
        }
        None => declaration,
    }
}

/// The narrowest type that takes this cell and, as far as is known, all cells that the column has taken.
fn wider_type(
    kind: ColumnType,
    declared: Option<&DeclaredColumn>,
    text: &[u8],
    dialect: &Dialect,
) -> TypeName {
    let text = without_blanks(text);
    let mut scratch = Vec::new();
    let candidates: &[TypeName] = match (kind, declared) {
        // A declared integer takes `5.0`, but other cells of the column may have a fraction.
        (ColumnType::Integer, _) if narrowest(text, dialect.numbers, &mut scratch) == ColumnType::Float => {
            &[TypeName::Float]
        }
        (ColumnType::Integer, _) => &[TypeName::Integer, TypeName::Float],
        (ColumnType::Float, _) => &[TypeName::Float],
        (ColumnType::Boolean, _) => &[TypeName::Boolean],
        // The forms of ISO 8601 are those of timestamps, too.
        (_, Some(DeclaredColumn { value_type, parse: None, .. })) if value_type.name() == TypeName::Date => {
            &[TypeName::Timestamp]
        }
        _ => &[],
    };
    // As a float it would lose digits.
    if dialect.numbers.normalize_loosely(text, &mut scratch) == Some(Number::Huge) {
        return TypeName::String;
    }
    let takes = |name: &&TypeName| {
        let value_type = ValueType::new(**name, None, None);
        converted(text, name.column_type(), Some(&value_type), dialect.numbers, &mut scratch).is_some()
    };
    candidates.iter().find(takes).copied().unwrap_or(TypeName::String)
}

/// Whether a cell in single quotes was divided: one cell begins with such a quote, and a later one ends with it.
fn has_split_quotes(row: &[u8], grammar: &Grammar) -> bool {
    let mut is_open = false;
    grammar.cells(row).map(|cell| row[cell].trim_ascii()).any(|cell| {
        let (opens, closes) = (cell.starts_with(b"'"), cell.ends_with(b"'") && (cell.len() > 1 || is_open));
        let is_closed = is_open && closes && !opens;
        is_open = !closes && (opens || is_open);
        is_closed
    })
}

/// Why a text is not a number, although it may look like one.
fn not_a_number(text: &[u8], dialect: &Dialect) -> String {
    let text = String::from_utf8_lossy(text);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let whole = unsigned.split([dialect.numbers.decimal, 'e', 'E']).next().unwrap_or_default();
    let has_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = unsigned.replace(dialect.numbers.decimal, ".").parse::<f64>();
    let is_long = has_digits(unsigned) && unsigned.trim_start_matches('0').len() > 18;
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == dialect.numbers.decimal) {
        return "is text".into();
    }
    match value {
        Ok(value) if value.is_infinite() => "is larger than a number can be".into(),
        Ok(_) if whole.len() > 1 && whole.starts_with('0') => {
            "has a zero in front, as codes have: as a number it would lose it".into()
        }
        Ok(_) if is_long => "is an integer of more than 64 bits".into(),
        Ok(_) if text.starts_with('+') => "has a plus sign".into(),
        Ok(_) => "is not written as a number is in JSON".into(),
        Err(_) => "is text".into(),
    }
}

fn with_article(name: &str) -> String {
    let article = if name == "integer" { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests;
