//! Query parameters: their values in the pipeline file, and changes of some in a URL.

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::shared::text::scalar_text;

/// The value of a query parameter; a list repeats the parameter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(inline, extend("type" = ["string", "number", "boolean", "array"]))]
pub(crate) struct QueryValues(pub(crate) Vec<String>);

impl TryFrom<Value> for QueryValues {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Ok(QueryValues(match value {
            Value::Array(values) => values.into_iter().map(scalar).collect::<Result<_, _>>()?,
            value => vec![scalar(value)?],
        }))
    }
}

fn scalar(value: Value) -> Result<String, &'static str> {
    scalar_text(value).ok_or("expected a string, a number, a boolean, or a list of these")
}

/// Replaces values of query parameters; the others stay byte for byte.
pub(crate) fn replace_values(url: &mut Url, new_value: impl Fn(&str, &str) -> Option<String>) {
    let Some(query) = url.query() else { return };
    let piece = |piece: &str| {
        let (name, value) = url::form_urlencoded::parse(piece.as_bytes()).next()?;
        let value = new_value(&name, &value)?;
        Some(url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish())
    };
    let pieces: Vec<String> = query.split('&').map(|it| piece(it).unwrap_or_else(|| it.to_owned())).collect();
    url.set_query(Some(&pieces.join("&")));
}

/// Replaces a query parameter; the others stay byte for byte.
pub(crate) fn set_parameter(url: &mut Url, name: &str, value: Option<&str>) {
    let is_other = |piece: &&str| {
        !piece.is_empty() && url::form_urlencoded::parse(piece.as_bytes()).all(|(known, _)| known != name)
    };
    let kept: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    let kept = (!kept.is_empty()).then(|| kept.join("&"));
    url.set_query(kept.as_deref());
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::client::HIDDEN;
    use super::*;
    use serde_json::json;

    #[test]
    fn set_parameter_leaves_other_parameters_unchanged() {
        let mut url = Url::parse("http://a/?q=x%20y&page=1&page=2&flag").unwrap();
        set_parameter(&mut url, "page", Some("3 4"));
        assert_eq!(url.query(), Some("q=x%20y&flag&page=3+4"));
        set_parameter(&mut url, "q", None);
        set_parameter(&mut url, "flag", None);
        set_parameter(&mut url, "page", None);
        assert_eq!(url.as_str(), "http://a/");
    }

    #[test]
    fn replace_values_keeps_the_order_and_other_parameters() {
        let mut url = Url::parse("http://a/?q=x%20y&appid=a%2Fb&appid=c&flag").unwrap();
        replace_values(&mut url, |name, value| {
            ((name, value) == ("appid", "a/b")).then(|| HIDDEN.to_owned())
        });
        assert_eq!(url.query(), Some("q=x%20y&appid=***&appid=c&flag"));
        replace_values(&mut url, |_, value| (value == HIDDEN).then(|| "a/b".to_owned()));
        assert_eq!(url.query(), Some("q=x%20y&appid=a%2Fb&appid=c&flag"));
    }

    #[test]
    fn parameter_accepts_scalars_and_lists_of_them() {
        let read = |value| serde_json::from_value::<QueryValues>(value).map(|it| it.0);
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
