//! A market behind twelve APIs, in one server: days with prices, refused requests, and weekends.

use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::answers;
use crate::support::stocks::date;

/// Days since 1970 of 2024-01-02.
const FIRST_DAY: u32 = 19_724;
/// The market is open on every seventh day, so that the days fill more than one window of time.
const DAYS_APART: u32 = 7;
/// A day without prices. Some APIs name it.
pub const HOLIDAY: usize = 5;
/// The largest number of rows on a page, whatever is asked for.
const PAGE: usize = 8;

/// What the market looks like now.
#[derive(Clone, Copy, Debug)]
pub struct Today {
    pub n_days: usize,
    /// The order of answers that have no order of their own.
    pub is_newest_first: bool,
    /// No API has a new row, and those that can say so do.
    pub is_weekend: bool,
    /// So many requests are refused first.
    pub n_refusals: usize,
}

/// A running server; it stops when this is dropped.
pub struct Market {
    today: Arc<Mutex<Today>>,
    server: Option<MockServer>,
    runtime: Runtime,
}

impl Market {
    pub fn open(today: Today) -> Market {
        let runtime = Runtime::new().expect("a runtime");
        let today = Arc::new(Mutex::new(today));
        let state = Arc::clone(&today);
        let answer = move |request: &Request| {
            let mut today = state.lock().expect("no answer panics");
            let is_refused = today.n_refusals > 0;
            today.n_refusals = today.n_refusals.saturating_sub(1);
            answers::answer(&Asked { request, today: *today }, is_refused)
        };
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(answer).mount(&server).await;
            server
        });
        Market { today, server: Some(server), runtime }
    }

    pub fn set(&self, today: Today) {
        *self.today.lock().expect("no answer panics") = today;
    }

    pub fn today(&self) -> Today {
        *self.today.lock().expect("no answer panics")
    }

    pub fn url(&self) -> String {
        self.server.as_ref().expect("until the end").uri()
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        let server = self.server.take();
        self.runtime.block_on(async { drop(server) });
    }
}

/// A request, and the market when it came.
pub struct Asked<'a> {
    request: &'a Request,
    pub today: Today,
}

/// The prices of a symbol on one day.
pub struct Bar {
    pub nth: usize,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub adjusted: f64,
    pub volume: u64,
}

impl<'a> Asked<'a> {
    /// The same request to another market.
    pub fn on(&self, today: Today) -> Asked<'a> {
        Asked { request: self.request, today }
    }

    pub fn path(&self) -> &str {
        self.request.url.path()
    }

    /// A step of the path, counted from 0.
    pub fn step(&self, nth: usize) -> String {
        let step = self.path().split('/').nth(nth + 1).unwrap_or_default();
        step.replace("%5E", "^")
    }

    /// A parameter of the query; empty if there is none.
    pub fn parameter(&self, name: &str) -> String {
        let found = self.request.url.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.parameter(name).parse().ok()
    }

    pub fn header(&self, name: &str) -> &str {
        self.request.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The prices of a symbol in a span of time, both ends included; an empty end is open.
    pub fn bars(&self, symbol: &str, from: &str, to: &str) -> Vec<Bar> {
        let (from, to) = (day_of(from), day_of(to));
        let is_asked = |nth: &usize| {
            let day = day(*nth);
            from.as_ref().is_none_or(|from| day >= *from) && to.as_ref().is_none_or(|to| day <= *to)
        };
        let n_days = if self.today.is_weekend { 0 } else { self.today.n_days };
        let mut bars: Vec<Bar> = (0..n_days).filter(is_asked).map(|nth| bar(symbol, nth)).collect();
        if self.today.is_newest_first {
            bars.reverse();
        }
        bars
    }

    /// The same without the holiday.
    pub fn open_days(&self, symbol: &str, from: &str, to: &str) -> Vec<Bar> {
        let bars = self.bars(symbol, from, to).into_iter();
        bars.filter(|bar| bar.nth != HOLIDAY).collect()
    }
}

/// The rows of a page, by the number of the first one.
pub fn page<T>(rows: &[T], first: usize) -> &[T] {
    let first = first.min(rows.len());
    &rows[first..rows.len().min(first + PAGE)]
}

/// The number of pages.
pub fn n_pages<T>(rows: &[T]) -> usize {
    rows.len().div_ceil(PAGE)
}

/// The page with this number, counted from 1.
pub fn numbered_page<T>(rows: &[T], number: usize) -> &[T] {
    page(rows, (number - 1) * PAGE)
}

fn days_since_1970(nth: usize) -> u32 {
    FIRST_DAY + DAYS_APART * nth as u32
}

/// A day, such as `2024-01-02`.
pub fn day(nth: usize) -> String {
    date(days_since_1970(nth))
}

/// The start of a day in UTC, in seconds.
pub fn midnight(nth: usize) -> u64 {
    u64::from(days_since_1970(nth)) * 86_400
}

/// The day in a date, `yyyymmdd`, a time, or an epoch in seconds or milliseconds.
fn day_of(text: &str) -> Option<String> {
    let of_epoch = |seconds: u64| date(u32::try_from(seconds / 86_400).expect("a day"));
    match (text.len(), text.parse::<u64>()) {
        (0, _) => None,
        (8, Ok(_)) => Some(format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..])),
        (12.., Ok(millis)) => Some(of_epoch(millis / 1_000)),
        (_, Ok(seconds)) => Some(of_epoch(seconds)),
        _ => Some(text[..10].to_owned()),
    }
}

/// Prices that differ by symbol and day, with exact decimals.
pub fn bar(symbol: &str, nth: usize) -> Bar {
    let open = f64::from(symbol.bytes().map(u32::from).sum::<u32>()) + nth as f64;
    let volume = 1_000_000 + 1_000 * nth as u64;
    Bar { nth, open, high: open + 2.5, low: open - 1.25, close: open + 0.5, adjusted: open + 0.25, volume }
}

/// An answer with status 200.
pub fn json(value: serde_json::Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

/// An answer of text, with this content type.
pub fn text(status: u16, text: &str, kind: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(text, kind)
}
