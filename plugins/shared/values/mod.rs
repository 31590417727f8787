//! Values of declared types: text becomes a number, a boolean, a date or a time, and is written
//! as the lake reads it.

mod boolean;
mod iso;
mod number;
mod pattern;
mod time;
mod time_format;

use std::fmt;

use runner_core::ColumnType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use number::has_point;
pub(crate) use pattern::Pattern;
pub(crate) use time_format::{ReadTime, WriteTime};

/// The name of a type in a pipeline file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum TypeName {
    /// A whole number of 64 bits. `+5` and `5.0` are read as 5.
    Integer,
    /// A number, always written with a decimal point or an exponent. `.5`, `5.` and `+5` are numbers.
    Float,
    /// true/false, yes/no, t/f, y/n or 1/0, in any case.
    Boolean,
    /// Text.
    String,
    /// A date, written as `%Y-%m-%d`.
    Date,
    /// A date and a time of day in UTC, written as `%Y-%m-%d %H:%M:%S%.3f`.
    Timestamp,
}

impl TypeName {
    /// The name as pipeline files write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TypeName::Integer => "integer",
            TypeName::Float => "float",
            TypeName::Boolean => "boolean",
            TypeName::String => "string",
            TypeName::Date => "date",
            TypeName::Timestamp => "timestamp",
        }
    }

    /// Whether `parse` and `format` mean anything for this type.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, TypeName::Date | TypeName::Timestamp)
    }

    /// The type of a value of this type in a table.
    pub(crate) fn column_type(self) -> ColumnType {
        match self {
            TypeName::Integer => ColumnType::Integer,
            TypeName::Float => ColumnType::Float,
            TypeName::Boolean => ColumnType::Boolean,
            TypeName::String | TypeName::Date | TypeName::Timestamp => ColumnType::String,
        }
    }
}

/// A type, and how its dates and times are read and written.
#[derive(Clone, Debug)]
pub(crate) struct ValueType {
    name: TypeName,
    read: ReadTime,
    write: WriteTime,
}

impl ValueType {
    /// A type; `read` and `write` are used by dates and timestamps alone.
    pub(crate) fn new(name: TypeName, read: Option<ReadTime>, write: Option<WriteTime>) -> Self {
        ValueType { name, read: read.unwrap_or_default(), write: write.unwrap_or_default() }
    }

    /// The name of the type.
    pub(crate) fn name(&self) -> TypeName {
        self.name
    }

    /// The type of a column that holds what [`write_cell`](Self::write_cell) writes.
    pub(crate) fn column_type(&self) -> ColumnType {
        if self.name.is_time() && self.write.is_number() {
            return ColumnType::Integer;
        }
        self.name.column_type()
    }

    /// Whether the text has a time of day other than midnight that a date would drop, although no pattern asks
    /// for that.
    pub(crate) fn loses_time_of(&self, text: &[u8]) -> bool {
        self.name == TypeName::Date
            && self.read == ReadTime::default()
            && self.read.read(text).is_some_and(|time| time.has_time_of_day())
    }

    /// Appends a text as a value of this type: a number or a boolean as JSON writes it, other
    /// values as text without quotes. A float without a fraction stays without a decimal point,
    /// which a table adds. After an error `out` is as it was.
    pub(crate) fn write_cell(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
        match self.name {
            TypeName::Integer => number::write_integer(text, out),
            TypeName::Float => number::write_float(text, out),
            TypeName::Boolean => boolean::write(text, out),
            TypeName::String => {
                out.extend_from_slice(text);
                Ok(())
            }
            TypeName::Date => {
                let misfit = || Misfit::Time { kind: "date", form: self.read.to_string() };
                let time = self.read.read(text).ok_or_else(misfit)?;
                self.write.write_date(&time, out).ok_or_else(misfit)
            }
            TypeName::Timestamp => {
                let misfit = || Misfit::Time { kind: "timestamp", form: self.read.to_string() };
                let time = self.read.read(text).ok_or_else(misfit)?;
                self.write.write_timestamp(&time, out).ok_or_else(misfit)
            }
        }
    }
}

/// Why a text is not a value of a type. The text itself is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    Integer,
    /// A whole number that 64 bits cannot hold.
    LongInteger,
    Float,
    /// A number that is larger than a float can be.
    HugeFloat,
    Boolean,
    Time {
        kind: &'static str,
        form: String,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Integer => f.write_str("the value is not an integer"),
            Misfit::LongInteger => {
                f.write_str("the integer needs more than 64 bits; \"string\" keeps its digits")
            }
            Misfit::Float => f.write_str("the value is not a number"),
            Misfit::HugeFloat => {
                f.write_str("the number is larger than a float can be; \"string\" keeps its digits")
            }
            Misfit::Boolean => {
                f.write_str("the value is not a boolean: true/false, yes/no, t/f, y/n or 1/0 in any case")
            }
            Misfit::Time { kind, form } => write!(f, "the value is not a {kind} in the form {form}"),
        }
    }
}

#[cfg(test)]
mod tests;
