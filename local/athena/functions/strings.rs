//! Strings: cut, searched and put together, as Trino counts their letters.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray as _, Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err};

use super::scalar::{Function, Kind, invalid};

/// `substr`, under a name that no planner takes for its own.
pub(in crate::athena) const SUBSTR: &str = "substr$";
const ONE: &[&[Kind]] = &[&[Kind::Text]];
const TWO: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
const ONE_OR_TWO: &[&[Kind]] = &[&[Kind::Text], &[Kind::Text, Kind::Text]];
/// So many letters a text is padded to, and so many bytes the texts of one batch may have: what is more would
/// take the memory of the whole process before the query's limit is looked at.
const LONGEST: usize = 1 << 20;
const MOST: usize = 256 << 20;
const PAD: &[&[Kind]] = &[&[Kind::Text, Kind::Bigint, Kind::Text]];

/// A function that gives a text, from the texts and numbers of one row; none where one of them is NULL.
macro_rules! text {
    ($name:expr, $takes:expr, $does:expr) => {
        Function {
            name: $name,
            takes: $takes,
            gives: |_| DataType::Utf8,
            does: |arrays| texts(arrays, $does),
        }
    };
}

pub(super) const ALL: &[Function] = &[
    text!("lower", ONE, |row| Ok(Some(row.text(0).to_lowercase()))),
    text!("upper", ONE, |row| Ok(Some(row.text(0).to_uppercase()))),
    text!("trim", ONE_OR_TWO, |row| Ok(Some(row.text(0).trim_matches(row.unwanted()).to_owned()))),
    text!("ltrim", ONE_OR_TWO, |row| Ok(Some(row.text(0).trim_start_matches(row.unwanted()).to_owned()))),
    text!("rtrim", ONE_OR_TWO, |row| Ok(Some(row.text(0).trim_end_matches(row.unwanted()).to_owned()))),
    text!("lpad", PAD, |row| pad(row, true).map(Some)),
    text!("rpad", PAD, |row| pad(row, false).map(Some)),
    text!(SUBSTR, &[&[Kind::Text, Kind::Bigint], &[Kind::Text, Kind::Bigint, Kind::Bigint]], |row| Ok(Some(
        substr(row)
    ))),
    text!("replace", &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Text]], |row| {
        Ok(Some(row.text(0).replace(row.text(1), if row.n > 2 { row.text(2) } else { "" })))
    }),
    text!("translate", &[&[Kind::Text, Kind::Text, Kind::Text]], |row| {
        let (from, to): (Vec<char>, Vec<char>) =
            (row.text(1).chars().collect(), row.text(2).chars().collect());
        let letter = |letter: char| match from.iter().position(|it| *it == letter) {
            Some(at) => to.get(at).copied(),
            None => Some(letter),
        };
        Ok(Some(row.text(0).chars().filter_map(letter).collect()))
    }),
    text!("split_part", &[&[Kind::Text, Kind::Text, Kind::Bigint]], |row| {
        let at = row.number(2);
        if at < 1 {
            return Err(invalid("Index must be greater than zero"));
        }
        let parts = parts(row.text(0), row.text(1), usize::MAX);
        Ok(usize::try_from(at - 1).ok().and_then(|at| parts.get(at)).map(|it| (*it).to_owned()))
    }),
    text!("chr", &[&[Kind::Bigint]], |row| {
        let letter = u32::try_from(row.number(0)).ok().and_then(char::from_u32);
        letter
            .map(|it| Some(it.to_string()))
            .ok_or_else(|| invalid(format!("Not a valid Unicode code point: {}", row.number(0))))
    }),
    Function {
        name: "codepoint",
        takes: ONE,
        gives: |_| DataType::Int32,
        does: |arrays| {
            let codes = rows(arrays).map(|row| {
                let Some(row) = row else { return Ok(None) };
                let mut letters = row.text(0).chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => Ok(Some(letter as i32)),
                    _ => Err(invalid("codepoint takes a text of one letter")),
                }
            });
            Ok(Arc::new(codes.collect::<Result<Int32Array>>()?))
        },
    },
    Function {
        name: "length",
        takes: ONE,
        gives: |_| DataType::Int64,
        does: |arrays| {
            Ok(Arc::new(
                rows(arrays)
                    .map(|row| row.map(|it| it.text(0).chars().count() as i64))
                    .collect::<Int64Array>(),
            ))
        },
    },
    Function {
        name: "strpos",
        takes: TWO,
        gives: |_| DataType::Int64,
        does: |arrays| {
            let place = |row: Row| {
                let text = row.text(0);
                text.find(row.text(1)).map_or(0, |at| text[..at].chars().count() as i64 + 1)
            };
            Ok(Arc::new(rows(arrays).map(|row| row.map(place)).collect::<Int64Array>()))
        },
    },
    Function {
        name: "starts_with",
        takes: TWO,
        gives: |_| DataType::Boolean,
        does: |arrays| {
            let starts = rows(arrays).map(|row| row.map(|it| it.text(0).starts_with(it.text(1))));
            Ok(Arc::new(starts.collect::<datafusion::arrow::array::BooleanArray>()))
        },
    },
    Function {
        name: "split",
        takes: &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Bigint]],
        gives: |_| DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        does: split,
    },
];

