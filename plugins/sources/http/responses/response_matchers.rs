//! The `responses` option: responses that are not what their status says.

use reqwest::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::super::json::{Located, Pointer};
use super::body_status;
use super::body_status::BodyStatus;

/// Responses that are not what their status says. The first list with a match decides, in the order
/// `fail`, `retry`, `empty`.
///
/// A matcher is a JSON pointer such as `"/Note"`, which must lead to a value other than null, or a
/// table. All conditions of a table must hold: `status`, the status code; `at`, a JSON pointer; `is`,
/// the value at `at`; `missing`, a JSON pointer that leads to no value or to null; `text`, a part of the
/// response, where `""` is a response without a body. `missing` and `""` alone match no error status. In
/// `empty`, `missing` matches no response that looks like an error, or says that its job is not done.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Responses {
    /// The request is repeated, as after a temporary failure.
    #[serde(default)]
    retry: Vec<Matcher>,
    /// The response contains no records, and the walk ends.
    #[serde(default)]
    empty: Vec<Matcher>,
    /// The request has failed, and is not repeated.
    #[serde(default)]
    fail: Vec<Matcher>,
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Retry,
    Empty,
    Fail,
}

// A condition for a response.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "Value", inline, extend("anyOf" = [
    { "type": "string", "examples": ["/Note"] },
    {
        "type": "object",
        "properties": {
            "status": { "type": "integer", "description": "The status code." },
            "at": { "type": "string", "description": "A JSON pointer to a value other than null." },
            "is": { "type": ["string", "number", "boolean"], "description": "The value at `at`." },
            "missing": {
                "type": "string",
                "description": "A JSON pointer that leads to no value, or to null.",
            },
            "text": { "type": "string", "description": "A part of the response; \"\" is a response without a body." },
        },
        "additionalProperties": false,
    },
]))]
struct Matcher {
    status: Option<StatusCode>,
    at: Option<Pointer>,
    is: Option<Value>,
    missing: Option<Pointer>,
    text: Option<String>,
    /// The condition as written, for messages.
    written: String,
}

