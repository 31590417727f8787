//! Patterns of `date_format` and `date_parse`: `MySQL`'s letters as chrono's.

use chrono::NaiveTime;
use chrono::format::{Parsed, StrftimeItems, parse};
use datafusion::common::{Result, ScalarValue};

use super::{invalid, of_time, text, time};

/// `MySQL`'s letters, each followed by chrono's pattern.
const LETTERS: &str = "a%a b%b c%-m d%d e%-d f%6f H%H h%I I%I i%M j%j k%-H l%-I M%B m%m p%p S%S s%S T%H:%M:%S v%V W%A \
                       x%G Y%Y y%y %%%";

/// A pattern of chrono for one of `MySQL`.
fn translate(pattern: &str) -> Result<String> {
    let mut chrono = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            chrono.push(letter);
            continue;
        }
        let letter = letters.next().unwrap_or('%');
        match LETTERS.split(' ').find_map(|known| known.strip_prefix(letter)) {
            Some(known) => chrono.push_str(known),
            None => return Err(invalid(format!("%{letter} not supported in date format string"))),
        }
    }
    Ok(chrono)
}

pub(super) fn write(it: &[ScalarValue]) -> Result<ScalarValue> {
    Ok(time(&it[0]).format(&translate(text(&it[1]))?).to_string().into())
}

/// Reads a text by a pattern; a month, day or time that the pattern lacks is the first one.
pub(super) fn read(it: &[ScalarValue]) -> Result<ScalarValue> {
    let (text, pattern) = (text(&it[0]), text(&it[1]));
    let wrong = || invalid(format!("Invalid format: \"{text}\""));
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(&translate(pattern)?)).map_err(|_| wrong())?;
    // A field that is set already cannot be set again, and stays as it is.
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
    Ok(of_time(parsed.to_naive_date().map_err(|_| wrong())?.and_time(time)))
}
