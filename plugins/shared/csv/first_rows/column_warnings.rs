//! What the first rows say about single columns, in words.

use runner_core::ColumnType;

use super::cell_counts::Place;
use super::inference::{Inference, SampledColumn};
use super::option_hints::{OptionHints, SINGLE_QUOTES, THOUSANDS};
use super::warnings::and_others;
use crate::shared::values::TypeName;

impl Inference {
    /// What is unusual about the columns, with the row it is about.
    pub(crate) fn warnings_about_columns(&self) -> Vec<(Option<Place>, String)> {
        let mut warnings = Vec::new();
        warnings.extend(self.names_warning().map(|(place, warning)| (Some(place), warning)));
        let of_options = self.option_warnings().into_iter().chain(self.thousands_warning());
        warnings.extend(of_options.map(|warning| (None, warning)));
        let of_types =
            self.text_warning().into_iter().chain(self.exponent_warning()).chain(self.null_warning());
        warnings.extend(of_types.map(|(place, warning)| (Some(place), warning)));
        warnings
    }

    fn is_inferred_as(&self, column: &SampledColumn, kind: ColumnType) -> bool {
        column.inferred() == Some(kind) && self.dialect.types.of(&column.name).is_none()
    }

    /// The header, in files that are said to have none.
    fn names_warning(&self) -> Option<(Place, String)> {
        let advice = if self.names == self.first_row {
            "set header = true"
        } else {
            "set `comment` to the text that it begins with, which ignores the line"
        };
        let message = format!(
            "this row has the names of the columns, and is read as a row; if it is the header, {advice}"
        );
        self.names.map(|place| (place, message))
    }

    /// A few texts, which make a column of numbers one of text.
    fn text_warning(&self) -> Option<(Place, String)> {
        let unit_row = self.first_row.filter(|_| self.column_with_a_text_in_the_first_row().is_some());
        let mut found = self.columns.iter().filter_map(|column| {
            let (n_texts, place) = column.counts.texts_among_numbers()?;
            let is_known = Some(place) == unit_row || Some(place) == self.names;
            let is_said = column.hints.number_options(self.dialect.numbers).is_some()
                || column.hints.has_blanks()
                || column.hints.is_loose_number();
            (self.is_inferred_as(column, ColumnType::String) && !is_known && !is_said)
                .then_some((column, n_texts, place))
        });
        let (column, n_texts, place) = found.next()?;
        let n_others = found.count();
        let kind = if column.counts.is_of_integers() { TypeName::Integer } else { TypeName::Float };
        let which = if n_texts == 1 { "only text".to_owned() } else { format!("first of {n_texts} texts") };
        let message = format!(
            "this row has the {which} among numbers in column `{}`{}, so all cells of the column are read as text. If it stands \
             for null, add it to `null_values`; if the line is not a row, such as a sum, ignore it with `comment`; to reject \
             what is not a number, set {}",
            column.name.escape_debug(),
            and_others(n_others),
            self.dialect.types.toml_line(&column.name, kind, None)
        );
        Some((place, message))
    }

    /// Codes that are read as numbers, such as `12E4`.
    fn exponent_warning(&self) -> Option<(Place, String)> {
        let mut found = self.columns.iter().filter_map(|column| {
            let place = column.counts.exponent_like_a_code()?;
            self.is_inferred_as(column, ColumnType::Float).then_some((column, place))
        });
        let (column, place) = found.next()?;
        let n_others = found.count();
        let message = format!(
            "column `{}`{}: this cell is read as a number with an exponent, as 12E4 is 120000; if it is a code, set {}",
            column.name.escape_debug(),
            and_others(n_others),
            self.dialect.types.toml_line(&column.name, TypeName::String, None)
        );
        Some((place, message))
    }

    /// Numbers such as `-999.0`, where `-999` stands for null.
    fn null_warning(&self) -> Option<(Place, String)> {
        let mut found = self.columns.iter().filter_map(|column| {
            let kind = self.dialect.types.of(&column.name).map(TypeName::column_type).or(column.inferred());
            column
                .null_number
                .filter(|_| matches!(kind, Some(ColumnType::Integer | ColumnType::Float)))
                .zip(Some(column))
        });
        let (place, column) = found.next()?;
        let message = format!(
            "column `{}`{}: this cell is a number, and `null_values` has the same number in another form; if it stands for null, \
             add this form to `null_values`",
            column.name.escape_debug(),
            and_others(found.count())
        );
        Some((place, message))
    }

