//! Texts that look like a date or a time, are not read as one, and sort in another order.

use super::date_text;

/// A text longer than this is not a date.
const MAX_LEN: usize = 48;

const MONTHS: &str = "january february march april may june july august september october november december";

const DAYS: &str = "monday tuesday wednesday thursday friday saturday sunday";

/// What a text looks like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnsupportedDate {
    /// A date, and the strftime pattern that reads it if there is one.
    Date(Option<String>),
    /// A time without a date.
    Time,
}

impl UnsupportedDate {
    /// Looks at a text that is compared as text.
    pub(crate) fn of(text: &str) -> Option<Self> {
        // JavaScript writes `… GMT+0200 (Central European Summer Time)`, with another name in winter.
        if let Some((date, _)) = text.strip_suffix(')').and_then(|text| text.split_once(" (")) {
            return Self::of(date).map(|_| UnsupportedDate::Date(None));
        }
        if text.len() > MAX_LEN || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        if let Some(date) = year_first(text) {
            return Some(date);
        }
        if !text.is_ascii() {
            return None;
        }
        numbers(text)
            .or_else(|| clock(text))
            .or_else(|| zoned(text))
            .or_else(|| names(text))
            .or_else(|| quarter(text))
    }
}

/// Such as `2024.9.30`, `2024. 9. 30.`, `2024年9月30日` or `2024/9`: a month, a day or an hour of one digit.
fn year_first(text: &str) -> Option<UnsupportedDate> {
    let (_, mut rest) = number(text, 4).filter(|(year, _)| is_year(year))?;
    let (mut pattern, mut is_padded) = ("%Y".to_owned(), true);
    for (form, max) in [("%m", 12), ("%d", 31)] {
        let n_between = rest.find(|c: char| c.is_ascii_digit())?;
        let (between, after) = rest.split_at(n_between);
        let is_separator =
            |c: char| matches!(c, '.' | '/' | '-' | ',' | ' ') || c.is_alphabetic() && !c.is_ascii();
        if between.is_empty() || between.chars().count() > 3 || !between.chars().all(is_separator) {
            return None;
        }
        let (digits, after) = number(after, 2).filter(|(digits, _)| is_in(digits, max))?;
        is_padded &= digits.len() == 2;
        pattern.push_str(between);
        pattern.push_str(form);
        rest = after;
        if !rest.contains(|c: char| c.is_ascii_digit()) {
            break;
        }
    }
    if !is_padded {
        pattern = pattern.replace("%m", "%-m").replace("%d", "%-d");
    }
    let n_end = rest.find(|c: char| matches!(c, ' ' | 'T') || c.is_ascii_digit()).unwrap_or(rest.len());
    let (end, clock) = rest.split_at(n_end);
    let is_end = |c: char| c == '.' || c.is_alphabetic() && !c.is_ascii();
    if end.chars().count() > 1 || !end.chars().all(is_end) {
        return None;
    }
    pattern.push_str(end);
    if !clock.is_empty() {
        let hour = clock.trim_start_matches([' ', 'T']).split(':').next()?;
        is_padded &= hour.len() == 2;
        pattern.push_str(&time(clock)?);
    }
    // Padded parts sort as text, but for a clock of 12 hours.
    let sorts = is_padded && !pattern.contains("%p");
    (!sorts).then_some(UnsupportedDate::Date(Some(pattern)))
}

/// Such as `31.01.2024`, `1/31/24 10:00 PM` or `01/2024`.
fn numbers(text: &str) -> Option<UnsupportedDate> {
    let (first, rest) = number(text, 2)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '.' | '/' | '-'))?;
    let (second, rest) = number(&rest[1..], 4)?;
    // A month or a week.
    if rest.is_empty() && is_year(second) && is_in(first, 53) {
        return Some(UnsupportedDate::Date(is_in(first, 12).then(|| format!("%m{separator}%Y"))));
    }
    let (year, rest) = number(rest.strip_prefix(separator)?, 4)?;
    let is_year = is_year(year) || year.len() == 2 && separator == '/';
    let is_end = rest.is_empty() || rest.starts_with([' ', ',', 'T']);
    let is_date = is_in(first, 31) && is_in(second, 31) && (is_in(first, 12) || is_in(second, 12));
    if !(is_year && is_end && is_date) {
        return None;
    }
    // Where both are possible, a slash is American.
    let is_day_first = !is_in(first, 12) || is_in(second, 12) && separator != '/';
    let (a, b) = if is_day_first { ("%d", "%m") } else { ("%m", "%d") };
    let year = if year.len() == 2 { "%y" } else { "%Y" };
    let time = time(rest).unwrap_or_default();
    Some(UnsupportedDate::Date(Some(format!("{a}{separator}{b}{separator}{year}{time}"))))
}

