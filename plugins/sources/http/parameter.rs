//! Query parameters: strings, numbers or booleans.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The value of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(inline, extend("type" = ["string", "number", "boolean"]))]
pub(super) struct Parameter(pub(super) String);

impl TryFrom<Value> for Parameter {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Parameter(text)),
            Value::Bool(value) => Ok(Parameter(value.to_string())),
            // As Rust prints it: 1.0 is sent as `1`.
            Value::Number(number) if number.is_f64() => {
                Ok(Parameter(number.as_f64().unwrap_or_default().to_string()))
            }
            Value::Number(number) => Ok(Parameter(number.to_string())),
            _ => Err("expected a string, a number or a boolean"),
        }
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
