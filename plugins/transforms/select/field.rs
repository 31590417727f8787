//! A field of the new record: where its value comes from, and what it must be.

use anyhow::anyhow;
use runner_core::{ColumnType, Error};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

use crate::shared::json_paths::Path;
use crate::shared::values::{Misfit, TypeName, ValueType};

/// A field of the new record.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where the value of a field comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Constant(Constant),
    Record(Taken),
}

/// A value that is taken from the record.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) path: Path,
    /// `None` leaves the value as it is.
    pub(super) kind: Option<ValueType>,
    /// Texts that mean null, in addition to those of the source.
    pub(super) null_values: Vec<Box<str>>,
    pub(super) absent: Absent,
}

/// What a field becomes that the record does not have.
#[derive(Clone, Debug)]
pub(super) enum Absent {
    Rejected,
    Null,
    Default(Constant),
}

impl Field {
    /// The record does not have the field.
    pub(super) fn missing(&self, path: &Path, there_is: &str) -> Error {
        anyhow!(
            "field `{}`: the record has no `{path}`; {there_is}. Set `default`, or `required = false`",
            self.name
        )
    }

    /// The value does not fit the type of the field. It is not shown.
    pub(super) fn misfit(&self, path: &Path, misfit: &Misfit) -> Error {
        if self.name == path.as_str() {
            anyhow!("field `{}`: {misfit}", self.name)
        } else {
            anyhow!("field `{}`, taken from `{path}`: {misfit}", self.name)
        }
    }

    /// The value is an object or an array, and the type is not.
    pub(super) fn not_a_scalar(&self, path: &Path, found: &str, kind: TypeName) -> Error {
        anyhow!(
            "field `{}`, taken from `{path}`: the value is {found}, not of type {}",
            self.name,
            kind.as_str()
        )
    }
}

/// A value of the pipeline file: text, a number or a boolean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) kind: ColumnType,
    /// The value as a cell.
    pub(super) cell: String,
}

impl Constant {
    /// This value as one of a declared type.
    pub(super) fn typed(self, kind: &ValueType) -> Result<Constant, Misfit> {
        let mut cell = Vec::new();
        kind.write_cell(self.cell.as_bytes(), &mut cell)?;
        let cell = String::from_utf8_lossy(&cell).into_owned();
        Ok(Constant { kind: kind.column_type(), cell })
    }
}

impl<'de> Deserialize<'de> for Constant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConstantVisitor;

        impl Visitor<'_> for ConstantVisitor {
            type Value = Constant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Constant, E> {
                Ok(Constant { kind: ColumnType::Boolean, cell: value.to_string() })
            }

            fn visit_i64<E>(self, value: i64) -> Result<Constant, E> {
                Ok(Constant { kind: ColumnType::Integer, cell: value.to_string() })
            }

            fn visit_u64<E>(self, value: u64) -> Result<Constant, E> {
                Ok(Constant { kind: ColumnType::Integer, cell: value.to_string() })
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Constant, E> {
                let number = serde_json::Number::from_f64(value);
                let number = number.ok_or_else(|| E::custom("JSON has no infinite number and no NaN"))?;
                Ok(Constant { kind: ColumnType::Float, cell: number.to_string() })
            }

            fn visit_str<E>(self, value: &str) -> Result<Constant, E> {
                Ok(Constant { kind: ColumnType::String, cell: value.to_owned() })
            }
        }

        deserializer.deserialize_any(ConstantVisitor).map_err(D::Error::custom)
    }
}