/// A time without a date, or a date before a clock of 12 hours.
fn clock(text: &str) -> Option<UnsupportedDate> {
    if text.split_once(':')?.0.len() <= 2 {
        return time(text).map(|_| UnsupportedDate::Time);
    }
    let (date, rest) = text.split_at(text.find([' ', 'T'])?);
    let date = date_text::pattern(date)?;
    let time = time(rest).filter(|time| time.contains("%p"))?;
    Some(UnsupportedDate::Date(Some(date + &time)))
}

/// A time with a zone whose offset is not known here, such as `2024-01-31 16:00:00 IST` or `2024-01-31T16:00[Asia/Tokyo]`.
fn zoned(text: &str) -> Option<UnsupportedDate> {
    let (time, zone) = text.split_at(text.rfind([' ', '['])?);
    let is_abbreviation = |name: &str| name.len() <= 5 && name.bytes().all(|c| c.is_ascii_uppercase());
    let is_zone = zone.contains('/') || zone.ends_with(']') || is_abbreviation(&zone[1..]);
    let pattern = date_text::pattern(time).filter(|pattern| is_zone && pattern.contains("%H"))?;
    Some(UnsupportedDate::Date(Some(pattern + zone)))
}

/// Such as `Jan 31, 2024`, `31-JAN-24`, `Wed Jan 31 16:00:00 +0000 2024` or `Q1 2024`.
fn names(text: &str) -> Option<UnsupportedDate> {
    let mut pattern = String::new();
    let (mut n_months, mut n_years, mut n_numbers, mut has_clock, mut can_read) = (0, 0, 0, false, true);
    let mut rest = text;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '+');
        let (part, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        let is_number = part.bytes().all(|c| c.is_ascii_digit());
        if let Some(form) = name(part, MONTHS, ["%b", "%B"]) {
            n_months += 1;
            pattern.push_str(form);
        } else if let Some(form) = name(part, DAYS, ["%a", "%A"]) {
            pattern.push_str(form);
        } else if pattern.is_empty() && is_part_of_year(part) {
            (n_months, can_read) = (1, false);
            pattern.push_str(part);
        } else if has_clock && is_number && part.len() == 4 && pattern.ends_with('-') {
            pattern.pop();
            pattern.push_str("%z");
        } else if has_clock
            && let Some((zone @ ("" | "GMT" | "UTC"), offset)) = part.split_once('+')
            && number(offset, 4).is_some()
        {
            pattern.push_str(zone);
            pattern.push_str("%z");
        } else if is_number && is_year(part) {
            n_years += 1;
            pattern.push_str("%Y");
        } else if is_number && part.len() <= 2 {
            n_numbers += 1;
            pattern.push_str(if n_numbers == 1 { "%d" } else { "%y" });
        } else if let Some(time) = time(part).filter(|_| part.contains(':')) {
            has_clock = true;
            pattern.push_str(&time);
        } else if has_clock && matches!(part, "AM" | "PM" | "am" | "pm") {
            pattern = pattern.replace("%H", "%I");
            pattern.push_str("%p");
        } else if matches!(part, "UTC" | "GMT" | "Z") {
            pattern.push_str(part);
        } else if has_clock && part.len() <= 4 && part.bytes().all(|c| c.is_ascii_uppercase()) {
            // A zone whose offset is not known here.
            can_read = false;
        } else {
            return None;
        }
        let n_separators = after.find(is_part).unwrap_or(after.len());
        let (separators, next) = after.split_at(n_separators);
        if separators.contains(|c| !matches!(c, ' ' | ',' | '-' | '/' | '.')) {
            return None;
        }
        pattern.push_str(separators);
        rest = next;
    }
    if (n_months, n_years, n_numbers) == (1, 0, 1)
        && matches!(&*pattern, "%b-%d" | "%B-%d" | "%b/%d" | "%B/%d")
    {
        return Some(UnsupportedDate::Date(Some(pattern.replace("%d", "%y"))));
    }
    let has_date = n_months == 1 && (n_years == 1 && n_numbers <= 1 || n_years == 0 && n_numbers == 2);
    has_date.then(|| UnsupportedDate::Date(can_read.then_some(pattern)))
}

