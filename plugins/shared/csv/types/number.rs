//! Numbers: which texts are numbers of JSON, and how others are brought into that form.

use crate::shared::csv::rows::is_blank;

/// A number of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// A whole number of 64 bits.
    Integer,
    /// With a fraction or an exponent.
    Float,
    /// Whole, but larger than 64 bits: probably an identifier.
    Huge,
}

/// Parses `cell` as a JSON number, so that it can be written to JSON digit by digit.
/// `007`, `+5`, ` 5`, `.5` and `NaN` are not numbers.
pub(crate) fn number(cell: &[u8]) -> Option<Number> {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let n_whole = n_digits(digits);
    if n_whole == 0 || (n_whole > 1 && digits[0] == b'0') {
        return None;
    }
    let mut rest = &digits[n_whole..];
    if rest.is_empty() {
        return Some(if n_whole <= 18 || as_i64(cell).is_some() { Number::Integer } else { huge(cell)? });
    }
    if rest[0] == b'.' {
        let n_fraction = n_digits(&rest[1..]);
        if n_fraction == 0 {
            return None;
        }
        rest = &rest[1 + n_fraction..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let is_whole = !exponent.is_empty() && n_digits(exponent) == exponent.len();
        // `1e999` matches the grammar, but JSON parsers reject it.
        return (is_whole && is_finite(cell)).then_some(Number::Float);
    }
    (rest.is_empty() && (n_whole < 300 || is_finite(cell))).then_some(Number::Float)
}

fn n_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn as_i64(cell: &[u8]) -> Option<i64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

fn huge(cell: &[u8]) -> Option<Number> {
    is_finite(cell).then_some(Number::Huge)
}

fn is_finite(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite))
}

/// How the files write numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberFormat {
    /// Between the whole part and the fraction.
    pub(crate) decimal: char,
    /// Between groups of digits of the whole part.
    pub(crate) thousands: Option<char>,
}

impl Default for NumberFormat {
    fn default() -> Self {
        NumberFormat { decimal: '.', thousands: None }
    }
}

impl NumberFormat {
    /// Whether numbers are written as in JSON.
    pub(crate) fn is_plain(self) -> bool {
        self == NumberFormat::default()
    }

    /// Writes `cell` into `out` as JSON writes numbers. Returns what it is, or `None` if it is not a number.
    pub(crate) fn normalize(self, cell: &[u8], out: &mut Vec<u8>) -> Option<Number> {
        out.clear();
        self.write(std::str::from_utf8(cell).ok()?, out)?;
        number(out)
    }

    /// As [`normalize`](Self::normalize), and takes `.5`, `5.` and `+5`, and zeros behind a sign: codes have no sign.
    pub(crate) fn normalize_loosely(self, cell: &[u8], out: &mut Vec<u8>) -> Option<Number> {
        out.clear();
        let cell = std::str::from_utf8(cell).ok()?.trim_matches(is_blank);
        let unsigned = cell.strip_prefix('+').filter(|rest| !rest.starts_with(['-', '+']));
        self.write(unsigned.unwrap_or(cell), out)?;
        let sign = usize::from(out.first() == Some(&b'-'));
        if sign > 0 || unsigned.is_some() {
            let n_zeros = out[sign..].iter().take_while(|&&byte| byte == b'0').count();
            let keeps_one = !out.get(sign + n_zeros).is_some_and(u8::is_ascii_digit);
            out.drain(sign..sign + n_zeros.saturating_sub(usize::from(keeps_one)));
        }
        if out.get(sign) == Some(&b'.') && out.get(sign + 1).is_some_and(u8::is_ascii_digit) {
            out.insert(sign, b'0');
        }
        let point = out.iter().position(|&byte| byte == b'.');
        if let Some(point) = point.filter(|&point| point > sign)
            && matches!(out.get(point + 1), None | Some(b'e' | b'E'))
        {
            out.remove(point);
        }
        number(out)
    }

