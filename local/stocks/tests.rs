//! Tests of the stock APIs.

use std::time::{Duration, Instant};

use hyper::{StatusCode, Uri};
use serde_json::{Value, json};

use super::Stocks;
use super::daily::{self, Limit};

fn stocks() -> Stocks {
    Stocks::from_csv(b"Index,Close,Date\nNYA,528.690002,1965-12-31\nN225,1.50,\"1966-01-03\"\nHSI,3,x\n")
        .unwrap()
}

fn ask(stocks: &Stocks, uri: &'static str) -> (StatusCode, Value) {
    let answer = stocks.answer(&Uri::from_static(uri));
    (answer.status(), serde_json::from_slice(answer.body()).unwrap())
}

#[test]
fn all_prices_are_one_array_with_their_digits() {
    let answer = stocks().answer(&Uri::from_static("/prices"));
    let text = std::str::from_utf8(answer.body()).unwrap();
    assert!(text.starts_with(r#"[{"Index":"NYA","Close":528.690002,"Date":"1965-12-31"},"#), "{text}");
    assert!(text.contains(r#""Close":1.50,"#), "{text}");
}

#[test]
fn page_after_the_last_is_empty() {
    let stocks = stocks();
    assert_eq!(ask(&stocks, "/prices?page=2&limit=2").1.as_array().unwrap().len(), 1);
    assert_eq!(ask(&stocks, "/prices?page=3&limit=2").1.as_array().unwrap().len(), 0);
}

#[test]
fn wrong_requests_are_refused_in_json() {
    let stocks = stocks();
    assert_eq!(ask(&stocks, "/price").0, StatusCode::NOT_FOUND);
    for uri in ["/prices?page=x", "/prices?offset=1", "/prices/pages?offset=1", "/prices/newest?cursor=1"] {
        assert_eq!(ask(&stocks, uri).0, StatusCode::BAD_REQUEST, "{uri}");
    }
}

/// Three days of two symbols, the oldest first.
fn days() -> Stocks {
    let text = "Index,Date,Open,High,Low,Close,Adj Close,Volume\n\
                NYA,1986-12-31,1.50,2,1,1.25,1.20,100.0\nNYA,1987-01-02,2,3,2,2.5,2.4,0.0\n\
                HSI,1987-01-01,9,9,9,9,9,0.0\n";
    Stocks::from_csv(text.as_bytes()).unwrap()
}

#[test]
fn pages_of_the_newest_prices_hold_every_price_once() {
    let stocks = days();
    let (_, first) = ask(&stocks, "/prices/newest?limit=2");
    assert_eq!(first["pagination"], json!({"limit": 2, "offset": 0, "count": 2, "total": 3}));
    let (_, last) = ask(&stocks, "/prices/newest?limit=2&offset=2");
    let rows = first["data"].as_array().unwrap().iter().chain(last["data"].as_array().unwrap());
    let dates: Vec<&Value> = rows.map(|row| &row["Date"]).collect();
    assert_eq!(dates, ["1987-01-02", "1987-01-01", "1986-12-31"]);
    assert_eq!(ask(&stocks, "/prices/newest?offset=3").1["data"], json!([]));
}

#[test]
fn daily_series_has_a_member_for_each_day_and_text_for_numbers() {
    let stocks = days();
    let uri = "/query?function=TIME_SERIES_DAILY&symbol=NYA&outputsize=full&apikey=any";
    let answer = stocks.answer(&Uri::from_static(uri));
    let text = std::str::from_utf8(answer.body()).unwrap();
    let newest = r#""Time Series (Daily)":{"1987-01-02":{"1. open":"2","2. high":"3""#;
    assert!(text.contains(newest), "{text}");
    let (_, answer) = ask(&stocks, uri);
    assert_eq!(answer["Meta Data"]["2. Symbol"], "NYA");
    assert_eq!(answer["Meta Data"]["3. Last Refreshed"], "1987-01-02");
    let oldest = &answer["Time Series (Daily)"]["1986-12-31"];
    assert_eq!((&oldest["1. open"], &oldest["5. volume"]), (&"1.50".into(), &"100.0".into()));
    let uri = "/query?function=TIME_SERIES_DAILY_ADJUSTED&symbol=NYA&apikey=any";
    let oldest = &ask(&stocks, uri).1["Time Series (Daily)"]["1986-12-31"];
    assert_eq!((&oldest["5. adjusted close"], &oldest["6. volume"]), (&"1.20".into(), &"100.0".into()));
}

#[test]
fn compact_series_has_the_newest_hundred_days() {
    let rows: String = (0..150).map(|n| format!("A,day {n:03},{n}\n")).collect();
    let stocks = Stocks::from_csv(format!("Index,Date,Close\n{rows}").as_bytes()).unwrap();
    let answer = ask(&stocks, "/query?function=TIME_SERIES_DAILY&symbol=A&apikey=any").1;
    let days = answer["Time Series (Daily)"].as_object().unwrap();
    assert_eq!((days.len(), days.contains_key("day 050"), days.contains_key("day 049")), (100, true, false));
}

#[test]
fn daily_series_answers_errors_and_its_limit_with_status_200() {
    let stocks = days();
    for (query, message) in [
        ("/query?function=TIME_SERIES_DAILY&symbol=NYA", "apikey"),
        ("/query?symbol=NYA&apikey=any", "function"),
        ("/query?function=TIME_SERIES_DAILY&symbol=AAPL&apikey=any", "AAPL"),
        ("/query?function=CRYPTO&symbol=NYA&apikey=any", "CRYPTO"),
        ("/query?function=TIME_SERIES_DAILY&symbol=NYA&apikey=any&datatype=csv", "csv"),
    ] {
        let (status, answer) = ask(&stocks, query);
        assert_eq!(status, StatusCode::OK);
        assert!(answer["Error Message"].as_str().unwrap().contains(message), "{query}: {answer}");
    }
    let now = Instant::now();
    let mut limit = Limit::default();
    assert!((0..daily::PER_SECOND).all(|_| limit.allows(now)));
    assert!(!limit.allows(now) && limit.allows(now + Duration::from_secs(1)));
    let uri = "/query?function=TIME_SERIES_DAILY&symbol=NYA&apikey=any";
    let mut answers = (0..daily::PER_SECOND).map(|_| ask(&stocks, uri).1);
    assert!(answers.any(|answer| answer["Note"].is_string()), "the five errors counted too");
}
