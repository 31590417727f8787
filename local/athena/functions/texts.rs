//! Texts: regular expressions as Trino names them, and what a value's type is called.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use regex::Regex;

use super::scalar::{Function, Kind, invalid};
use crate::athena::value::type_name;

pub(super) const ALL: &[Function] = &[
    Function {
        name: "regexp_extract",
        takes: &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Bigint]],
        gives: |_| DataType::Utf8,
        does: extract,
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

fn extract(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, patterns) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let groups = arrays.get(2).map(|groups| groups.as_primitive::<Int64Type>());
    let mut known: Option<(String, Regex)> = None;
    let found = texts.iter().zip(patterns).enumerate().map(|(row, (text, pattern))| {
        let (Some(text), Some(pattern)) = (text, pattern) else { return Ok(None) };
        let group = groups.map_or(0, |groups| groups.value(row));
        if known.as_ref().is_none_or(|(of, _)| of != pattern) {
            let regex =
                Regex::new(pattern).map_err(|error| invalid(format!("the pattern {pattern}: {error}")))?;
            known = Some((pattern.to_owned(), regex));
        }
        let captures = known.as_ref().and_then(|(_, regex)| regex.captures(text));
        Ok(captures.and_then(|it| it.get(usize::try_from(group).ok()?)).map(|it| it.as_str()))
    });
    Ok(Arc::new(found.collect::<Result<StringArray>>()?))
}
