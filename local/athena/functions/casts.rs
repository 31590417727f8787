//! Casts: to text as Trino writes values, and to and from the wide numbers that a sum is made in.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Int64Type};
use datafusion::common::{DataFusionError, Result};

use super::scalar::{Function, Kind};
use crate::athena::value::{text, type_name};

/// Functions that only a rewriting calls.
pub(in crate::athena) const TO_TEXT: &str = "to_text$";
pub(in crate::athena) const WIDE: &str = "wide$";
pub(in crate::athena) const NARROW: &str = "narrow$";

/// No column is as wide: it tells the sum of bigints from others.
const WIDTH: u8 = 60;

pub(super) const ALL: &[Function] = &[
    Function {
        name: TO_TEXT,
        takes: &[&[Kind::Any], &[Kind::Any, Kind::Bigint]],
        gives: |_| DataType::Utf8,
        does: to_text,
    },
    Function {
        name: WIDE,
        takes: &[&[Kind::Any]],
        gives: |given| if given[0].is_integer() { DataType::Decimal256(WIDTH, 0) } else { given[0].clone() },
        does: |arrays| match arrays[0].data_type() {
            kind if kind.is_integer() => Ok(cast(&arrays[0], &DataType::Decimal256(WIDTH, 0))?),
            _ => Ok(arrays[0].clone()),
        },
    },
    Function {
        name: NARROW,
        takes: &[&[Kind::Any]],
        gives: |given| sum_of(&given[0]),
        does: |arrays| {
            if !is_wide(arrays[0].data_type()) {
                return Ok(cast(&arrays[0], &sum_of(arrays[0].data_type()))?);
            }
            let sums = arrays[0].as_primitive::<Decimal256Type>().iter().map(|sum| {
                let Some(sum) = sum else { return Ok(None) };
                let narrow = sum.to_i128().and_then(|sum| i64::try_from(sum).ok());
                narrow
                    .map(Some)
                    .ok_or_else(|| out_of_range(format!("bigint addition overflow: the sum is {sum}")))
            });
            Ok(Arc::new(sums.collect::<Result<Int64Array>>()?))
        },
    },
];

/// The type of a sum: one of decimals has all the digits there are.
fn sum_of(kind: &DataType) -> DataType {
    match kind {
        kind if is_wide(kind) => DataType::Int64,
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        other => other.clone(),
    }
}

fn is_wide(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal256(precision, 0) if *precision >= WIDTH)
}

/// What Trino says of a number that its type has no room for.
pub(super) fn out_of_range(message: String) -> DataFusionError {
    DataFusionError::Execution(format!("NUMERIC_VALUE_OUT_OF_RANGE: {message}"))
}

/// The second argument is the length of `varchar(n)`: texts are cut, other values have to fit.
fn to_text(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = &arrays[0];
    let is_text = values.data_type().is_string();
    let limits = arrays.get(1).map(|it| it.as_primitive::<Int64Type>());
    let texts = (0..values.len()).map(|row| {
        let Some(text) = text(values, row) else { return Ok(None) };
        let limit = limits.and_then(|it| usize::try_from(it.value(row)).ok()).unwrap_or(usize::MAX);
        if text.len() <= limit || text.chars().count() <= limit {
            return Ok(Some(text));
        }
        if is_text {
            return Ok(Some(text.chars().take(limit).collect()));
        }
        Err(DataFusionError::Execution(format!(
            "INVALID_CAST_ARGUMENT: Value {text} ({}) cannot be represented as varchar({limit})",
            type_name(values.data_type())
        )))
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}
