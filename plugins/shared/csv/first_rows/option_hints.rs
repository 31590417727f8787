//! Hints at options that are missing: how a text would be read with them.

use crate::shared::csv::dialect::Dialect;
use crate::shared::csv::types::{NumberFormat, is_address, narrowest, stands_for_null, without_blanks};
use runner_core::ColumnType;

/// Ways to write numbers that people use. The first three have a decimal comma.
const FORMATS: [NumberFormat; 6] = [
    NumberFormat { decimal: ',', thousands: None },
    NumberFormat { decimal: ',', thousands: Some('.') },
    NumberFormat { decimal: ',', thousands: Some(' ') },
    NumberFormat { decimal: '.', thousands: Some(',') },
    NumberFormat { decimal: '.', thousands: Some(' ') },
    NumberFormat { decimal: '.', thousands: Some('\'') },
];
const N_WITH_COMMA: usize = 3;
const WITH_COMMA: u32 = 0b111;
const WITH_POINT: u32 = 0b11_1000;

/// A number, a boolean or a missing value, maybe between blanks.
const BLANKS: u32 = 1 << 6;
/// A cell in single quotes.
pub(super) const SINGLE_QUOTES: u32 = 1 << 7;
/// A number that a declared float takes, such as `.5`.
const LOOSE: u32 = 1 << 11;
/// A number as it is, in whose place thousands may be meant: `1.234` for 1234.
pub(super) const THOUSANDS: u32 = 1 << 12;
/// No number in any form.
const NO_NUMBER: u32 = 1 << 13;
/// No text that stands for a missing value.
const NO_NULL: u32 = 1 << 14;
/// A number as it is, or a text that stands for a missing value.
const NUMBER_OR_NULL: u32 = 1 << 15;
/// No blank at its ends.
const NO_BLANKS: u32 = 1 << 16;
/// The format with a decimal comma and dots between thousands.
const WITH_DOTS: usize = 1;
/// The first bit of those for [`DELIMITERS`].
const WITH_DELIMITER: usize = 8;

/// What often separates cells, besides a comma.
const DELIMITERS: [u8; 3] = [b';', b'\t', b'|'];

/// With which options a text, or every text of a column, would be a number, a boolean, a quoted cell or several
/// cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionHints(u32);

impl OptionHints {
    /// Of no text at all.
    pub(crate) const ALL: OptionHints = OptionHints(u32::MAX);
    const NONE: OptionHints = OptionHints(0);

    /// The hints of a text that is of type `kind` as it is.
    pub(crate) fn of(text: &[u8], kind: ColumnType, dialect: &Dialect, scratch: &mut Vec<u8>) -> Self {
        const AS_IT_IS: u32 = BLANKS | NO_BLANKS | LOOSE | NO_NULL | NUMBER_OR_NULL;
        match kind {
            ColumnType::Integer => {
                let n_digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
                let grouped = if n_digits <= 3 { THOUSANDS } else { 0 };
                return OptionHints(AS_IT_IS | grouped | WITH_COMMA | WITH_POINT);
            }
            ColumnType::Float if dialect.numbers.is_plain() && is_group(text) => {
                return OptionHints(AS_IT_IS | WITH_POINT | THOUSANDS | 1 << WITH_DOTS);
            }
            ColumnType::Float if dialect.numbers.decimal == ',' => return OptionHints(AS_IT_IS | WITH_COMMA),
            ColumnType::Float => return OptionHints(AS_IT_IS | WITH_POINT),
            ColumnType::Boolean => return OptionHints(BLANKS | NO_BLANKS | NO_NUMBER | NO_NULL),
            ColumnType::String => {}
        }
        let trimmed = without_blanks(text);
        let no_blanks = if trimmed.len() == text.len() { NO_BLANKS } else { 0 };
        if stands_for_null(trimmed) {
            const NULL: u32 = BLANKS | LOOSE | NO_NUMBER | NUMBER_OR_NULL | WITH_COMMA | WITH_POINT;
            return OptionHints(NULL | no_blanks);
        }
        let Ok(text) = std::str::from_utf8(text) else { return OptionHints::NONE };
        let mut hints = NO_NULL | no_blanks;
        for (index, &delimiter) in DELIMITERS.iter().enumerate() {
            if text.as_bytes().contains(&delimiter) {
                hints |= 1 << (WITH_DELIMITER + index);
            }
        }
        if text.len() > 1
            && text.starts_with('\'')
            && text.ends_with('\'')
            && dialect.grammar.quote != Some(b'\'')
        {
            hints |= SINGLE_QUOTES;
        }
        if narrowest(trimmed, dialect.numbers, scratch) != ColumnType::String {
            return OptionHints(hints | BLANKS | NO_NUMBER);
        }
        if dialect.numbers.normalize_loosely(trimmed, scratch).is_some() {
            hints |= LOOSE;
        }
        // A number of more than 64 bits is text in any form.
        let is_huge = dialect.numbers.normalize(trimmed, scratch).is_some();
        if is_huge {
            hints &= !LOOSE;
        }
        let may_be_number =
            trimmed.first().is_some_and(|first| first.is_ascii_digit() || matches!(first, b'-' | b','));
        if may_be_number && !is_huge {
            for (index, format) in FORMATS.iter().enumerate() {
                if *format != dialect.numbers
                    && format.normalize(trimmed, scratch).is_some()
                    && !(index == WITH_DOTS && is_address(trimmed))
                {
                    hints |= BLANKS | 1 << index;
                }
            }
        }
        if hints & (LOOSE | (WITH_COMMA | WITH_POINT)) == 0 {
            hints |= NO_NUMBER;
        }
        OptionHints(hints)
    }