    /// As [`normalize_loosely`](Self::normalize_loosely), for whole numbers: a fraction of zeros is left out.
    pub(crate) fn normalize_integer(self, cell: &[u8], out: &mut Vec<u8>) -> Option<Number> {
        self.normalize_loosely(cell, out)?;
        if let Some(point) = out.iter().position(|&byte| byte == b'.')
            && out[point + 1..].iter().all(|&byte| byte == b'0')
        {
            out.truncate(point);
        }
        number(out)
    }

    /// Writes a text with the decimal point of JSON and without separators of thousands.
    fn write(self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        if self.is_plain() {
            out.extend_from_slice(text.as_bytes());
            return Some(());
        }
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text),
        };
        out.extend_from_slice(sign.as_bytes());
        let end = unsigned.find([self.decimal, 'e', 'E']).unwrap_or(unsigned.len());
        let (whole, rest) = unsigned.split_at(end);
        self.write_whole(whole, out)?;
        let rest = match rest.strip_prefix(self.decimal) {
            Some(fraction) => {
                out.push(b'.');
                fraction
            }
            None => rest,
        };
        // A second mark of any kind is not part of a number.
        let is_fraction =
            |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'e' | b'E' | b'+' | b'-'));
        out.extend_from_slice(rest.as_bytes());
        is_fraction(rest).then_some(())
    }

    /// Writes digits without the separators, which must stand after every third digit from the end or, as
    /// in India, after the third and then every second one.
    fn write_whole(self, whole: &str, out: &mut Vec<u8>) -> Option<()> {
        let is_separator = |char| self.thousands.is_some_and(|thousands| is_same_separator(thousands, char));
        let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
        if !whole.split(is_separator).all(is_digits) {
            return None;
        }
        let mut groups = whole.split(is_separator).peekable();
        let first = groups.next()?;
        out.extend_from_slice(first.as_bytes());
        let mut size = None;
        let mut is_grouped = false;
        while let Some(group) = groups.next() {
            let is_last = groups.peek().is_none();
            if is_last && group.len() != 3 || !is_last && *size.get_or_insert(group.len()) != group.len() {
                return None;
            }
            is_grouped = true;
            out.extend_from_slice(group.as_bytes());
        }
        let size = size.unwrap_or(3);
        let is_first_valid = !is_grouped || (!first.is_empty() && first.len() <= size);
        let is_size_valid = size == 3 || size == 2 && self.thousands == Some(',');
        (is_first_valid && is_size_valid).then_some(())
    }
}

