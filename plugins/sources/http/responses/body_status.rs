//! Recognizes errors, rate limits and "no data" in responses with a success status.

mod nested;
mod pending;
mod words;

use serde_json::{Map, Value};

pub(super) use self::pending::unfinished;
pub(super) use self::words::contains_any;
use self::words::{ERROR_WORDS, is_done_message, is_error_word, is_success, is_word};
use super::super::json::Pointer;

/// A larger response is not examined.
const MAX_BYTES: usize = 64 << 10;

/// What a response says instead of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyStatus {
    RateLimit,
    Error,
    /// There are no records.
    Empty,
    /// There are no records yet.
    Pending,
}

/// Phrases of APIs that limit their clients.
const LIMITS: &str = "\
    rate limit|rate-limit|ratelimit|too many requests|too many calls|call frequency|calls per|requests per|\
    per minute|daily limit|hits limit|request limit|limit exceeded|limit reached|exceeded the|exceeded your|\
    quota|credits|throttl|slow down";

/// Whether a text says that the client has sent too many requests.
pub(crate) fn is_about_limit(text: &str) -> bool {
    has_phrase(text, LIMITS)
}

/// The phrases among them that cannot be about a parameter, such as `limit`, for errors that blame the request.
const REACHED: &str =
    "request limit reached|too many requests|too many calls|exceeded the rate limit|throttl";

/// Whether an error that blames the request says that the client has sent too many.
pub(crate) fn is_limit_reached(text: &str) -> bool {
    has_phrase(text, REACHED)
}

fn has_phrase(text: &str, phrases: &str) -> bool {
    let text = text.to_ascii_lowercase();
    phrases.split('|').any(|phrase| text.contains(phrase))
}

/// Members that a response with an error has beside [`ERRORS`], [`OUTCOMES`] and [`SHARED`], and nothing else; in lower
/// case, without `_`, `-` and blanks.
const MEMBERS: &str = "\
    cod code detail details documentation documentationurl extensions help info information instance \
    locations message messages msg nexttime note ok reason requestid requesttime retcode retextinfo \
    retmsg servertime statuscode success termsofuse traceid warnings";

/// Members that hold the records, and are void in a response with an error.
const PAYLOADS: &str = "content data items payload records response result results rows";

/// Members that are absent, or void, in a response without an error.
const ERRORS: &str = "\
    err errcode errmsg errno error errorcode errordescription errormessage errormsg errors errortype fault";

/// Members with a code, or with the status of HTTP.
const CODES: &str = "cod code rcode resultcode retcode returncode status statuscode";

/// Members with a word for the outcome.
const OUTCOMES: &str = "response result s status statustext";

/// Members with the name of an error, such as `INVALID_SYMBOL`.
const LABELS: &str = "exception kind label name";

/// Members that a record has as often as an error.
const SHARED: &str = "description path state time timestamp title ts type";

/// Phrases that say that a limit is used up, and not what it is.
const EXHAUSTED: &str = "\
    too many requests|too many calls|limit exceeded|limit reached|hits limit|exceeded your";

/// Members with a text for people.
const TEXTS: &str = "\
    bcodemessage description detail developermessage error errordescription errmsg errormessage errormsg \
    errors info information message messages msg note reason resultmessage resultmsg retmsg";

/// The members of a response that holds no record, by their names as [`MEMBERS`] writes them.
struct ErrorMembers(Map<String, Value>);

/// What a JSON object says that has the members of an error and none of a record.
pub(crate) fn of_json(body: &[u8]) -> Option<BodyStatus> {
    of_object(&object(body)?)
}

fn of_object(object: &Map<String, Value>) -> Option<BodyStatus> {
    ErrorMembers::of(object).and_then(|members| members.message()).or_else(|| nested::message(object))
}

/// What a JSON object says that has no records at their place.
pub(super) fn without_records(body: &[u8], records: &Pointer) -> Option<BodyStatus> {
    of_object(&around(body, records)?)
}

/// The error that a JSON object has, beside an empty list of records.
pub(super) fn error_beside(body: &[u8], records: &Pointer) -> Option<BodyStatus> {
    around(body, records).filter(is_error).and_then(|object| of_object(&object))
}

/// The members of an object, without that of the records if it holds nothing.
fn around(body: &[u8], records: &Pointer) -> Option<Map<String, Value>> {
    let mut object = object(body)?;
    if let Some(name) = records.first()
        && object.get(name).is_some_and(is_void)
    {
        object.shift_remove(name);
    }
    Some(object)
}

/// Whether a JSON object says that there is an error.
pub(super) fn has_error(body: &[u8]) -> bool {
    object(body).is_some_and(|object| is_error(&object))
}

fn is_error(object: &Map<String, Value>) -> bool {
    ErrorMembers::of(object).is_some_and(|members| members.is_error()) || nested::message(object).is_some()
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    (body.len() <= MAX_BYTES).then(|| serde_json::from_slice(body).ok())?
}

/// A name as [`MEMBERS`] writes it.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-', ' '], "")
}

