//! Recognizes errors, rate limits and "no data" in responses with a success status.

use serde_json::{Map, Value};

/// A larger response is not examined.
const MAX_BYTES: usize = 64 << 10;

/// What a response says instead of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    RateLimit,
    Error,
    /// There are no records.
    Empty,
    /// There are no records yet.
    Pending,
}

/// Phrases of APIs that limit their clients.
const LIMITS: [&str; 20] = [
    "rate limit",
    "rate-limit",
    "ratelimit",
    "too many requests",
    "too many calls",
    "call frequency",
    "calls per",
    "requests per",
    "per minute",
    "daily limit",
    "hits limit",
    "request limit",
    "limit exceeded",
    "limit reached",
    "exceeded the",
    "exceeded your",
    "quota",
    "credits",
    "throttl",
    "slow down",
];

/// Whether a text says that the client has sent too many requests.
pub(super) fn is_about_limit(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    LIMITS.iter().any(|phrase| text.contains(phrase))
}

/// Members that a response with an error has, and nothing else; in lower case, without `_`, `-` and blanks.
const MEMBERS: [&str; 56] = [
    "cod",
    "code",
    "description",
    "detail",
    "details",
    "documentation",
    "documentationurl",
    "err",
    "errcode",
    "errmsg",
    "errno",
    "error",
    "errorcode",
    "errordescription",
    "errormessage",
    "errormsg",
    "errors",
    "errortype",
    "exception",
    "extensions",
    "fault",
    "help",
    "info",
    "information",
    "instance",
    "locations",
    "message",
    "messages",
    "msg",
    "nexttime",
    "note",
    "ok",
    "path",
    "reason",
    "requestid",
    "requesttime",
    "response",
    "result",
    "retcode",
    "retextinfo",
    "retmsg",
    "s",
    "servertime",
    "state",
    "status",
    "statuscode",
    "statustext",
    "success",
    "termsofuse",
    "time",
    "timestamp",
    "title",
    "traceid",
    "ts",
    "type",
    "warnings",
];

/// Members that hold the records, and are void in a response with an error.
const PAYLOADS: [&str; 9] =
    ["content", "data", "items", "payload", "records", "response", "result", "results", "rows"];

/// Members that are absent, or void, in a response without an error.
const ERRORS: [&str; 13] = [
    "err",
    "errcode",
    "errmsg",
    "errno",
    "error",
    "errorcode",
    "errordescription",
    "errormessage",
    "errormsg",
    "errors",
    "errortype",
    "exception",
    "fault",
];

/// Members with a code, or with the status of HTTP.
const CODES: [&str; 5] = ["cod", "code", "retcode", "status", "statuscode"];

/// Members with a word for the outcome.
const OUTCOMES: [&str; 5] = ["response", "result", "s", "status", "statustext"];

/// Members with a text for people.
const TEXTS: [&str; 16] = [
    "description",
    "detail",
    "error",
    "errordescription",
    "errmsg",
    "errormessage",
    "errormsg",
    "errors",
    "info",
    "information",
    "message",
    "messages",
    "msg",
    "note",
    "reason",
    "retmsg",
];

/// The members of a response that holds no record, by their names as [`MEMBERS`] writes them.
struct Members(Map<String, Value>);

/// What a JSON object says that has the members of an error and none of a record.
pub(super) fn of_json(body: &[u8]) -> Option<Note> {
    let members = Members::of(body)?;
    match () {
        () if members.is_empty_answer() => Some(Note::Empty),
        () if members.is_about_limit() => Some(Note::RateLimit),
        () if members.is_error() => Some(Note::Error),
        () => None,
    }
}

/// Whether a JSON object says that there is an error, beside an empty list of records.
pub(super) fn has_error(body: &[u8]) -> bool {
    Members::of(body).is_some_and(|members| members.is_error())
}

