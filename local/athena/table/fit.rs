//! Fitting: a value of JSON as the type of its column has it, or the news that it does not fit.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::arrow::datatypes::{DataType, Fields};
use serde_json::Value;

/// The value as the type takes it; an error is the text of the value that does not fit.
pub(super) fn fit(value: Value, kind: &DataType) -> Result<Value, String> {
    if value.is_null() {
        return Ok(value);
    }
    match kind {
        DataType::Utf8 => Ok(match value {
            Value::String(_) => value,
            // A text column takes whatever stands there, as text.
            other => Value::String(other.to_string()),
        }),
        DataType::Int8 => integer(value, i64::from(i8::MIN)..=i64::from(i8::MAX)),
        DataType::Int16 => integer(value, i64::from(i16::MIN)..=i64::from(i16::MAX)),
        DataType::Int32 => integer(value, i64::from(i32::MIN)..=i64::from(i32::MAX)),
        DataType::Int64 => integer(value, i64::MIN..=i64::MAX),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => match &value {
            Value::Number(_) => Ok(value),
            Value::String(text) if text.trim().parse::<f64>().is_ok() => Ok(value),
            _ => Err(text(&value)),
        },
        DataType::Boolean => match &value {
            Value::Bool(_) => Ok(value),
            Value::String(word) if word.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Value::String(word) if word.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            _ => Err(text(&value)),
        },
        DataType::Date32 => when(value, |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()),
        DataType::Timestamp(..) => when(value, |text| {
            NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").is_ok()
                || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok()
                || DateTime::parse_from_rfc3339(text).is_ok()
        }),
        DataType::List(element) => match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| fit(item, element.data_type()))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            other => Err(text(&other)),
        },
        DataType::Struct(fields) => structure(value, fields),
        _ => Ok(value),
    }
}

fn integer(value: Value, range: std::ops::RangeInclusive<i64>) -> Result<Value, String> {
    let number = match &value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(number.into()),
        None => Err(text(&value)),
    }
}

fn when(value: Value, is_fit: impl Fn(&str) -> bool) -> Result<Value, String> {
    if value.as_str().is_some_and(is_fit) { Ok(value) } else { Err(text(&value)) }
}

fn structure(value: Value, fields: &Fields) -> Result<Value, String> {
    let Value::Object(map) = value else { return Err(text(&value)) };
    let mut fitted = serde_json::Map::new();
    for (key, value) in map {
        let name = key.to_lowercase();
        if let Some((_, field)) = fields.find(&name) {
            fitted.insert(name, fit(value, field.data_type())?);
        }
    }
    Ok(Value::Object(fitted))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
