//! Errors that stand among other members, or one level deeper.

use serde_json::{Map, Value};

use super::words::{is_negation, is_success};
use super::{
    BodyStatus, CODES, ERRORS, ErrorMembers, LABELS, SHARED, TEXTS, integer, is_about_limit, is_in, is_known,
    is_void, plain,
};

/// Members that repeat the request, or describe the response; they hold no record.
const ECHOES: &str = "\
    api apiversion context copyright count duration elapsed endpoint get headers jsonapi jsonrpc license \
    links method page pagination paging parameters params query request symbol took total trace url usdiff \
    usin usout version";

/// Members whose object may say how the request went.
const ENVELOPES: &str = "base baseresp head header meta metadata responsestatus status";

/// How deep the only member of an object is opened.
const MAX_DEPTH: usize = 2;

/// What an object says that holds an error and no record.
pub(crate) fn message(object: &Map<String, Value>) -> Option<BodyStatus> {
    message_at(object, 0)
}

fn message_at(object: &Map<String, Value>, depth: usize) -> Option<BodyStatus> {
    let (mut evidence, mut others) = (Vec::new(), Vec::new());
    let mut is_clear = true;
    for (name, value) in object {
        let name = plain(name);
        let is_named = is_error_name(&name) && (is_error_value(value) || is_list_of_texts(&name, value));
        if is_named || is_error_envelope(&name, value) {
            is_clear &= is_clear_name(&name);
            evidence.push(value);
        } else {
            others.push((name, value));
        }
    }
    if evidence.is_empty() {
        // {"chart": {"result": null, "error": {…}}}
        let (Some((_, Value::Object(inner))), 1) = (object.iter().next(), object.len()) else { return None };
        return (depth < MAX_DEPTH).then(|| inner_message(inner, depth + 1))?;
    }
    let is_call = ["jsonrpc", "result"].iter().any(|name| object.contains_key(*name));
    let is_other = |(name, value): &(String, &Value)| {
        let name = name.as_str();
        let is_about_request = || {
            is_known(name, value) && !is_in(SHARED, name)
                || matches!(name, "path" | "time" | "timestamp" | "ts")
                || is_in(ECHOES, name)
                || name == "id" && is_call
        };
        is_void(value) || is_clear && is_about_request()
    };
    if !others.iter().all(is_other) {
        return None;
    }
    let is_limit = evidence.iter().any(|value| is_about_limit(&value.to_string()));
    Some(if is_limit { BodyStatus::RateLimit } else { BodyStatus::Error })
}

/// What the only member of an object says. A code without a text may be part of a record.
fn inner_message(inner: &Map<String, Value>, depth: usize) -> Option<BodyStatus> {
    let has_text = |members: &ErrorMembers| {
        members.all(TEXTS).chain(members.all(ERRORS)).any(|value| !is_void(value) && !value.is_number())
    };
    let members = ErrorMembers::of(inner).filter(has_text);
    let message =
        members.and_then(|members| members.message()).filter(|message| *message != BodyStatus::Empty);
    message.or_else(|| message_at(inner, depth))
}

/// Whether a member is called an error, such as `quandl_error`.
fn is_error_name(name: &str) -> bool {
    name == "fault"
        || ["error", "errors", "exception"].iter().any(|word| {
            name.ends_with(word) || name.strip_prefix(word).is_some_and(|rest| ERROR_PARTS.contains(&rest))
        })
}

/// Whether a member with this name is not part of a record, as `last_error` and `status` may be.
fn is_clear_name(name: &str) -> bool {
    matches!(name, "error" | "errors" | "fault") || is_in(ENVELOPES, name) && name != "status"
}

/// What follows `error` in the names of objects, as in `errorResponse`.
const ERROR_PARTS: [&str; 5] = ["body", "details", "info", "response", "status"];

/// Whether a value is an object with the text or the code of an error, or a list of them.
fn is_error_value(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_error_value),
        Value::Object(object) => {
            let members = ErrorMembers::all_of(object);
            let is_well = |value: &Value| {
                is_void(value) || integer(value).is_some_and(|code| (200..300).contains(&code))
            };
            let mut codes = members.all(CODES).filter(|value| !value.is_object()).peekable();
            let has_code = codes.peek().is_some();
            if has_code && codes.all(is_well) {
                return false;
            }
            let is_text = |value: &Value| !is_void(value) && !is_success(value) && !value.is_number();
            has_code
                || members.all(TEXTS).chain(members.all(ERRORS)).any(is_text)
                || members.all("faultstring type").any(is_text)
                || members.all(LABELS).any(is_text)
        }
        _ => false,
    }
}

/// Whether an object has a text for each wrong field: `{"errors": {"token": "it is missing"}}`
fn is_list_of_texts(name: &str, value: &Value) -> bool {
    let is_text = |value: &Value| value.is_string() && !is_void(value) && !is_success(value);
    let are_texts = |value: &Value| match value {
        Value::Array(values) => !values.is_empty() && values.iter().all(is_text),
        other => is_text(other),
    };
    let Value::Object(object) = value else { return false };
    matches!(name, "error" | "errors") && !object.is_empty() && object.values().all(are_texts)
}

/// Whether a member describes the response and says that there is an error:
/// `{"status": {"error_code": 1001, "error_message": "…"}}`
fn is_error_envelope(name: &str, value: &Value) -> bool {
    let Value::Object(object) = value else { return false };
    if !is_in(ENVELOPES, name) {
        return false;
    }
    let members = ErrorMembers::all_of(object);
    let has_text = members
        .all(TEXTS)
        .any(|value| !is_void(value) && !is_success(value) && !value.as_str().is_some_and(is_negation));
    let has_code = members.all("resultcode returncode").any(|code| {
        let is_bad = |code: i64| code != 1 && !(200..300).contains(&code);
        !is_void(code) && !is_success(code) && integer(code).is_none_or(is_bad)
    });
    members.is_marked() || has_text && has_code && !members.is_marked_ok()
}