/// Such as `1Q24`, `Q12024` or `Q1'24`.
fn quarter(text: &str) -> Option<UnsupportedDate> {
    let text = text.replace([' ', '\'', '-', '/'], "");
    let rest =
        ["1Q", "2Q", "3Q", "4Q", "Q1", "Q2", "Q3", "Q4"].iter().find_map(|it| text.strip_prefix(it))?;
    let is_number = rest.bytes().all(|c| c.is_ascii_digit());
    (is_number && (rest.len() == 2 || is_year(rest))).then_some(UnsupportedDate::Date(None))
}

/// Such as `Q1`, `H2` or `W05`: a quarter, a half or a week.
fn is_part_of_year(text: &str) -> bool {
    ["Q", "H", "S", "T", "W", "KW", "CW"]
        .iter()
        .filter_map(|letter| text.strip_prefix(letter))
        .any(|digits| digits.bytes().all(|c| c.is_ascii_digit()) && is_in(digits, 53))
}

/// The strftime pattern of a time of the day, behind a space, a comma or a `T`.
fn time(text: &str) -> Option<String> {
    let begin = text.find(|c: char| c.is_ascii_digit())?;
    let mut pattern = text[..begin].to_owned();
    if !matches!(&*pattern, "" | " " | ", " | "," | "T") {
        return None;
    }
    let (_, rest) = number(&text[begin..], 2)?;
    let (_, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    pattern.push_str("%H:%M");
    if let Some(seconds) = rest.strip_prefix(':') {
        rest = number(seconds, 2)?.1;
        pattern.push_str(":%S");
        if let Some(part) = rest.strip_prefix('.') {
            rest = number(part, 9)?.1;
            pattern.push_str("%.f");
        }
    }
    let half = rest.strip_prefix(' ').unwrap_or(rest);
    if half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm") {
        pattern = pattern.replace("%H", "%I");
        pattern.push_str(if half.len() < rest.len() { " %p" } else { "%p" });
        rest = "";
    }
    rest.is_empty().then_some(pattern)
}

/// The form of a name, whole or in three letters.
fn name(text: &str, names: &str, [short, long]: [&'static str; 2]) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let is_whole = names.split(' ').any(|name| name == text);
    let is_short = text.len() == 3 && names.split(' ').any(|name| name.starts_with(&*text));
    is_short.then_some(short).or(is_whole.then_some(long))
}

/// The digits at the beginning, at most so many, and what follows; `None` if another digit follows.
fn number(text: &str, max_digits: usize) -> Option<(&str, &str)> {
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=max_digits).contains(&n_digits).then(|| text.split_at(n_digits))
}

fn is_year(digits: &str) -> bool {
    digits.len() == 4 && digits.parse().is_ok_and(|year: u32| (1900..2100).contains(&year))
}

