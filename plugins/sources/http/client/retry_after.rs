//! How long an API asks to wait before the next request.

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::header_text;

/// The longest wait that is accepted.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Headers with the time at which a rate limit ends.
const RESETS: [&str; 4] =
    ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset", "x-ratelimit-reset-requests"];

/// Headers with the number of requests that are left until then.
const REMAINING: [&str; 4] = [
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "x-ratelimit-remaining-requests",
];

/// The header of the IETF draft with what is left and until when: `"default";r=0;t=30`, or in an earlier draft
/// `limit=10, remaining=0, reset=30`.
const LIMIT: &str = "ratelimit";

/// The header with the periods of the limits: `"default";q=100;w=60`.
const POLICY: &str = "ratelimit-policy";

/// A wait that a response asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) duration: Duration,
    /// The header that says so.
    pub(crate) header: &'static str,
}

/// Whether the response says that no requests are left.
pub(crate) fn is_exhausted(headers: &HeaderMap) -> bool {
    REMAINING.iter().filter_map(|name| header_text(headers, *name)).any(|text| text == "0")
        || limits(headers).iter().any(|limit| limit.remaining == Some(0))
}

/// The wait that a response with an error status asks for.
pub(crate) fn asked(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Wait> {
    // Relative to the server's clock, if it sends `Date`; the local clock may be wrong.
    let date = header_text(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let now = date.unwrap_or(now);
    if let Some(duration) = header_text(headers, RETRY_AFTER).and_then(|text| duration(text, now)) {
        return Some(Wait { duration, header: "retry-after" });
    }
    let is_limit = matches!(status.as_u16(), 418 | 429);
    let is_exhausted = is_exhausted(headers);
    let limits = limits(headers);
    let has_remaining = REMAINING.iter().any(|name| headers.contains_key(*name)) || !limits.is_empty();
    // Many APIs send these headers with every response, also with one that has another cause.
    let may_be_limit = !has_remaining && !matches!(status.as_u16(), 401 | 404);
    if !is_limit && !is_exhausted && !may_be_limit {
        return None;
    }
    let reset = RESETS.into_iter().find_map(|header| {
        let duration = duration(header_text(headers, header)?, now)?;
        Some(Wait { duration, header })
    });
    let wait = reset.or_else(|| {
        // Of several limits, the one that is used up last ends the wait.
        let exhausted = limits.iter().filter(|limit| limit.remaining == Some(0));
        let seconds = exhausted.filter_map(|limit| limit.reset).max();
        let seconds = seconds.or_else(|| limits.iter().filter_map(|limit| limit.reset).min())?;
        Some(Wait { duration: Duration::from_secs(seconds), header: LIMIT })
    });
    // With requests left, the limit is another one than that of these headers.
    wait.filter(|wait| is_exhausted || !has_remaining || wait.duration <= LONGEST)
}

/// A limit of the header `RateLimit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limit {
    remaining: Option<u64>,
    /// The seconds until it ends.
    reset: Option<u64>,
}

/// The limits of the headers `RateLimit`.
fn limits(headers: &HeaderMap) -> Vec<Limit> {
    let values = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let values_of_policies = values(POLICY);
    let policies: Vec<_> = values_of_policies.iter().flat_map(|value| items(value)).collect();
    let period = |name: &str| {
        let policy = policies.iter().find(|(known, _)| *known == name)?;
        // The window may end long before its length has passed.
        Some(parameter(&policy.1, "w")?.min(LONGEST.as_secs()))
    };
    let mut found = Vec::new();
    for value in values(LIMIT) {
        let items = items(&value);
        // The earlier draft has one limit for the whole header.
        let is_earlier = items.iter().any(|(name, _)| name.contains('='));
        if is_earlier {
            let pairs: Vec<_> = items.iter().filter_map(|(pair, _)| pair.split_once('=')).collect();
            let limit =
                Limit { remaining: parameter(&pairs, "remaining"), reset: parameter(&pairs, "reset") };
            found.push(limit);
            continue;
        }
        for (name, parameters) in items {
            let remaining = parameter(&parameters, "r");
            found.push(Limit { remaining, reset: parameter(&parameters, "t").or_else(|| period(name)) });
        }
    }
    found
}

/// The items of a list (RFC 9651), each with its parameters.
fn items(value: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    value.split(',').filter_map(item).collect()
}

fn item(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some((name, parts.filter_map(|part| part.split_once('=')).collect()))
}

fn parameter(parameters: &[(&str, &str)], name: &str) -> Option<u64> {
    let (_, value) = parameters.iter().find(|(known, _)| known.trim() == name)?;
    value.trim().parse().ok()
}

/// Seconds, a date, or seconds or milliseconds since 1970.
fn duration(text: &str, now: SystemTime) -> Option<Duration> {
    const YEAR_2001: f64 = 1e9;
    let since_1970 = match text.parse::<f64>() {
        Ok(number) if !number.is_finite() || number < 0.0 => return None,
        Ok(number) if (1000.0 * YEAR_2001..1e15).contains(&number) => {
            Duration::from_secs_f64(number / 1000.0)
        }
        Ok(number) if (YEAR_2001..1e12).contains(&number) => Duration::from_secs_f64(number),
        Ok(number) => return Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)),
        Err(_) => {
            let until = match httpdate::parse_http_date(text) {
                Ok(until) => until,
                Err(_) => SystemTime::from(DateTime::parse_from_rfc3339(text).ok()?),
            };
            return Some(until.duration_since(now).unwrap_or_default());
        }
    };
    Some((SystemTime::UNIX_EPOCH + since_1970).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn wait(status: u16, pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers: HeaderMap = pairs.iter().map(pair).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        asked(StatusCode::from_u16(status).unwrap(), &headers, now).map(|wait| wait.duration.as_secs())
    }

    const DRAFT: &str = "ratelimit";

    #[test]
    fn wait_is_that_of_the_first_header_that_asks_for_one() {
        let date = "Tue, 14 Nov 2023 22:15:20 GMT";
        for (status, headers, seconds) in [
            (429, &[("retry-after", "120")][..], Some(120)),
            (404, &[("retry-after", "7")], Some(7)),
            (503, &[("retry-after", date)], Some(120)),
            (503, &[("retry-after", date), ("date", "Tue, 14 Nov 2023 22:14:50 GMT")], Some(30)),
            (429, &[("retry-after", "soon")], None),
            (429, &[("retry-after", "-1")], None),
            (429, &[("retry-after", "9223372036854775807")], Some(i64::MAX as u64 + 1)),
            (429, &[("retry-after", "1e300")], Some(u64::MAX)),
            (429, &[], None),
            (429, &[("x-ratelimit-reset", "1600000000")], Some(0)),
            (429, &[("retry-after", "5"), ("x-ratelimit-reset", "90")], Some(5)),
            (429, &[(DRAFT, "\"default\";r=0;t=30"), ("retry-after", "5")], Some(5)),
            (403, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30)),
        ] {
            assert_eq!(wait(status, headers), seconds, "{status} {headers:?}");
        }
        for reset in ["90", "90.0", "1700000090", "1700000090000", "2023-11-14T22:14:50Z"] {
            assert_eq!(wait(429, &[("x-ratelimit-reset", reset)]), Some(90), "{reset}");
            assert_eq!(wait(418, &[("ratelimit-reset", reset)]), Some(90), "{reset}");
        }
    }

    #[test]
    fn reset_counts_on_other_statuses_if_nothing_remains() {
        for (status, remaining, seconds) in [
            (403, Some("0"), Some(90)),
            (404, Some("0"), Some(90)),
            (403, Some("59"), None),
            (500, Some("59"), None),
            (429, Some("59"), Some(90)),
            (403, None, Some(90)),
            (404, None, None),
        ] {
            let remaining = remaining.map(|remaining| ("x-ratelimit-remaining", remaining));
            let headers: Vec<_> = remaining.into_iter().chain([("x-ratelimit-reset", "90")]).collect();
            assert_eq!(wait(status, &headers), seconds, "{status} {headers:?}");
        }
    }

    #[test]
    fn header_of_the_draft_is_read_in_both_its_forms() {
        for value in [
            "\"default\";r=0;t=30",
            "\"burst\";r=0;t=5, \"day\" ; r=0; t=30",
            "\"burst\";r=7;t=60, \"day\";r=0;t=30",
            "limit=10, remaining=0, reset=30",
        ] {
            assert_eq!(wait(429, &[(DRAFT, value)]), Some(30), "{value}");
            assert_eq!(wait(403, &[(DRAFT, value)]), Some(30), "{value}");
        }
        let policy = ("ratelimit-policy", "\"hour\";q=9;w=60, \"day\";q=99;w=90");
        let long = ("ratelimit-policy", "\"daily\";q=10;w=86400");
        for (status, headers, seconds) in [
            (429, &[(DRAFT, "\"day\";r=0"), policy][..], Some(90)),
            (403, &[(DRAFT, "\"default\";r=9;t=30")], None),
            (429, &[(DRAFT, "\"default\";r=9;t=30")], Some(30)),
            (429, &[(DRAFT, "soon")], None),
            (429, &[("ratelimit-policy", "100;w=60")], None),
            // The window of a policy is waited for at most the longest wait.
            (429, &[(DRAFT, "\"daily\";r=0"), long], Some(LONGEST.as_secs())),
            (429, &[(DRAFT, "\"daily\";r=0;t=40000")], Some(40000)),
        ] {
            assert_eq!(wait(status, headers), seconds, "{status} {headers:?}");
        }
    }

    #[test]
    fn limit_with_requests_left_asks_for_the_shortest_wait_or_none() {
        let draft = [(DRAFT, "\"burst\";r=9;t=1, \"daily\";r=900;t=40000")];
        let before = |remaining, reset| [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)];
        for (status, headers, seconds) in [
            (503, &draft[..], None),
            (429, &draft, Some(1)),
            (503, &before("900", "40000"), None),
            (429, &before("900", "40000"), None),
            (503, &before("0", "40"), Some(40)),
        ] {
            assert_eq!(wait(status, headers), seconds, "{status} {headers:?}");
        }
    }
}