impl Members {
    fn of(body: &[u8]) -> Option<Self> {
        if body.len() > MAX_BYTES {
            return None;
        }
        let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-', ' '], "");
        let members: Map<String, Value> =
            object.into_iter().map(|(name, value)| (plain(&name), value)).collect();
        let is_known = |(name, value): (&String, &Value)| {
            let (name, holds_records) =
                (name.as_str(), PAYLOADS.contains(&name.as_str()) && !value.is_string());
            if holds_records { is_void(value) } else { MEMBERS.contains(&name) }
        };
        (!members.is_empty() && members.iter().all(is_known)).then_some(Members(members))
    }

    fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        names.iter().filter_map(|name| self.0.get(*name))
    }

    /// `{"s": "no_data"}`
    fn is_empty_answer(&self) -> bool {
        self.all(&OUTCOMES)
            .any(|value| is_word(value, &["no_data", "nodata", "no data", "no_results", "empty"]))
    }

    fn is_about_limit(&self) -> bool {
        self.all(&TEXTS).any(|value| is_about_limit(&value.to_string()))
    }

    fn is_error(&self) -> bool {
        let is_failure = |value: &Value| *value == false || is_word(value, &["false", "no"]) || *value == 0;
        self.all(&ERRORS).any(|value| !is_void(value) && !is_success(value))
            || self.all(&CODES).any(is_bad_code)
            || self.all(&["retcode"]).any(|value| integer(value).is_some_and(|code| code != 0))
            || self.is_coded_message()
            || self.all(&OUTCOMES).any(|value| {
                is_word(value, &["error", "err", "fail", "failed", "failure", "false", "ko", "nok", "not_ok"])
            })
            || self.all(&["success", "ok"]).any(is_failure)
            || self.0.len() == 1 && self.all(&["detail"]).any(|value| !is_void(value))
    }

    /// A code of the API's own with a text: `{"code": "51001", "msg": "Instrument ID does not exist"}`
    fn is_coded_message(&self) -> bool {
        let is_own_code = |value: &Value| {
            integer(value).is_some_and(|code| code >= 1000 && !matches!(code, 10_000 | 20_000 | 200_000))
                || value.as_str().is_some_and(is_error_word)
        };
        let has_text = self
            .all(&["message", "msg"])
            .any(|value| value.is_string() && !is_void(value) && !is_success(value));
        has_text && self.all(&["code", "cod"]).any(is_own_code)
    }
}

/// Whether a value holds nothing.
fn is_void(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(_) => *value == 0,
        Value::String(text) => text.trim().trim_matches('0').is_empty(),
        Value::Array(values) => values.iter().all(is_void),
        Value::Object(members) => members.values().all(is_void),
    }
}

/// Whether a value is a text that says that all is well.
fn is_success(value: &Value) -> bool {
    let is_well = |text: &str| text.to_ascii_lowercase().contains("success");
    value.as_str().is_some_and(is_well) || is_word(value, &["ok", "none", "no error", "n/a"])
}

fn is_word(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|text| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
}