impl TryFrom<Value> for Matcher {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        const EXPECTED: &str = "expected a JSON pointer such as \"/Note\", or a table with `status`, `at`, `is`, `missing` or `text`";
        let written = value.to_string();
        let mut table = match value {
            Value::String(pointer) => Map::from_iter([("at".to_owned(), Value::String(pointer))]),
            Value::Object(table) => table,
            _ => return Err(EXPECTED.into()),
        };
        let string = |table: &mut Map<String, Value>, name: &str| match table.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` must be a string that is not empty")),
        };
        let at = string(&mut table, "at")?.map(Pointer::try_from).transpose()?;
        let missing = string(&mut table, "missing")?.map(Pointer::try_from).transpose()?;
        let text = match table.get("text") {
            // A body without text.
            Some(Value::String(text)) if text.is_empty() => {
                table.remove("text");
                Some(String::new())
            }
            _ => string(&mut table, "text")?,
        };
        let is = table.remove("is");
        let status = match table.remove("status") {
            None => None,
            Some(status) => {
                let code =
                    status.as_u64().and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
                Some(code.ok_or("`status` must be a status code such as 418")?)
            }
        };
        if is.is_some() && at.is_none() {
            return Err("`is` requires `at`, the place of the value".into());
        }
        let says_nothing = status.is_none() && at.is_none() && missing.is_none() && text.is_none();
        if !table.is_empty() || says_nothing {
            return Err(EXPECTED.into());
        }
        Ok(Matcher { status, at, is, missing, text, written })
    }
}

impl Matcher {
    fn matches(&self, status: StatusCode, body: &[u8]) -> bool {
        self.status.map_or(status.is_success() || self.names_content(), |it| it == status)
            && self.text.as_ref().is_none_or(|text| match text.as_str() {
                "" => body.trim_ascii().is_empty(),
                text => memchr::memmem::find(body, text.as_bytes()).is_some(),
            })
            && self.at.as_ref().is_none_or(|at| self.is_at(at, body))
            && self.missing.as_ref().is_none_or(|missing| is_missing(missing, body))
    }

    /// Whether it names something that the response holds. What an error lacks says nothing about the records.
    fn names_content(&self) -> bool {
        self.at.is_some() || self.text.as_ref().is_some_and(|text| !text.is_empty())
    }

    fn is_at(&self, at: &Pointer, body: &[u8]) -> bool {
        let Ok(Located::At(range)) = at.locate(body) else { return false };
        let found = &body[range];
        match &self.is {
            None => found != b"null",
            Some(Value::Number(wanted)) => {
                let found = serde_json::from_slice::<Value>(found).ok().and_then(|found| found.as_f64());
                found.is_some() && found == wanted.as_f64()
            }
            Some(wanted) => serde_json::from_slice::<Value>(found).is_ok_and(|found| found == *wanted),
        }
    }
}

/// Whether a JSON object or array has no value at a place, or null.
fn is_missing(place: &Pointer, body: &[u8]) -> bool {
    match place.locate(body) {
        Ok(Located::At(range)) => body[range] == *b"null",
        Ok(Located::Nowhere(_)) => {
            body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
        }
        Err(_) => false,
    }
}

impl Responses {
    fn matchers(&self) -> impl Iterator<Item = &Matcher> {
        [&self.fail, &self.retry, &self.empty].into_iter().flatten()
    }

    /// The places that matchers look at.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.matchers().filter_map(|matcher| matcher.at.as_ref())
    }

    /// The places where matchers look for no value.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Pointer> {
        self.matchers().filter_map(|matcher| matcher.missing.as_ref())
    }

    /// Whether a matcher looks for a text anywhere.
    pub(crate) fn matches_text(&self) -> bool {
        self.matchers().any(|matcher| matcher.text.as_ref().is_some_and(|text| !text.is_empty()))
    }

    /// What to do with a response, and the option that says so; `None` if no matcher matches.
    pub(crate) fn verdict(&self, status: StatusCode, body: &[u8]) -> Option<(Verdict, String)> {
        let lists = [
            (Verdict::Fail, "fail", &self.fail),
            (Verdict::Retry, "retry", &self.retry),
            (Verdict::Empty, "empty", &self.empty),
        ];
        lists.into_iter().find_map(|(verdict, name, list)| {
            let matcher = list.iter().find(|matcher| {
                // An error has no records either, nor has a job that is not done.
                let may_be_other =
                    verdict == Verdict::Empty && matcher.missing.is_some() && matcher.at.is_none();
                let is_other = || {
                    matches!(body_status::of_json(body), Some(message) if message != BodyStatus::Empty)
                        || body_status::unfinished(body, "").is_some()
                };
                matcher.matches(status, body) && !(may_be_other && is_other())
            })?;
            Some((verdict, format!("`responses.{name}` matches it ({})", matcher.written)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(options: Value) -> Result<Responses, String> {
        serde_json::from_value(options).map_err(|error| error.to_string())
    }

    #[test]
    fn matcher_checks_pointer_value_status_and_text() {
        let code = json!({"at": "/code", "is": 429});
        let blank = json!({"status": 200, "text": ""});
        let both = json!({"status": 200, "text": "Exceeded the daily"});
        for (matcher, status, body, is_match) in [
            (&json!("/Note"), 200, r#"{"Note": "slow down"}"#, true),
            (&json!("/Note"), 200, r#"{"Note": null}"#, false),
            (&json!("/Note"), 200, r#"{"data": {"Note": 1}}"#, false),
            (&json!("/Note"), 200, "Note", false),
            (&json!({"status": 418}), 418, "", true),
            (&json!({"status": 418}), 419, "", false),
            (&code, 200, r#"{"code": 429.0}"#, true),
            (&code, 200, r#"{"code": "429"}"#, false),
            (&code, 200, r#"{"code": 200}"#, false),
            (&json!({"at": "/s", "is": "no_data"}), 200, r#"{"s":"no_data"}"#, true),
            (&blank, 200, " \n", true),
            (&blank, 200, "[]", false),
            (&both, 200, "Exceeded the daily hits limit", true),
            (&both, 500, "Exceeded the daily hits limit", false),
        ] {
            let responses = read(json!({"retry": [matcher]})).unwrap();
            let verdict = responses.verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(verdict.is_some(), is_match, "{matcher} {status} {body}");
        }
    }

    #[test]
    fn missing_matches_a_json_response_without_the_value() {
        let verdict = |list: &str, body: &str| {
            let responses = read(json!({list: [{"missing": "/items"}]})).unwrap();
            responses.verdict(StatusCode::OK, body.as_bytes()).is_some()
        };
        for body in [r#"{"total": 0}"#, r#"{"items": null}"#, "{}"] {
            assert!(verdict("empty", body) && verdict("retry", body), "{body}");
        }
        for body in
            [r#"{"items": []}"#, r#"{"items": 0}"#, "no items", "\"text\"", "<html></html>", "", "{\"a\":"]
        {
            assert!(!verdict("empty", body) && !verdict("retry", body), "{body}");
        }
        let error = r#"{"error": {"code": 500, "message": "Backend Error"}}"#;
        assert!(!verdict("empty", error) && verdict("fail", error));
        assert!(!verdict("empty", r#"{"jobComplete": false}"#));
        for bad in [json!({"missing": "items"}), json!({"missing": ""}), json!({"missing": 1})] {
            assert!(read(json!({"empty": [bad.clone()]})).is_err(), "{bad}");
        }
    }

    #[test]
    fn absence_alone_matches_no_error_status() {
        let verdict = |matcher: Value, status: u16, body: &str| {
            let responses = read(json!({"empty": [matcher]})).unwrap();
            responses.verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes()).is_some()
        };
        let (missing, blank) = (json!({"missing": "/items"}), json!({"text": ""}));
        for status in [400, 403, 404, 500, 504] {
            let message = r#"{"message": "Endpoint request timed out"}"#;
            assert!(!verdict(missing.clone(), status, message) && !verdict(blank.clone(), status, ""));
            assert!(verdict(json!({"missing": "/items", "status": status}), status, message));
            assert!(verdict(json!({"text": "", "status": status}), status, ""));
            assert!(verdict(json!({"missing": "/items", "at": "/message"}), status, message));
        }
        assert!(verdict(missing, 201, "{}") && verdict(blank, 204, ""));
    }

    #[test]
    fn first_list_with_a_match_decides() {
        let both = json!({"retry": [{"status": 400}], "fail": ["/fatal"], "empty": [{"status": 404}]});
        let responses = read(both).unwrap();
        for (status, body, expected) in [
            (400, r#"{"fatal": 1}"#, Some(Verdict::Fail)),
            (400, "{}", Some(Verdict::Retry)),
            (404, "{}", Some(Verdict::Empty)),
            (200, "{}", None),
        ] {
            let verdict = responses.verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(verdict.map(|(verdict, _)| verdict), expected, "{status} {body}");
        }
    }

    #[test]
    fn matcher_that_says_nothing_is_refused() {
        for matcher in
            [json!({}), json!(1), json!("Note"), json!({"is": 1}), json!({"status": 7}), json!({"a": 1})]
        {
            assert!(read(json!({"retry": [matcher]})).is_err());
        }
    }
}