/// A blank may be a space that does not break, and an apostrophe a typographic one.
fn is_same_separator(separator: char, char: char) -> bool {
    match separator {
        ' ' => matches!(char, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'),
        '\'' => matches!(char, '\'' | '\u{2019}'),
        _ => separator == char,
    }
}

/// Whether a text is an address such as `192.168.100.200`, which `thousands = "."` makes look like a number.
pub(crate) fn is_address(cell: &[u8]) -> bool {
    let mut n_groups = 0;
    for group in cell.split(|&byte| byte == b'.') {
        n_groups += 1;
        if group.len() > 3 || !std::str::from_utf8(group).is_ok_and(|group| group.parse::<u8>().is_ok()) {
            return false;
        }
    }
    n_groups == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(cell: &str, decimal: char, thousands: Option<char>) -> Option<String> {
        let mut out = Vec::new();
        let format = NumberFormat { decimal, thousands };
        format.normalize(cell.as_bytes(), &mut out).map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn number_with_a_decimal_comma_is_written_with_a_point() {
        for (cell, number) in [
            ("1.234,56", "1234.56"),
            ("-0,75", "-0.75"),
            ("1.000.000", "1000000"),
            ("999", "999"),
            ("12,5e3", "12.5e3"),
            ("1.234.567,0001", "1234567.0001"),
        ] {
            assert_eq!(normalized(cell, ',', Some('.')).as_deref(), Some(number), "{cell}");
        }
        for cell in [
            "1,2,3",
            "1.23",
            "12.34.567",
            "1234.567",
            "1.234.56",
            "1,234.5",
            ".123",
            "1..234",
            "02.01.2024",
            "",
            "-",
            "1.234,5,6",
            "12,5%",
        ] {
            assert_eq!(normalized(cell, ',', Some('.')), None, "{cell}");
        }
        assert_eq!(normalized("1.5", ',', None), None, "a point is not a decimal comma");
    }

    #[test]
    fn separators_of_thousands_may_be_those_of_other_countries() {
        for (cell, thousands, number) in [
            ("2,649.00", ',', "2649.00"),
            ("79,54,34,488.60", ',', "795434488.60"),
            ("1\u{202f}234\u{a0}567.5", ' ', "1234567.5"),
            ("1'234'567", '\'', "1234567"),
            ("1\u{2019}234", '\'', "1234"),
            ("1_000", '_', "1000"),
        ] {
            assert_eq!(normalized(cell, '.', Some(thousands)).as_deref(), Some(number), "{cell}");
        }
        for cell in ["1,23", "1,2345", "12,345,67", "123,45,678", "1,234,56,789", ",123", "2020,02,19"] {
            assert_eq!(normalized(cell, '.', Some(',')), None, "{cell}");
        }
    }

    #[test]
    fn declared_integer_may_have_a_fraction_of_zeros() {
        let mut out = Vec::new();
        for (cell, number) in
            [("5.0", "5"), ("+0000800.00", "800"), ("-12.000", "-12"), ("7", "7"), ("0.0", "0")]
        {
            let kind = NumberFormat::default().normalize_integer(cell.as_bytes(), &mut out);
            assert_eq!(
                (kind, String::from_utf8_lossy(&out).as_ref()),
                (Some(Number::Integer), number),
                "{cell}"
            );
        }
        let comma = NumberFormat { decimal: ',', thousands: Some('.') };
        assert_eq!(comma.normalize_integer(b"1.234,00", &mut out), Some(Number::Integer));
        assert_eq!(out, b"1234");
        for cell in ["5.5", "5.01", "5e0", "5.0e1", "99999999999999999999.0", "007", "007.0", ""] {
            let kind = NumberFormat::default().normalize_integer(cell.as_bytes(), &mut out);
            assert_ne!(kind, Some(Number::Integer), "{cell}");
        }
    }

    #[test]
    fn loose_number_gets_the_digits_that_json_demands() {
        let mut out = Vec::new();
        for (cell, number) in [
            (".5", "0.5"),
            ("-.25", "-0.25"),
            ("5.", "5"),
            ("+5", "5"),
            ("+.5e3", "0.5e3"),
            ("5.e3", "5e3"),
            (" 12.50 ", "12.50"),
            ("+0000800.50", "800.50"),
            ("-007", "-7"),
            ("-000", "-0"),
            ("+00.5", "0.5"),
            ("+0e5", "0e5"),
        ] {
            assert!(NumberFormat::default().normalize_loosely(cell.as_bytes(), &mut out).is_some(), "{cell}");
            assert_eq!(String::from_utf8_lossy(&out), number);
        }
        for cell in [".", "+", "-.", "+-5", "--5", "NaN", "inf", "0x1F", "1 2", "e5", ".e5", "007", "5.5."] {
            assert_eq!(NumberFormat::default().normalize_loosely(cell.as_bytes(), &mut out), None, "{cell}");
        }
        assert_eq!(NumberFormat::default().normalize_loosely(b"0007.5", &mut out), None, "it may be a code");
        let comma = NumberFormat { decimal: ',', thousands: Some('.') };
        assert_eq!(comma.normalize_loosely(b",5", &mut out), Some(Number::Float));
        assert_eq!(out, b"0.5");
    }
}