    /// The hints that both have.
    pub(crate) fn and(self, other: OptionHints) -> Self {
        OptionHints(self.0 & other.0)
    }

    /// Whether there was no text.
    pub(crate) fn is_of_no_text(self) -> bool {
        self == OptionHints::ALL
    }

    /// Whether there is none.
    pub(crate) fn is_none(self) -> bool {
        self.0 & !(NO_NUMBER | NO_NULL | NO_BLANKS) == 0
    }

    /// Whether it has this hint.
    pub(super) fn has(self, hint: u32) -> bool {
        self.0 & hint != 0
    }

    /// Whether blanks at its ends are all that keeps it, or a text of the column, from being a value.
    pub(crate) fn has_blanks(self) -> bool {
        self.has(BLANKS) && !self.has(NO_BLANKS)
    }

    /// Whether a declared float takes it.
    pub(crate) fn is_loose_number(self) -> bool {
        self.has(LOOSE) && self.has_numbers()
    }

    /// Whether it is a number with a decimal comma, or with several dots between thousands, and not otherwise.
    pub(crate) fn has_decimal_comma(self) -> bool {
        self.has(WITH_COMMA) && !self.has(WITH_POINT) && self.has_numbers()
    }

    /// Whether at least one text is a number in some form.
    fn has_numbers(self) -> bool {
        !self.has(NO_NUMBER)
    }

    /// Whether it is a number as it is, but for a text that stands for a missing value.
    pub(crate) fn is_number_or_null(self) -> bool {
        self.has(NUMBER_OR_NULL) && self.has_numbers() && self.has_null()
    }

    /// Whether at least one text stands for a missing value.
    pub(crate) fn has_null(self) -> bool {
        !self.has(NO_NULL)
    }

    /// Whether it contains this delimiter.
    pub(crate) fn has_delimiter(self, delimiter: u8) -> bool {
        let index = DELIMITERS.iter().position(|&it| it == delimiter);
        index.is_some_and(|index| self.has(1 << (WITH_DELIMITER + index)))
    }

    /// The options with which it is a number, apart from those that are set: the numbers are read as `given`.
    pub(crate) fn number_options(self, given: NumberFormat) -> Option<String> {
        if !self.has_numbers() || self.is_number_or_null() {
            return None;
        }
        let first = |mut range: std::ops::Range<usize>| {
            range.find_map(|index| options_of(FORMATS[index], given).filter(|_| self.has(1 << index)))
        };
        let options = [first(0..N_WITH_COMMA), first(N_WITH_COMMA..FORMATS.len())];
        let options: Vec<String> = options.into_iter().flatten().collect();
        (!options.is_empty()).then(|| options.join(", or "))
    }
}

/// The options for a format, apart from those that are set.
fn options_of(format: NumberFormat, given: NumberFormat) -> Option<String> {
    let decimal = Some(format.decimal).filter(|decimal| *decimal != given.decimal);
    let thousands = format.thousands.filter(|thousands| Some(*thousands) != given.thousands);
    match (decimal, thousands) {
        (Some(decimal), Some(thousands)) => {
            Some(format!("decimal = \"{decimal}\" and thousands = \"{thousands}\""))
        }
        (Some(decimal), None) => Some(format!("decimal = \"{decimal}\"")),
        (None, Some(thousands)) => Some(format!("thousands = \"{thousands}\"")),
        (None, None) => None,
    }
}

