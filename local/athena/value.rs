//! Values: how Athena writes them, and what it calls their types.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

/// A column of a result.
#[derive(Clone, Debug)]
pub(super) struct OutputColumn {
    pub(super) name: String,
    pub(super) kind: String,
}

impl OutputColumn {
    pub(super) fn show(&self) -> Value {
        let decimal = self.kind.strip_prefix("decimal(").and_then(|it| it.strip_suffix(')')?.split_once(','));
        let number = |text: &str| text.parse::<i32>().unwrap_or_default();
        let (precision, scale) = match self.kind.as_str() {
            "bigint" => (19, 0),
            "integer" => (10, 0),
            "smallint" => (5, 0),
            "tinyint" | "timestamp" => (3, 0),
            "double" | "float" => (17, 0),
            "varchar" => (2_147_483_647, 0),
            _ => decimal.map_or((0, 0), |(precision, scale)| (number(precision), number(scale))),
        };
        // Types of values with parts are told without their parts.
        let kind = self.kind.split('(').next().unwrap_or(&self.kind);
        json!({
            "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": self.name, "Label": self.name,
            "Type": kind, "Precision": precision, "Scale": scale, "Nullable": "UNKNOWN",
            "CaseSensitive": kind == "varchar",
        })
    }
}

/// What Trino calls a type.
pub(super) fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Null => "unknown".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "integer".into(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".into(),
        DataType::Float16 | DataType::Float32 => "real".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(_, None) => "timestamp(3)".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp(3) with time zone".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval day to second".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary".into(),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            format!("array({})", type_name(element.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("row({})", fields.join(", "))
        }
        DataType::Map(..) => "map".into(),
        _ => "varchar".into(),
    }
}

/// What a result's metadata calls a type.
pub(super) fn column_type(kind: &DataType) -> String {
    match kind {
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".into(),
        DataType::Float16 | DataType::Float32 => "float".into(),
        _ => type_name(kind),
    }
}

/// The text of one value, or none for NULL.
pub(super) fn text(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => single(array.as_primitive::<Float32Type>().value(row)),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let parts = fields.iter().zip(columns).map(|(field, column)| {
                format!("{}={}", field.name(), text(column, row).unwrap_or_else(|| "null".into()))
            });
            format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
        }
        _ => plain(array, row),
    })
}

fn list(values: &ArrayRef) -> String {
    let items = (0..values.len()).map(|row| text(values, row).unwrap_or_else(|| "null".into()));
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn plain(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f UTC"));
    match ArrayFormatter::try_new(array, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    }
}

/// As Java writes it: plainly from a thousandth to ten million, and with an exponent beyond.
fn double(value: f64) -> String {
    java(value, format!("{value}"), format!("{value:E}"))
}

fn single(value: f32) -> String {
    java(f64::from(value), format!("{value}"), format!("{value:E}"))
}

fn java(value: f64, plain: String, scientific: String) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (2_568.300_049, "2568.300049"),
            (12_345_678.0, "1.2345678E7"),
            (1e10, "1.0E10"),
            (0.0001, "1.0E-4"),
            (-0.5, "-0.5"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
    }
}
