//! Recognizes errors, rate limits and "no data" in responses with a success status.

mod nested;

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
const CODES: [&str; 8] =
    ["cod", "code", "rcode", "resultcode", "retcode", "returncode", "status", "statuscode"];

/// Members with a word for the outcome.
const OUTCOMES: [&str; 5] = ["response", "result", "s", "status", "statustext"];

/// Members with the name of an error, such as `INVALID_SYMBOL`.
const LABELS: [&str; 3] = ["kind", "label", "name"];

/// Members with a text for people.
const TEXTS: [&str; 20] = [
    "bcodemessage",
    "description",
    "detail",
    "developermessage",
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
    "resultmessage",
    "resultmsg",
    "retmsg",
];

/// The members of a response that holds no record, by their names as [`MEMBERS`] writes them.
struct Members(Map<String, Value>);

/// What a JSON object says that has the members of an error and none of a record.
pub(super) fn of_json(body: &[u8]) -> Option<Note> {
    let object = object(body)?;
    Members::of(&object).and_then(|members| members.note()).or_else(|| nested::note(&object))
}

/// Whether a JSON object says that there is an error, beside an empty list of records.
pub(super) fn has_error(body: &[u8]) -> bool {
    let Some(object) = object(body) else { return false };
    Members::of(&object).is_some_and(|members| members.is_error()) || nested::note(&object).is_some()
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    (body.len() <= MAX_BYTES).then(|| serde_json::from_slice(body).ok())?
}

/// A name as [`MEMBERS`] writes it.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-', ' '], "")
}

impl Members {
    /// The members, if all of them may be those of an error.
    fn of(object: &Map<String, Value>) -> Option<Self> {
        let members = Members::all_of(object);
        (!members.0.is_empty() && members.0.iter().all(|(name, value)| is_known(name, value)))
            .then_some(members)
    }

    fn all_of(object: &Map<String, Value>) -> Self {
        Members(object.iter().map(|(name, value)| (plain(name), value.clone())).collect())
    }

    fn note(&self) -> Option<Note> {
        match () {
            () if self.is_empty_answer() => Some(Note::Empty),
            () if self.is_about_limit() => Some(Note::RateLimit),
            () if self.is_error() => Some(Note::Error),
            () => None,
        }
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
        self.is_marked() || self.0.len() == 1 && self.all(&["detail"]).any(|value| !is_void(value))
    }

    /// Whether a code, a word or a text says that there is an error.
    fn is_marked(&self) -> bool {
        let is_failure = |value: &Value| *value == false || is_word(value, &["false", "no"]) || *value == 0;
        self.all(&ERRORS).any(|value| !is_void(value) && !is_success(value))
            || self.all(&CODES).any(is_bad_code)
            || self.all(&["retcode"]).any(|value| integer(value).is_some_and(|code| code != 0))
            || self.is_coded_message()
            || self.all(&OUTCOMES).any(|value| {
                is_word(value, &["error", "err", "fail", "failed", "failure", "false", "ko", "nok", "not_ok"])
            })
            || self.all(&["success", "ok"]).any(is_failure)
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
        has_text
            && (self.all(&["code", "cod"]).any(is_own_code)
                || self.all(&LABELS).any(|value| value.as_str().is_some_and(is_error_word))
                || self.all(&OUTCOMES).filter_map(Value::as_str).any(|text| contains_any(text, &ERROR_WORDS)))
    }
}

/// Whether a member may be part of an error.
fn is_known(name: &str, value: &Value) -> bool {
    match name {
        _ if PAYLOADS.contains(&name) && !value.is_string() => is_void(value),
        _ if LABELS.contains(&name) => value.as_str().is_some_and(is_error_word),
        _ => MEMBERS.contains(&name),
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

/// Parts of the names of errors, without `_`, `-` and blanks.
const ERROR_WORDS: [&str; 10] = [
    "ERROR",
    "INVALID",
    "NOTFOUND",
    "NOTAUTHORIZED",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "DENIED",
    "EXCEED",
    "FAIL",
    "EXCEPTION",
];

/// More of them, which may also be the state of something.
const ERROR_STATES: [&str; 4] = ["MISSING", "UNKNOWN", "UNSUPPORTED", "TOOMANY"];

/// Whether a text is the name of an error, such as `INVALID_SYMBOL`.
fn is_error_word(text: &str) -> bool {
    contains_any(text, &ERROR_WORDS) || contains_any(text, &ERROR_STATES)
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_uppercase().replace(['_', '-', ' '], "");
    words.iter().any(|word| text.contains(word))
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
mod tests;
