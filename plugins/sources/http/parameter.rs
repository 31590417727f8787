//! Query parameters: strings, numbers or booleans.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// The value of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(inline, extend("type" = ["string", "number", "boolean"]))]
pub(super) struct Parameter(pub(super) String);

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Parameter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Parameter, E> {
                Ok(Parameter(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Parameter, E> {
                Ok(Parameter(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Parameter, E> {
                Ok(Parameter(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Parameter, E> {
                Ok(Parameter(number.to_string()))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Parameter, E> {
                Ok(Parameter(truth.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_accepts_numbers_and_booleans() {
        let read = |value| serde_json::from_value::<Parameter>(value).map(|it| it.0);
        assert_eq!(read("a b".into()).unwrap(), "a b");
        assert_eq!(read(100.into()).unwrap(), "100");
        assert_eq!(read(0.5.into()).unwrap(), "0.5");
        assert_eq!(read(true.into()).unwrap(), "true");
        assert!(
            read(serde_json::json!([1])).unwrap_err().to_string().contains("a string, a number or a boolean")
        );
    }
}
