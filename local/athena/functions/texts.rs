//! Texts: regular expressions and LIKE as Trino has them, and what a value's type is called.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result};
use regex::{Captures, Regex};

use super::scalar::{Function, Kind, invalid};
use crate::athena::value::type_name;

/// Functions that only a rewriting calls.
pub(in crate::athena) const LIKE_PATTERN: &str = "like_pattern$";
pub(in crate::athena) const TRUTH: &str = "truth$";

pub(super) const ALL: &[Function] = &[
    Function {
        name: "regexp_extract",
        takes: &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Bigint]],
        gives: |_| DataType::Utf8,
        does: extract,
    },
    Function {
        name: "regexp_like",
        takes: &[&[Kind::Text, Kind::Text]],
        gives: |_| DataType::Boolean,
        does: |arrays| {
            let mut regexes = Regexes::default();
            let found = pairs(arrays).map(|pair| match pair {
                Some((text, pattern)) => Ok(Some(regexes.of(pattern)?.is_match(text))),
                None => Ok(None),
            });
            Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
        },
    },
    Function {
        name: "regexp_replace",
        takes: &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Text]],
        gives: |_| DataType::Utf8,
        does: replace,
    },
    // The pattern of a LIKE with the backslash as its escape, whatever it was before.
    Function {
        name: LIKE_PATTERN,
        takes: &[&[Kind::Text], &[Kind::Text, Kind::Text]],
        gives: |_| DataType::Utf8,
        does: |arrays| {
            let escapes = arrays.get(1).map(|it| it.as_string::<i32>());
            let patterns = arrays[0].as_string::<i32>().iter().enumerate().map(|(row, pattern)| {
                let pattern = pattern.filter(|_| escapes.is_none_or(|it| it.is_valid(row)));
                pattern
                    .map(|pattern| like_pattern(pattern, escapes.map_or("", |it| it.value(row))))
                    .transpose()
            });
            Ok(Arc::new(patterns.collect::<Result<StringArray>>()?))
        },
    },
    // What becomes a boolean, which of texts only some words may.
    Function {
        name: TRUTH,
        takes: &[&[Kind::Any]],
        gives: |given| given[0].clone(),
        does: |arrays| {
            if *arrays[0].data_type() == DataType::Utf8 {
                let words = ["t", "true", "1", "f", "false", "0"];
                let is_none = |text: &&str| !words.iter().any(|word| word.eq_ignore_ascii_case(text));
                if let Some(text) = arrays[0].as_string::<i32>().iter().flatten().find(is_none) {
                    return Err(DataFusionError::Execution(format!(
                        "INVALID_CAST_ARGUMENT: Cannot cast '{text}' to BOOLEAN"
                    )));
                }
            }
            Ok(arrays[0].clone())
        },
    },
    Function {
        name: "typeof",
        takes: &[&[Kind::Any]],
        gives: |_| DataType::Utf8,
        does: |arrays| {
            let name = type_name(arrays[0].data_type());
            Ok(Arc::new(StringArray::from(vec![name; arrays[0].len()])))
        },
    },
];

/// The pattern of a column is nearly always one: it is compiled once.
#[derive(Default)]
struct Regexes {
    last: Option<(String, Regex)>,
}

impl Regexes {
    fn of(&mut self, pattern: &str) -> Result<&Regex> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            let regex =
                Regex::new(pattern).map_err(|error| invalid(format!("the pattern {pattern}: {error}")))?;
            self.last = Some((pattern.to_owned(), regex));
        }
        self.last.as_ref().map(|(_, regex)| regex).ok_or_else(|| invalid("no pattern"))
    }
}

fn pairs(arrays: &[ArrayRef]) -> impl Iterator<Item = Option<(&str, &str)>> {
    let pairs = arrays[0].as_string::<i32>().iter().zip(arrays[1].as_string::<i32>());
    pairs.map(|(left, right)| left.zip(right))
}

fn extract(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let groups = arrays.get(2).map(|groups| groups.as_primitive::<Int64Type>());
    let mut regexes = Regexes::default();
    let found = pairs(arrays).enumerate().map(|(row, pair)| {
        let Some((text, pattern)) = pair else { return Ok(None) };
        let regex = regexes.of(pattern)?;
        let (group, n_groups) = (groups.map_or(0, |groups| groups.value(row)), regex.captures_len() - 1);
        let Some(group) = usize::try_from(group).ok().filter(|it| *it <= n_groups) else {
            return Err(invalid(format!("Pattern has {n_groups} groups. Cannot access group {group}")));
        };
        Ok(regex.captures(text).and_then(|it| it.get(group)).map(|it| it.as_str()))
    });
    Ok(Arc::new(found.collect::<Result<StringArray>>()?))
}