impl ErrorMembers {
    /// The members, if all of them may be those of an error.
    fn of(object: &Map<String, Value>) -> Option<Self> {
        let members = ErrorMembers::all_of(object);
        (!members.0.is_empty() && members.0.iter().all(|(name, value)| is_known(name, value)))
            .then_some(members)
    }

    fn all_of(object: &Map<String, Value>) -> Self {
        ErrorMembers(object.iter().map(|(name, value)| (plain(name), value.clone())).collect())
    }

    fn message(&self) -> Option<BodyStatus> {
        match () {
            () if self.is_empty_answer() => Some(BodyStatus::Empty),
            () if self.is_about_limit() => Some(BodyStatus::RateLimit),
            () if self.is_error() => Some(BodyStatus::Error),
            () => None,
        }
    }

    /// The values of the members with one of these names.
    fn all<'a>(&'a self, names: &'a str) -> impl Iterator<Item = &'a Value> {
        names.split(' ').filter_map(|name| self.0.get(name))
    }

    /// `{"s": "no_data"}`
    fn is_empty_answer(&self) -> bool {
        self.all(OUTCOMES)
            .any(|value| is_word(value, &["no_data", "nodata", "no data", "no_results", "empty"]))
    }

    fn is_about_limit(&self) -> bool {
        let is_used_up = |text: &str| {
            let text = text.to_ascii_lowercase();
            EXHAUSTED.split('|').any(|phrase| text.contains(phrase))
        };
        let may_be_record = self.all(SHARED).next().is_some() && !self.is_marked();
        self.all(TEXTS)
            .map(Value::to_string)
            .any(|text| is_about_limit(&text) && (!may_be_record || is_used_up(&text)))
    }

    fn is_error(&self) -> bool {
        self.is_marked() || self.0.len() == 1 && self.all("detail").any(|value| !is_void(value))
    }

    /// Whether a code, a word or a text says that there is an error.
    fn is_marked(&self) -> bool {
        let is_failure = |value: &Value| *value == false || is_word(value, &["false", "no"]) || *value == 0;
        self.all(ERRORS).any(|value| !is_void(value) && !is_success(value))
            || self.all(CODES).any(is_bad_code)
            || self.all("retcode").any(|value| integer(value).is_some_and(|code| code != 0))
            || self.is_coded_message()
            || self.all(OUTCOMES).any(|value| {
                is_word(value, &["error", "err", "fail", "failed", "failure", "false", "ko", "nok", "not_ok"])
            })
            || self.all("success ok").any(is_failure)
    }

    /// Whether a member with the outcome says that all is well.
    fn is_marked_ok(&self) -> bool {
        self.all(OUTCOMES).any(is_success) || self.all("ok success").any(|value| *value == true)
    }

    /// A code of the API's own with a text: `{"code": "51001", "msg": "Instrument ID does not exist"}`
    fn is_coded_message(&self) -> bool {
        let is_own_code = |value: &Value| {
            integer(value).is_some_and(|code| code >= 1000 && !matches!(code, 10_000 | 20_000 | 200_000))
                || value.as_str().is_some_and(is_error_word)
        };
        let has_text = self
            .all("message msg")
            .any(|value| value.is_string() && !is_void(value) && !is_done_message(value));
        has_text
            && !self.is_marked_ok()
            && (self.all("code cod").any(is_own_code)
                || self.all(LABELS).any(is_label)
                || self.all(OUTCOMES).filter_map(Value::as_str).any(|text| contains_any(text, ERROR_WORDS)))
    }
}

/// Whether a value is the name of an error, and not a text with such a word.
fn is_label(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().contains(' ') && is_error_word(text))
}

/// Whether a list of names, separated by blanks, has this one.
fn is_in(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// Whether a member may be part of an error.
fn is_known(name: &str, value: &Value) -> bool {
    match name {
        _ if is_in(PAYLOADS, name) && !value.is_string() => is_void(value),
        _ if is_in(LABELS, name) => value.is_null() || is_label(value),
        _ => [MEMBERS, ERRORS, OUTCOMES, SHARED].iter().any(|names| is_in(names, name)),
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

/// Whether a value is a status of HTTP for an error, or a negative number.
fn is_bad_code(value: &Value) -> bool {
    integer(value).is_some_and(|code| code < 0 || (400..600).contains(&code))
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What a text says that is a single line. A header or a row, where a table was expected (`is_table`), may hold any
/// words.
pub(crate) fn of_text(body: &[u8], is_table: bool) -> Option<BodyStatus> {
    let text = std::str::from_utf8(body.get(..MAX_BYTES).unwrap_or(body)).ok()?.trim();
    let is_row = is_table && (text.contains([',', ';', '\t', '|']) || !text.contains(' '));
    (!is_row && text.lines().count() == 1 && is_about_limit(text)).then_some(BodyStatus::RateLimit)
}

/// Whether a text is one line with the words of an error, where a header without rows was expected.
pub(super) fn names_an_error(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.lines().count() == 1 && text.contains(' ') && contains_any(text, ERROR_WORDS)
}

#[cfg(test)]
mod tests;
