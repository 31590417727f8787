//! The API that answers like Alpha Vantage: one object with a member for each day, the newest first, numbers as text,
//! and status 200 also for errors and for its limit.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::prices::Prices;

/// More requests than these in a second get a note instead of prices.
pub(super) const PER_SECOND: usize = 10;
/// The number of days in an answer that is not asked for in full.
const COMPACT: usize = 100;

/// The members of a day, which are numbered, and their columns in the file.
const OPEN_TO_CLOSE: [(&str, &str); 4] =
    [("open", "Open"), ("high", "High"), ("low", "Low"), ("close", "Close")];
const ADJUSTED: (&str, &str) = ("adjusted close", "Adj Close");
const VOLUME: (&str, &str) = ("volume", "Volume");

/// When the requests of the last second came.
#[derive(Debug, Default)]
pub(super) struct Limit(Vec<Instant>);

impl Limit {
    /// Counts a request; false if there were too many.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        let is_allowed = self.0.len() < PER_SECOND;
        if is_allowed {
            self.0.push(now);
        }
        is_allowed
    }
}

/// The answer to a request above the limit.
pub(super) fn note() -> String {
    let text = format!("The limit is {PER_SECOND} requests a second. Please spread out your requests.");
    json!({ "Note": text }).to_string()
}

/// The days of one symbol, with the parameters of `TIME_SERIES_DAILY`.
pub(super) fn answer(prices: &Prices, parameter: impl Fn(&str) -> Option<String>) -> String {
    days(prices, parameter).unwrap_or_else(|message| json!({ "Error Message": message }).to_string())
}

fn days(prices: &Prices, parameter: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let required = |name: &str| {
        let value = parameter(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("The parameter {name} is missing; see /"))
    };
    let adjusted = match &*required("function")? {
        "TIME_SERIES_DAILY" => None,
        "TIME_SERIES_DAILY_ADJUSTED" => Some(ADJUSTED),
        other => return Err(format!("The function {other} does not exist; see /")),
    };
    required("apikey")?;
    let symbol = required("symbol")?;
    if let Some(kind) = parameter("datatype").filter(|kind| kind != "json") {
        return Err(format!("The datatype {kind} is not supported; use json"));
    }
    let (size, at_most) = match parameter("outputsize").as_deref() {
        Some("full") => ("Full size", usize::MAX),
        Some("compact") | None => ("Compact", COMPACT),
        Some(other) => return Err(format!("The outputsize {other} does not exist; use compact or full")),
    };
    let rows = prices.newest_first(Some(&symbol));
    let Some(newest) = rows.first() else {
        return Err(format!("The symbol {symbol} has no prices"));
    };
    let about = json!({
        "1. Information": "Daily prices (open, high, low, close) and volumes",
        "2. Symbol": symbol,
        "3. Last Refreshed": prices.cell(*newest, "Date"),
        "4. Output Size": size,
        "5. Time Zone": "UTC",
    });
    let day = |row: &usize| {
        let members = (1..).zip(OPEN_TO_CLOSE.into_iter().chain(adjusted).chain([VOLUME]));
        let prices_of_day: Map<String, Value> = members
            .map(|(n, (member, column))| (format!("{n}. {member}"), prices.cell(*row, column).into()))
            .collect();
        format!("{}:{}", Value::from(prices.cell(*row, "Date")), Value::Object(prices_of_day))
    };
    let days: Vec<String> = rows.iter().take(at_most).map(day).collect();
    Ok(format!("{{\"Meta Data\":{about},\"Time Series (Daily)\":{{{}}}}}", days.join(",")))
}