/// Whether a text is the name of an error, such as `INVALID_SYMBOL`.
fn is_error_word(text: &str) -> bool {
    let text = text.to_ascii_uppercase().replace(['_', '-', ' '], "");
    ["ERROR", "INVALID", "NOTFOUND", "UNAUTHORIZED", "FORBIDDEN", "DENIED", "EXCEED", "FAIL", "EXCEPTION"]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether a value is a status of HTTP for an error, or a negative number.
fn is_bad_code(value: &Value) -> bool {
    integer(value).is_some_and(|code| code < 0 || (400..600).contains(&code))
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What a text says that is a single line without one of these delimiters, where a table was expected.
pub(super) fn of_text(body: &[u8]) -> Option<Note> {
    let text = std::str::from_utf8(body.get(..MAX_BYTES).unwrap_or(body)).ok()?.trim();
    (text.lines().count() == 1 && is_about_limit(text)).then_some(Note::RateLimit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_limits_and_no_data_are_told_from_records() {
        let (limit, error, empty) = (Some(Note::RateLimit), Some(Note::Error), Some(Note::Empty));
        for (body, note) in [
            (r#"{"Note": "our standard API call frequency is 5 calls per minute"}"#, limit),
            (r#"{"code": 429, "message": "You have run out of API credits.", "status": "error"}"#, limit),
            (r#"{"Information": "The limit is 25 requests per day."}"#, limit),
            (r#"{"retCode": 10006, "retMsg": "Too many requests", "result": {}, "time": 1}"#, limit),
            (r#"{"Error Message": "Invalid API call."}"#, error),
            (r#"{"error": {"code": 400, "reason": "x"}}"#, error),
            (r#"{"status": "error", "message": "no such symbol"}"#, error),
            (r#"{"success": false, "errors": []}"#, error),
            (r#"{"success": false}"#, error),
            (r#"{"statusCode": 500, "message": "oops"}"#, error),
            (
                r#"{"errors": [{"message": "unknown field", "locations": [{"line": 1}]}], "data": null}"#,
                error,
            ),
            (r#"{"errors": [{"message": "x"}], "data": {"prices": null}, "extensions": {"a": 1}}"#, error),
            (r#"{"code": -1121, "msg": "Invalid symbol."}"#, error),
            (r#"{"code": "51001", "msg": "Instrument ID does not exist", "data": []}"#, error),
            (r#"{"code": "INVALID_SYMBOL", "message": "x"}"#, error),
            (
                r#"{"retCode": 10001, "retMsg": "symbol invalid", "result": {}, "retExtInfo": {}, "time": 1672}"#,
                error,
            ),
            (r#"{"detail": "Not authenticated"}"#, error),
            (r#"{"detail": [{"loc": ["query", "q"], "msg": "field required"}]}"#, error),
            (r#"{"type": "about:blank", "title": "Not Found", "status": 404, "instance": "/x"}"#, error),
            (r#"{"error": ["EQuery:Unknown asset pair"]}"#, error),
            (r#"{"Response": "False", "Error": "Movie not found!"}"#, error),
            (r#"{"result": "error", "error-type": "invalid-key", "terms-of-use": "http://a"}"#, error),
            (r#"{"cod": "401", "message": "Invalid key"}"#, error),
            (r#"{"s": "error", "errmsg": "x"}"#, error),
            (r#"{"s": "no_data"}"#, empty),
            (r#"{"s": "no_data", "nextTime": 1522108800}"#, empty),
            (r#"{"message": "hello", "timestamp": 5}"#, None),
            (r#"{"status": "ok", "code": 0}"#, None),
            (r#"{"error": null, "status": "ok"}"#, None),
            (r#"{"error": [], "result": {}}"#, None),
            (r#"{"errcode": 0, "errmsg": "ok", "data": []}"#, None),
            (r#"{"retCode": 0, "retMsg": "OK", "result": {}}"#, None),
            (r#"{"code": "200000", "msg": "", "data": null}"#, None),
            (r#"{"code": 10001, "message": "Request was a success"}"#, None),
            (r#"{"code": "0", "msg": "", "data": []}"#, None),
            (r#"{"error": "x", "price": 1}"#, None),
            (r#"{"error": "x", "data": [{"a": 1}]}"#, None),
            (r#"{"code": -1, "msg": "x", "result": [1]}"#, None),
            (r#"{"code": "NYA", "type": "index"}"#, None),
            (r#"{"code": "NYA", "description": "NYSE Composite"}"#, None),
            (r#"{"code": 1003, "type": "index"}"#, None),
            (r#"{"detail": "x", "title": "y"}"#, None),
            (r#"{"s": "ok", "status": "pending"}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(of_json(body.as_bytes()), note, "{body}");
        }
    }

    #[test]
    fn single_line_about_a_limit_is_not_a_table() {
        assert_eq!(of_text(b"Exceeded the daily hits limit\n"), Some(Note::RateLimit));
        assert_eq!(of_text(b"No data"), None);
        assert_eq!(of_text(b"quota\n1\n"), None);
    }
}
