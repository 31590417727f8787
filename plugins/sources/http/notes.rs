//! Recognizes errors and rate limits in responses with a success status.

use serde_json::{Map, Value};

/// A larger response is not examined.
const MAX_BYTES: usize = 64 << 10;

/// What a response says instead of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    RateLimit,
    Error,
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

/// Members that a response with an error has, and nothing else.
const MEMBERS: [&str; 30] = [
    "code",
    "description",
    "detail",
    "details",
    "documentation_url",
    "error",
    "error message",
    "error_code",
    "error_description",
    "error_message",
    "errorcode",
    "errormessage",
    "errors",
    "fault",
    "help",
    "info",
    "information",
    "message",
    "msg",
    "note",
    "ok",
    "path",
    "reason",
    "request_id",
    "requestid",
    "status",
    "status_code",
    "statuscode",
    "success",
    "type",
];

/// Members that are absent, or empty, in a response without an error.
const ERRORS: [&str; 8] = [
    "error",
    "error message",
    "error_description",
    "error_message",
    "errorcode",
    "errormessage",
    "errors",
    "fault",
];

/// What a JSON object says that has the members of an error and none of a record.
pub(super) fn of_json(body: &[u8]) -> Option<Note> {
    if body.len() > MAX_BYTES {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let member = |name: &str| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| it);
    let is_known = |key: &String| MEMBERS.contains(&key.to_ascii_lowercase().as_str()) || key == "timestamp";
    if object.is_empty() || !object.keys().all(is_known) {
        return None;
    }
    let texts = [
        "error",
        "error message",
        "error_message",
        "errormessage",
        "errors",
        "message",
        "msg",
        "note",
        "information",
        "info",
        "detail",
        "reason",
        "description",
    ];
    let says_limit = |name: &&str| member(name).is_some_and(|value| is_about_limit(&value.to_string()));
    if texts.iter().any(says_limit) {
        return Some(Note::RateLimit);
    }
    let is_set =
        |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && *value != "" && *value != 0;
    let is_bad_code = |value: &Value| value.as_u64().is_some_and(|code| (400..600).contains(&code));
    let is_bad_word = |value: &Value| {
        value.as_str().is_some_and(|word| {
            ["error", "fail", "failed", "failure"].iter().any(|bad| word.eq_ignore_ascii_case(bad))
        })
    };
    let is_error = ERRORS.iter().filter_map(|name| member(name)).any(is_set)
        || ["code", "status", "status_code", "statuscode"]
            .iter()
            .filter_map(|name| member(name))
            .any(is_bad_code)
        || member("status").is_some_and(is_bad_word)
        || ["success", "ok"].iter().filter_map(|name| member(name)).any(|value| *value == false);
    is_error.then_some(Note::Error)
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
    fn errors_and_limits_are_told_from_records() {
        for (body, note) in [
            (r#"{"Note": "our standard API call frequency is 5 calls per minute"}"#, Some(Note::RateLimit)),
            (
                r#"{"code": 429, "message": "You have run out of API credits.", "status": "error"}"#,
                Some(Note::RateLimit),
            ),
            (r#"{"Information": "The limit is 25 requests per day."}"#, Some(Note::RateLimit)),
            (r#"{"Error Message": "Invalid API call."}"#, Some(Note::Error)),
            (r#"{"error": {"code": 400, "reason": "x"}}"#, Some(Note::Error)),
            (r#"{"status": "error", "message": "no such symbol"}"#, Some(Note::Error)),
            (r#"{"success": false, "errors": []}"#, Some(Note::Error)),
            (r#"{"statusCode": 500, "message": "oops"}"#, Some(Note::Error)),
            (r#"{"message": "hello", "timestamp": 5}"#, None),
            (r#"{"status": "ok", "code": 0}"#, None),
            (r#"{"error": null, "status": "ok"}"#, None),
            (r#"{"error": "x", "price": 1}"#, None),
            (r#"{"code": "NYA", "type": "index"}"#, None),
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