/// Whether a number has three digits behind its dot and no more than three before it, such as `-12.500`.
fn is_group(number: &[u8]) -> bool {
    let number = number.strip_prefix(b"-").unwrap_or(number);
    let Some(point) = number.iter().position(|&byte| byte == b'.') else { return false };
    let (whole, fraction) = (&number[..point], &number[point + 1..]);
    (1..=3).contains(&whole.len())
        && whole[0] != b'0'
        && fraction.len() == 3
        && fraction.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> OptionHints {
        let kind = narrowest(text.as_bytes(), NumberFormat::default(), &mut Vec::new());
        OptionHints::of(text.as_bytes(), kind, &Dialect::default(), &mut Vec::new())
    }

    #[test]
    fn number_of_another_country_names_its_options() {
        for (text, options) in [
            ("1.234,56", Some("decimal = \",\" and thousands = \".\"")),
            ("-0,5", Some("decimal = \",\"")),
            ("2,649.00", Some("thousands = \",\"")),
            ("1,234", Some("decimal = \",\", or thousands = \",\"")),
            ("1 234,5", Some("decimal = \",\" and thousands = \" \"")),
            ("1'234'567", Some("thousands = \"'\"")),
            ("19-Feb-2020", None),
            ("10.0.0.1", None),
            ("192.168.100.200", None),
            ("1.234.567", Some("decimal = \",\" and thousands = \".\"")),
            ("1,2,3", None),
            ("Total", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(of(text).number_options(NumberFormat::default()).as_deref(), options, "{text}");
        }
        assert_eq!(
            of("2,649.00").and(of("990.50")).number_options(NumberFormat::default()).as_deref(),
            Some("thousands = \",\"")
        );
        assert_eq!(of("19,5").and(of("990.50")).number_options(NumberFormat::default()), None);
        let with_dots = of("1.234").and(of("1.234.567")).and(of("999"));
        assert_eq!(
            with_dots.number_options(NumberFormat::default()).as_deref(),
            Some("decimal = \",\" and thousands = \".\"")
        );
        assert!(with_dots.has_decimal_comma() && of("0,5").has_decimal_comma());
        assert!(!of("1,234").has_decimal_comma(), "it may as well be 1234");
    }

    #[test]
    fn number_that_may_be_thousands_has_three_digits_behind_its_dot() {
        assert!(of("1.234").and(of("-12.500")).and(of("999")).has(THOUSANDS));
        for text in ["0.234", "1234.567", "1.5", "1.2345", "1000", "1.234e5"] {
            assert!(!of(text).has(THOUSANDS), "{text}");
        }
    }

    #[test]
    fn text_for_a_missing_value_is_neutral_beside_numbers() {
        let with_null = of("1.5").and(of("n/a"));
        assert!(with_null.is_number_or_null() && with_null.number_options(NumberFormat::default()).is_none());
        assert!(!of("n/a").is_number_or_null() && of("-").number_options(NumberFormat::default()).is_none());
        assert!(!of("1.5").is_number_or_null() && !of("1.5").and(of("x")).is_number_or_null());
        let other = of("2,649.00").and(of("-"));
        assert!(
            other.number_options(NumberFormat::default()).as_deref() == Some("thousands = \",\"")
                && other.has_null()
        );
    }

    #[test]
    fn blanks_and_single_quotes_are_detected() {
        assert!(of(" 5").has_blanks() && of("\u{a0}5.5").has_blanks() && of(" true ").has_blanks());
        assert!(of("29.85").and(of(" ")).has_blanks() && of(" 5").and(of("\u{a0}")).has_blanks());
        assert!(!of(" x").has_blanks() && !of("5").and(of("true")).has_blanks());
        assert!(of("'it''s'").has(SINGLE_QUOTES) && !of("'").has(SINGLE_QUOTES));
        assert!(!of("5").has(SINGLE_QUOTES), "a column of numbers is not quoted");
        assert!(
            of("a;b").has_delimiter(b';') && !of("a;b").has_delimiter(b'|') && !of("5").has_delimiter(b';')
        );
    }
}
