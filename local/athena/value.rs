//! Values: their text in a result, and the names of their types.

use datafusion::arrow::array::{Array as _, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

/// A column of a result.
#[derive(Clone, Debug)]
pub(super) struct OutputColumn {
    pub(super) name: String,
    /// Without the types of its parts.
    pub(super) kind: String,
    /// The precision and scale of a decimal number.
    pub(super) digits: (u8, i8),
}

impl OutputColumn {
    pub(super) fn of(field: &Field) -> OutputColumn {
        // DataFusion names a field of a structure `column[field]`.
        let field_of = field.name().strip_suffix(']').and_then(|name| name.rsplit_once('['));
        let name = field_of.map_or(field.name().as_str(), |(_, name)| name);
        let kind = type_name(field.data_type()).replace("(3)", "");
        let kind = kind.split('(').next().unwrap_or_default().to_owned();
        let digits = match field.data_type() {
            DataType::Decimal128(precision, scale) => (*precision, *scale),
            _ => (0, 0),
        };
        OutputColumn { name: name.to_owned(), kind, digits }
    }

    pub(super) fn show(&self) -> Value {
        let (precision, scale) = self.digits;
        json!({
            "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": self.name, "Label": self.name,
            "Type": self.kind, "Precision": precision, "Scale": scale, "Nullable": "UNKNOWN",
            "CaseSensitive": self.kind == "varchar",
        })
    }
}

/// Trino's name of a type, with the types of its parts.
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
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(_, None) => "timestamp(3)".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp(3) with time zone".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval day to second".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary".into(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("array({})", type_name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let part = |field: &FieldRef| format!("{} {}", field.name(), type_name(field.data_type()));
            format!("row({})", fields.iter().map(part).collect::<Vec<_>>().join(", "))
        }
        DataType::Map(..) => "map".into(),
        _ => "varchar".into(),
    }
}

/// The text of one value, none for NULL.
pub(super) fn text(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return None;
    }
    let options = FormatOptions::default()
        .with_null("null")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f UTC"));
    let text = match ArrayFormatter::try_new(array, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    };
    Some(match &*text {
        "inf" if array.data_type().is_floating() => "Infinity".into(),
        "-inf" if array.data_type().is_floating() => "-Infinity".into(),
        _ => text,
    })
}
