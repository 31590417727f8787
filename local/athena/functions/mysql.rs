//! Patterns of dates: `MySQL`'s letters and Joda's, as chrono's; and reading a date by one of them.

use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{NaiveDateTime, NaiveTime};
use datafusion::common::Result;

use super::scalar::invalid;

/// The pattern of `date_format` and `date_parse`.
pub(super) fn mysql(pattern: &str) -> Result<String> {
    let mut chrono = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            chrono.push(letter);
            continue;
        }
        let letter = letters.next().unwrap_or('%');
        let known = match letter {
            'a' => "%a",
            'b' => "%b",
            'c' => "%-m",
            'd' => "%d",
            'e' => "%-d",
            'f' => "%6f",
            'H' => "%H",
            'h' | 'I' => "%I",
            'i' => "%M",
            'j' => "%j",
            'k' => "%-H",
            'l' => "%-I",
            'M' => "%B",
            'm' => "%m",
            'p' => "%p",
            'r' => "%I:%M:%S %p",
            'S' | 's' => "%S",
            'T' => "%H:%M:%S",
            'v' => "%V",
            'W' => "%A",
            'x' => "%G",
            'Y' => "%Y",
            'y' => "%y",
            '%' => "%%",
            'D' | 'U' | 'u' | 'V' | 'w' | 'X' => {
                return Err(invalid(format!("%{letter} not supported in date format string")));
            }
            other => {
                chrono.push(other);
                ""
            }
        };
        chrono.push_str(known);
    }
    Ok(chrono)
}

/// The pattern of `format_datetime` and `parse_datetime`.
pub(super) fn joda(pattern: &str) -> Result<String> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut chrono = String::new();
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        let length = letters[at..].iter().take_while(|it| **it == letter).count();
        if letter == '\'' {
            let end = letters[at + 1..].iter().position(|it| *it == '\'').unwrap_or(letters.len() - at - 1);
            // Two quotes are one that stands for itself.
            let text = if end == 0 { &letters[at..=at] } else { &letters[at + 1..at + 1 + end] };
            chrono.extend(text.iter().copied().flat_map(literal));
            at += end + 2;
            continue;
        }
        let known = match (letter, length) {
            ('y' | 'Y', 2) => "%y",
            ('y' | 'Y', _) => "%Y",
            ('M', 1) => "%-m",
            ('M', 2) => "%m",
            ('M', 3) => "%b",
            ('M', _) => "%B",
            ('d', 1) => "%-d",
            ('d', _) => "%d",
            ('D', _) => "%j",
            ('E', 1..=3) => "%a",
            ('E', _) => "%A",
            ('e', _) => "%u",
            ('H', 1) => "%-H",
            ('H', _) => "%H",
            ('h', 1) => "%-I",
            ('h', _) => "%I",
            ('m', _) => "%M",
            ('s', _) => "%S",
            ('S', _) => "%3f",
            ('a', _) => "%p",
            ('w', _) => "%V",
            ('x', _) => "%G",
            _ if letter.is_ascii_alphabetic() => {
                return Err(invalid(format!(
                    "the offline Athena does not know `{letter}` in a pattern of Joda"
                )));
            }
            _ => {
                chrono.extend(letters[at..at + length].iter().copied().flat_map(literal));
                ""
            }
        };
        chrono.push_str(known);
        at += length;
    }
    Ok(chrono)
}

/// A letter that stands for itself, as chrono has it.
fn literal(letter: char) -> impl Iterator<Item = char> {
    std::iter::repeat_n(letter, if letter == '%' { 2 } else { 1 })
}

/// Reads a text by a pattern of chrono; what the pattern leaves open is the first of its kind.
pub(super) fn read(text: &str, pattern: &str) -> Result<NaiveDateTime> {
    let wrong = || invalid(format!("Invalid format: \"{text}\""));
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(pattern)).map_err(|_| wrong())?;
    // Each refuses to be set anew, which is what is wanted.
    let _ = parsed.minute().is_none().then(|| parsed.set_minute(0));
    if parsed.hour_mod_12().is_none() {
        let _ = parsed.set_hour(0);
    }
    if parsed.ordinal().is_none() && parsed.isoweek().is_none() {
        if parsed.month().is_none() {
            let _ = parsed.set_month(1);
        }
        if parsed.day().is_none() {
            let _ = parsed.set_day(1);
        }
    }
    let time = parsed.to_naive_time().unwrap_or(NaiveTime::MIN);
    Ok(parsed.to_naive_date().map_err(|_| wrong())?.and_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_by_letters_of_mysql_and_of_joda() {
        for (text, pattern, read_as) in [
            ("1986-12-31", mysql("%Y-%m-%d"), "1986-12-31 00:00:00"),
            ("31/12/86 5:07 PM", mysql("%d/%m/%y %l:%i %p"), "1986-12-31 17:07:00"),
            ("Dec 1986", mysql("%b %Y"), "1986-12-01 00:00:00"),
            ("1986-12-31T10", joda("yyyy-MM-dd'T'HH"), "1986-12-31 10:00:00"),
            ("1986%-%'5", joda("yyyy%'-%'''M"), "1986-05-01 00:00:00"),
        ] {
            assert_eq!(read(text, &pattern.unwrap()).unwrap().to_string(), read_as);
        }
        assert!(read("yesterday", "%Y").is_err());
        assert!(mysql("%D").is_err());
    }
}