/// The arguments in one row, none of them NULL.
struct Row<'a> {
    arrays: &'a [ArrayRef],
    at: usize,
    n: usize,
}

impl<'a> Row<'a> {
    fn text(&self, n: usize) -> &'a str {
        self.arrays[n].as_string::<i32>().value(self.at)
    }

    fn number(&self, n: usize) -> i64 {
        self.arrays[n].as_primitive::<Int64Type>().value(self.at)
    }

    /// What is trimmed: white space, or the letters of the second text.
    fn unwanted(&self) -> impl Fn(char) -> bool + 'a {
        let letters = (self.n > 1).then(|| self.text(1));
        move |letter| letters.map_or_else(|| letter.is_whitespace(), |it| it.contains(letter))
    }
}

fn rows(arrays: &[ArrayRef]) -> impl Iterator<Item = Option<Row<'_>>> {
    let length = arrays.first().map_or(0, |it| it.len());
    (0..length)
        .map(|at| arrays.iter().all(|it| it.is_valid(at)).then_some(Row { arrays, at, n: arrays.len() }))
}

fn texts(arrays: &[ArrayRef], does: impl Fn(&Row) -> Result<Option<String>>) -> Result<ArrayRef> {
    let mut n_bytes = 0;
    let texts = rows(arrays).map(|row| {
        let text = row.map_or(Ok(None), |row| does(&row))?;
        n_bytes += text.as_ref().map_or(0, String::len);
        if n_bytes > MOST {
            return exec_err!(
                "EXCEEDED_LOCAL_MEMORY_LIMIT: the texts that a function makes of some rows have more than {} MiB",
                MOST >> 20
            );
        }
        Ok(text)
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// The first letter is 1, the last -1; nothing stands at 0.
fn substr(row: &Row) -> String {
    let text = row.text(0);
    let (start, n_letters) = (row.number(1), text.chars().count() as i64);
    let first = match start {
        0 => return String::new(),
        1.. => start - 1,
        _ => n_letters.saturating_add(start),
    };
    let length = if row.n > 2 { row.number(2) } else { i64::MAX };
    match (usize::try_from(first), usize::try_from(length)) {
        (Ok(first), Ok(length)) => text.chars().skip(first).take(length).collect(),
        _ => String::new(),
    }
}

fn pad(row: &Row, is_left: bool) -> Result<String> {
    let (text, with) = (row.text(0), row.text(2));
    let size = usize::try_from(row.number(1)).ok().filter(|it| i32::try_from(*it).is_ok());
    let size = size.ok_or_else(|| invalid("Target length must be in the range [0..2147483647]"))?;
    if size > LONGEST {
        return Err(invalid(format!("the offline Athena pads to {LONGEST} letters at most, not to {size}")));
    }
    if with.is_empty() {
        return Err(invalid("Padding string must not be empty"));
    }
    let n_letters = text.chars().count();
    if n_letters >= size {
        return Ok(text.chars().take(size).collect());
    }
    let padding: String = with.chars().cycle().take(size - n_letters).collect();
    Ok(if is_left { padding + text } else { format!("{text}{padding}") })
}

/// At most `limit` parts, the rest in the last; an empty delimiter splits letter by letter.
fn parts<'a>(text: &'a str, delimiter: &str, limit: usize) -> Vec<&'a str> {
    if delimiter.is_empty() {
        return text.split_inclusive(|_| true).collect();
    }
    text.splitn(limit, delimiter).collect()
}

fn split(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows(arrays) {
        let Some(row) = row else {
            lists.append_null();
            continue;
        };
        let limit = if row.n > 2 { row.number(2) } else { i64::MAX };
        let limit = usize::try_from(limit).ok().filter(|it| *it > 0);
        let limit = limit.ok_or_else(|| invalid("Limit must be positive"))?;
        if row.text(1).is_empty() {
            return Err(invalid("The delimiter may not be the empty string"));
        }
        for part in parts(row.text(0), row.text(1), limit) {
            lists.values().append_value(part);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