    /// A column in which the first row alone has a text, if that row has nothing but texts.
    pub(super) fn column_with_a_text_in_the_first_row(&self) -> Option<usize> {
        let is_text = |kind: &Option<ColumnType>| matches!(kind, None | Some(ColumnType::String));
        if self.n_valid < 3
            || self.names == self.first_row
            || !self.columns.iter().all(|column| is_text(&column.first))
        {
            return None;
        }
        self.columns.iter().position(|SampledColumn { first, others, hints, .. }| {
            first.is_some()
                && !hints.is_number_or_null()
                // A number with other marks is not a unit.
                && hints.number_options(self.dialect.numbers).is_none()
                && matches!(others, Some(kind) if *kind != ColumnType::String)
        })
    }

    /// Columns of text that other options would read as something else.
    fn option_warnings(&self) -> Vec<String> {
        let dialect = &*self.dialect;
        let columns = self.columns.iter().filter(|column| self.is_inferred_as(column, ColumnType::String));
        let columns = columns.map(|column| (&column.name, column.hints));
        // Where all columns of numbers agree, they share their options.
        let of_numbers = columns.clone().map(|(_, hints)| hints);
        let common = of_numbers
            .filter(|hints| hints.number_options(dialect.numbers).is_some())
            .reduce(OptionHints::and);
        let common = common.and_then(|common| common.number_options(dialect.numbers));
        let mut found: Vec<(String, &str, usize)> = Vec::new();
        for (name, hints) in columns {
            let mut options = Vec::new();
            if let Some(own) = hints.number_options(dialect.numbers) {
                let null =
                    if hints.has_null() { ", and the text for a missing value in `null_values`" } else { "" };
                options.push(format!("would be numbers with {}{null}", common.as_ref().unwrap_or(&own)));
            }
            if hints.has_blanks() {
                options.push(
                    "would be numbers, booleans or null without the blanks around them: set trim = true"
                        .into(),
                );
            } else if hints.is_number_or_null() {
                if self.n_valid > 2 {
                    let null = "would be numbers without a text that usually stands for a missing value, such as `n/a`, `inf` \
                                or an empty cell (\"\"): add it to `null_values`";
                    options.push(null.into());
                }
            } else if hints.is_loose_number() {
                options.push("would be numbers in a column that is declared as \"float\" (`types`)".into());
            }
            if hints.has(SINGLE_QUOTES) {
                options.push("are in single quotes, which quote = \"'\" removes".into());
            }
            for option in options {
                match found.iter_mut().find(|(known, ..)| *known == option) {
                    Some((_, _, n_columns)) => *n_columns += 1,
                    None => found.push((option, name, 0)),
                }
            }
        }
        let warning = |(options, name, n_others): (String, &str, usize)| {
            format!(
                "column `{}`{}: the cells are text, and {options}",
                name.escape_debug(),
                and_others(n_others)
            )
        };
        let mut warnings: Vec<String> = found.into_iter().map(warning).collect();
        let is_said = self.columns.iter().any(|it| it.hints.has(SINGLE_QUOTES) && !it.hints.is_of_no_text());
        if self.row_hints.has_single_quotes() && !is_said {
            warnings.push("some cells are in single quotes, which quote = \"'\" removes".into());
        }
        warnings
    }

    /// Columns of numbers whose dot most likely separates thousands, since other columns have a decimal comma.
    fn thousands_warning(&self) -> Option<String> {
        let has_comma = |index: usize| {
            self.columns[index].inferred() == Some(ColumnType::String)
                && self.columns[index].hints.has_decimal_comma()
        };
        let is_suspect = |index: usize| {
            self.columns[index].inferred() == Some(ColumnType::Float)
                && self.columns[index].hints.has(THOUSANDS)
                && self.dialect.types.of(&self.columns[index].name).is_none()
        };
        let mut suspects = (0..self.columns.len()).filter(|&index| is_suspect(index));
        let first = suspects.next().filter(|_| (0..self.columns.len()).any(has_comma))?;
        Some(format!(
            "column `{}`{}: the cells have the form 1.234 and are read as numbers between 1 and 1000, but other cells of \
             the file have a decimal comma or several dots: if the dot separates thousands, set decimal = \",\" and \
             thousands = \".\"",
            self.columns[first].name.escape_debug(),
            and_others(suspects.count())
        ))
    }
}