fn replace(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let replacements = arrays.get(2).map(|it| it.as_string::<i32>());
    let mut regexes = Regexes::default();
    let replaced = pairs(arrays).enumerate().map(|(row, pair)| {
        let Some((text, pattern)) = pair else { return Ok(None) };
        let with = match replacements {
            Some(replacements) if replacements.is_null(row) => return Ok(None),
            Some(replacements) => replacements.value(row),
            None => "",
        };
        let regex = regexes.of(pattern)?;
        let parts = parts(with, regex)?;
        let put = |found: &Captures| -> String {
            let part = |part: &Part| match part {
                Part::Letter(letter) => letter.to_string(),
                Part::Group(at) => found.get(*at).map_or_else(String::new, |it| it.as_str().to_owned()),
            };
            parts.iter().map(part).collect()
        };
        Ok(Some(regex.replace_all(text, put).into_owned()))
    });
    Ok(Arc::new(replaced.collect::<Result<StringArray>>()?))
}

enum Part {
    Letter(char),
    Group(usize),
}

/// What a replacement is made of, as Java reads it: `$1`, `${name}`, and any letter behind a backslash.
fn parts(with: &str, regex: &Regex) -> Result<Vec<Part>> {
    let wrong = |what: &str| invalid(format!("Illegal replacement sequence: {what} in '{with}'"));
    let mut parts = Vec::new();
    let mut rest = with.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => parts.push(Part::Letter(rest.next().ok_or_else(|| wrong("nothing behind \\"))?)),
            '$' if rest.next_if_eq(&'{').is_some() => {
                let name: String = rest.by_ref().take_while(|it| *it != '}').collect();
                let group = regex.capture_names().position(|it| it == Some(&*name));
                parts.push(Part::Group(group.ok_or_else(|| wrong(&format!("no group {name}")))?));
            }
            '$' => {
                let digit = |it: char| it.to_digit(10).map(|it| it as usize);
                let mut group = rest.next().and_then(digit).ok_or_else(|| wrong("no number behind $"))?;
                if group >= regex.captures_len() {
                    return Err(wrong(&format!("unknown group {group}")));
                }
                // As many digits as there are groups for.
                while let Some(longer) = rest.peek().copied().and_then(digit).map(|it| group * 10 + it)
                    && longer < regex.captures_len()
                {
                    group = longer;
                    rest.next();
                }
                parts.push(Part::Group(group));
            }
            _ => parts.push(Part::Letter(letter)),
        }
    }
    Ok(parts)
}

fn like_pattern(pattern: &str, escape: &str) -> Result<String> {
    let mut letters = escape.chars();
    let escape = letters.next();
    if letters.next().is_some() {
        return Err(invalid("Escape string must be a single character"));
    }
    let mut translated = String::new();
    let mut rest = pattern.chars();
    while let Some(letter) = rest.next() {
        let (letter, is_plain) = if Some(letter) == escape {
            match rest.next().filter(|it| matches!(it, '%' | '_') || Some(*it) == escape) {
                Some(escaped) => (escaped, true),
                None => {
                    return Err(invalid(
                        "Escape character must be followed by '%', '_' or the escape character itself",
                    ));
                }
            }
        } else {
            (letter, false)
        };
        if letter == '\\' || (is_plain && matches!(letter, '%' | '_')) {
            translated.push('\\');
        }
        translated.push(letter);
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_escaped_by_what_was_named_alone() {
        for (pattern, escape, translated) in [
            (r"a\_b", "", r"a\\_b"),
            ("a!_b!%!!", "!", r"a\_b\%!"),
            (r"a\_b\\", r"\", r"a\_b\\"),
            ("a%_", "", "a%_"),
        ] {
            assert_eq!(like_pattern(pattern, escape).unwrap(), translated, "{pattern} {escape}");
        }
        assert!(like_pattern("a!b", "!").is_err() && like_pattern("a!", "!").is_err());
        assert!(like_pattern("a", "!!").is_err());
    }
}