/// Whether one or two digits are a number from 1 to `max`.
fn is_in(digits: &str, max: u32) -> bool {
    digits.len() <= 2 && digits.parse().is_ok_and(|number: u32| (1..=max).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::super::time_format::TimeFormat;
    use super::*;

    #[test]
    fn text_that_sorts_in_another_order_than_its_date_is_found() {
        for (text, pattern) in [
            ("31.01.2024", "%d.%m.%Y"),
            ("1.2.2024 10:00", "%d.%m.%Y %H:%M"),
            ("01/31/2024", "%m/%d/%Y"),
            ("1/5/2024", "%m/%d/%Y"),
            ("31/1/2024 16:00:00", "%d/%m/%Y %H:%M:%S"),
            ("1/5/24, 1:00 PM", "%m/%d/%y, %I:%M %p"),
            ("31-01-2024", "%d-%m-%Y"),
            ("01/2024", "%m/%Y"),
            ("2024-01-05 01:00:00 PM", "%Y-%m-%d %I:%M:%S %p"),
            ("2024-01-05T1:00pm", "%Y-%m-%dT%I:%M%p"),
            ("2024.9.30", "%Y.%-m.%-d"),
            ("2024.10.1", "%Y.%-m.%-d"),
            ("2024. 9. 30.", "%Y. %-m. %-d."),
            ("2024年9月30日", "%Y年%-m月%-d日"),
            ("2024년 9월 3일", "%Y년 %-m월 %-d일"),
            ("2024/9", "%Y/%-m"),
            ("2024-9", "%Y-%-m"),
            ("2024年9月", "%Y年%-m月"),
            ("2024.9.30 10:00", "%Y.%-m.%-d %H:%M"),
            ("2024.09.30 9:05:00", "%Y.%m.%d %H:%M:%S"),
            ("2024.09.30 09:05 PM", "%Y.%m.%d %I:%M %p"),
            ("Sep-24", "%b-%y"),
            ("Jan 31, 2024", "%b %d, %Y"),
            ("31-JAN-24", "%d-%b-%y"),
            ("31 January 2024", "%d %B %Y"),
            ("2024 Jan 31", "%Y %b %d"),
            ("Jan 2024", "%b %Y"),
            ("Wed Jan 31 16:00:00 +0000 2024", "%a %b %d %H:%M:%S %z %Y"),
            ("Wed, 31-Jan-24 16:00:00 GMT", "%a, %d-%b-%y %H:%M:%S GMT"),
            ("Jan 31, 2024 4:00 PM", "%b %d, %Y %I:%M %p"),
            ("Wed Jan 31 2024 16:00:00 GMT+0200", "%a %b %d %Y %H:%M:%S GMT%z"),
            ("Wed Jan 31 2024 16:00:00 GMT-0500", "%a %b %d %Y %H:%M:%S GMT%z"),
            ("2024-01-31 16:00:00 IST", "%Y-%m-%d %H:%M:%S IST"),
            ("2024-01-31T16:00:00.250[Asia/Tokyo]", "%Y-%m-%dT%H:%M:%S.%3f[Asia/Tokyo]"),
            ("2024-01-31 16:00:00 America/New_York", "%Y-%m-%d %H:%M:%S America/New_York"),
        ] {
            assert_eq!(
                UnsupportedDate::of(text),
                Some(UnsupportedDate::Date(Some(pattern.to_owned()))),
                "{text}"
            );
            let format = TimeFormat::try_from(pattern.to_owned()).unwrap();
            assert!(format.read(text).is_some(), "{text} is not read as {pattern}");
        }
        for text in [
            "1Q24",
            "3Q 2024",
            "Q12024",
            "Q1'24",
            "Q1-24",
            "Q1 2024",
            "Q4/2024",
            "H2 2024",
            "W05/2024",
            "KW05 2024",
            "52/2023",
            "Jan 31, 2024 16:00:00 EST",
            "Wed Jan 31 2024 16:00:00 GMT+0200 (Central European Standard Time)",
        ] {
            assert_eq!(UnsupportedDate::of(text), Some(UnsupportedDate::Date(None)), "{text}");
        }
        for text in ["10:00", "9:30", "01:00:00 PM", "10:00:00.250"] {
            assert_eq!(UnsupportedDate::of(text), Some(UnsupportedDate::Time), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_a_date_or_sorts_like_one_is_not_found() {
        for text in [
            "",
            "a",
            "NYA",
            "v10",
            "2024-W05",
            "2024.09.30",
            "2024. 10. 11.",
            "2024年10月11日",
            "2024.13.1",
            "2024-99",
            "2024.1.2.3",
            "1.2024.9",
            "2024-Q1",
            "2024Q1",
            "5Q24",
            "1Q245",
            "Q1X24",
            "1.2.3",
            "1.10.20",
            "10.1.20.5",
            "12-34-5678",
            "32.01.2024",
            "13.13.2024",
            "may-flower",
            "March 12",
            "Jan",
            "note of 31.01.2024",
            "2024-01-31 16:00:00 late",
            "2024-01-31 (NYA)",
            "12:34:56:78",
            "aa:bb",
            "66a1e2f0c1d2",
            "01HV7Q2Z3X",
            "7d9f2c1e-5b1a-4c3d-9e8f-0a1b2c3d4e5f",
            "/Date(1704067200000)/",
        ] {
            assert_eq!(UnsupportedDate::of(text), None, "{text}");
        }
    }
}
