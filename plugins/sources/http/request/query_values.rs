//! Query parameters: strings, numbers or booleans, or lists of them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The value of a query parameter; a list repeats the parameter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(inline, extend("type" = ["string", "number", "boolean", "array"]))]
pub(crate) struct Parameter(pub(crate) Vec<String>);

impl TryFrom<Value> for Parameter {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Ok(Parameter(match value {
            Value::Array(values) => values.into_iter().map(scalar).collect::<Result<_, _>>()?,
            value => vec![scalar(value)?],
        }))
    }
}

fn scalar(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        // As Rust prints it: 1.0 is sent as `1`.
        Value::Number(number) if number.is_f64() => Ok(number.as_f64().unwrap_or_default().to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("expected a string, a number, a boolean, or a list of these"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameter_accepts_scalars_and_lists_of_them() {
        let read = |value| serde_json::from_value::<Parameter>(value).map(|it| it.0);
        for (value, text) in
            [(json!("a b"), "a b"), (json!(100), "100"), (json!(0.5), "0.5"), (json!(true), "true")]
        {
            assert_eq!(read(value).unwrap(), [text]);
        }
        assert_eq!(read(json!(["a", 1])).unwrap(), ["a", "1"]);
        for refused in [json!([[1]]), json!({"a": 1}), json!(null)] {
            assert!(read(refused).unwrap_err().to_string().contains("a list of these"));
        }
    }
}
