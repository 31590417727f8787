//! How each of the twelve APIs answers: names, shapes, pages, refusals, and a weekend.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use wiremock::ResponseTemplate;

use super::KEY;
use super::market::{self, Asked, Bar, HOLIDAY, day, midnight, n_pages, numbered_page, page, text};

/// Answers by the path, which no two of them share.
pub fn answer(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    let answer = match &*asked.step(0) {
        "query" => alphavantage,
        "v8" => yahoo,
        "tiingo" => tiingo,
        "q" => stooq,
        "fred" => fred,
        "products" => coinbase,
        "v2" => match &*asked.step(1) {
            "aggs" => polygon,
            "eod" => marketstack,
            "country" => worldbank,
            _ => unknown,
        },
        "api" => match &*asked.step(1) {
            "v1" => finnhub,
            "eod" => eodhd,
            "v3" => binance,
            _ => unknown,
        },
        _ => unknown,
    };
    answer(asked, is_refused)
}

fn unknown(asked: &Asked<'_>, _: bool) -> ResponseTemplate {
    text(404, &format!("{} is not an API", asked.path()), "text/plain")
}

fn json(value: Value) -> ResponseTemplate {
    market::json(value)
}

fn refusal(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn alphavantage(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.parameter("apikey") != KEY {
        return json(json!({"Error Message": "the parameter apikey is invalid or missing"}));
    }
    if is_refused {
        return json(json!({"Note": "Please spread out your requests."}));
    }
    let symbol = asked.parameter("symbol");
    // It has no answer without rows, and no parameter for what is new.
    let today = market::Today { is_weekend: false, is_newest_first: true, ..asked.today };
    let asked = asked.on(today);
    let number = |price: f64| format!("{price:.4}");
    let of_day = |bar: Bar| {
        let prices = json!({
            "1. open": number(bar.open), "2. high": number(bar.high), "3. low": number(bar.low),
            "4. close": number(bar.close), "5. adjusted close": number(bar.adjusted),
            "6. volume": bar.volume.to_string(), "7. dividend amount": "0.0000", "8. split coefficient": "1.0",
        });
        (day(bar.nth), prices)
    };
    let days: Map<String, Value> = asked.open_days(&symbol, "", "").into_iter().map(of_day).collect();
    json(
        json!({"Meta Data": {"2. Symbol": symbol, "5. Time Zone": "US/Eastern"}, "Time Series (Daily)": days}),
    )
}

fn yahoo(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if is_refused {
        return text(429, "Too Many Requests\r\n", "text/html");
    }
    let symbol = asked.step(3);
    let bars = asked.bars(&symbol, &asked.parameter("period1"), &asked.parameter("period2"));
    let mut result = json!({"meta": {"symbol": symbol, "gmtoffset": -18_000}});
    let column = |of: &dyn Fn(&Bar) -> Value| -> Value {
        bars.iter().map(|bar| if bar.nth == HOLIDAY { Value::Null } else { of(bar) }).collect()
    };
    if bars.is_empty() {
        result["indicators"] = json!({"quote": [{}], "adjclose": [{}]});
    } else {
        // 14:30 in UTC, when the exchange opens.
        result["timestamp"] = bars.iter().map(|bar| midnight(bar.nth) + 52_200).collect();
        let quote = json!({
            "open": column(&|bar| bar.open.into()), "high": column(&|bar| bar.high.into()),
            "low": column(&|bar| bar.low.into()), "close": column(&|bar| bar.close.into()),
            "volume": column(&|bar| bar.volume.into()),
        });
        let adjusted = column(&|bar| bar.adjusted.into());
        result["indicators"] = json!({"quote": [quote], "adjclose": [{"adjclose": adjusted}]});
    }
    json(json!({"chart": {"result": [result], "error": null}}))
}

fn polygon(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.header("authorization") != format!("Bearer {KEY}") {
        return refusal(401, json!({"status": "ERROR", "error": "Unknown API Key"}));
    }
    if is_refused {
        return refusal(429, json!({"status": "ERROR", "error": "Too many requests in this minute"}));
    }
    let symbol = asked.step(3);
    let bars = asked.open_days(&symbol, &asked.step(7), &asked.step(8));
    let first = asked.number("cursor").unwrap_or(0);
    let page = page(&bars, first);
    let bar = |bar: &Bar| json!({"v": bar.volume, "o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low, "t": midnight(bar.nth) * 1_000});
    let mut answer = json!({"ticker": symbol, "resultsCount": page.len(), "status": "OK"});
    if !page.is_empty() {
        answer["results"] = page.iter().map(bar).collect();
    }
    let end = first + page.len();
    if end < bars.len() {
        answer["next_url"] = format!("http://{}{}?cursor={end}", asked.header("host"), asked.path()).into();
    }
    json(answer)
}

fn finnhub(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.header("x-finnhub-token") != KEY {
        return refusal(401, json!({"error": "A key is needed"}));
    }
    if is_refused {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let refusal = refusal(429, json!({"error": "The limit of the API is reached"}));
        return refusal.insert_header("X-Ratelimit-Reset", (now + 1).to_string());
    }
    let bars = asked.open_days(&asked.parameter("symbol"), &asked.parameter("from"), &asked.parameter("to"));
    if bars.is_empty() {
        return json(json!({"s": "no_data"}));
    }
    let column = |of: &dyn Fn(&Bar) -> Value| -> Value { bars.iter().map(of).collect() };
    json(json!({
        "s": "ok", "t": column(&|bar| midnight(bar.nth).into()),
        "o": column(&|bar| bar.open.into()), "h": column(&|bar| bar.high.into()),
        "l": column(&|bar| bar.low.into()), "c": column(&|bar| bar.close.into()),
        "v": column(&|bar| bar.volume.into()),
    }))
}

fn tiingo(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.header("authorization") != format!("Token {KEY}") {
        return refusal(403, json!({"detail": "Please supply a token"}));
    }
    if is_refused {
        return refusal(429, json!({"detail": "The requests of this hour are used up"}));
    }
    let bar = |bar: Bar| {
        json!({
            "date": format!("{}T00:00:00.000Z", day(bar.nth)), "close": bar.close, "high": bar.high, "low": bar.low,
            "open": bar.open, "volume": bar.volume, "adjClose": bar.adjusted, "divCash": 0.0, "splitFactor": 1.0,
        })
    };
    json(asked.open_days(&asked.step(2), &asked.parameter("startDate"), "").into_iter().map(bar).collect())
}

fn eodhd(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.parameter("api_token") != KEY {
        return text(401, "Unauthenticated", "text/plain");
    }
    if is_refused {
        return text(402, "The requests of the day are used up", "text/plain");
    }
    let bar = |bar: Bar| {
        json!({
            "date": day(bar.nth), "open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close,
            "adjusted_close": bar.adjusted, "volume": bar.volume,
        })
    };
    json(asked.open_days(&asked.step(2), &asked.parameter("from"), "").into_iter().map(bar).collect())
}

fn marketstack(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.parameter("access_key") != KEY {
        return refusal(
            401,
            json!({"error": {"code": "invalid_access_key", "message": "The key is not valid"}}),
        );
    }
    if is_refused {
        return refusal(
            429,
            json!({"error": {"code": "too_many_requests", "message": "Rate limit reached."}}),
        );
    }
    let symbol = asked.parameter("symbols");
    let today = market::Today { is_newest_first: asked.parameter("sort") != "ASC", ..asked.today };
    let bars = asked.on(today).open_days(&symbol, &asked.parameter("date_from"), "");
    let offset = asked.number("offset").unwrap_or(0);
    let bar = |bar: &Bar| {
        json!({
            "open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume as f64,
            "adj_close": bar.adjusted, "symbol": symbol, "exchange": "XNYS",
            "date": format!("{}T00:00:00+0000", day(bar.nth)),
        })
    };
    let page = page(&bars, offset);
    let about = json!({"limit": 8, "offset": offset, "count": page.len(), "total": bars.len()});
    json(json!({"pagination": about, "data": page.iter().map(bar).collect::<Vec<_>>()}))
}

fn binance(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if is_refused {
        let refusal = refusal(418, json!({"code": -1_003, "msg": "The weight of requests is used up"}));
        return refusal.insert_header("Retry-After", "1");
    }
    let (from, to) = (asked.parameter("startTime"), asked.parameter("endTime"));
    let bar = |bar: Bar| {
        let number = |price: f64| format!("{price:.8}");
        let time = midnight(bar.nth) * 1_000;
        let volume = number(bar.volume as f64);
        json!([
            time,
            number(bar.open),
            number(bar.high),
            number(bar.low),
            number(bar.close),
            volume,
            time + 86_399_999,
            "1.0",
            9,
            "1.0",
            "1.0",
            "0"
        ])
    };
    json(asked.open_days(&asked.parameter("symbol"), &from, &to).into_iter().map(bar).collect())
}

fn stooq(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if is_refused {
        return text(200, "Exceeded the daily hits limit", "text/plain");
    }
    let bars = asked.open_days(&asked.parameter("s"), &asked.parameter("d1"), &asked.parameter("d2"));
    if bars.is_empty() {
        return text(200, "No data", "text/plain");
    }
    let row = |bar: Bar| {
        format!("{},{},{},{},{},{}\r\n", day(bar.nth), bar.open, bar.high, bar.low, bar.close, bar.volume)
    };
    let rows: String = bars.into_iter().map(row).collect();
    text(200, &format!("Date,Open,High,Low,Close,Volume\r\n{rows}"), "text/csv")
}

fn fred(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if asked.parameter("api_key") != KEY {
        return refusal(400, json!({"error_code": 400, "error_message": "api_key is not registered"}));
    }
    if is_refused {
        return refusal(429, json!({"error_code": 429, "error_message": "Too Many Requests."}));
    }
    let bars = asked.bars(&asked.parameter("series_id"), &asked.parameter("observation_start"), "");
    let offset = asked.number("offset").unwrap_or(0);
    let value = |bar: &Bar| if bar.nth == HOLIDAY { ".".to_owned() } else { bar.close.to_string() };
    let observation = |bar: &Bar| json!({"date": day(bar.nth), "value": value(bar)});
    let observations: Vec<Value> = page(&bars, offset).iter().map(observation).collect();
    json(json!({"count": bars.len(), "offset": offset, "limit": 8, "observations": observations}))
}

/// Its days are years.
fn worldbank(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if is_refused {
        return text(503, "<html>Service Unavailable</html>", "text/html");
    }
    // It has no parameter for what is new.
    let today = market::Today { is_weekend: false, is_newest_first: true, ..asked.today };
    let country = asked.step(2);
    let years = asked.on(today).bars(&country, "", "");
    let number = asked.number("page").unwrap_or(1);
    let value = |bar: &Bar| if bar.nth == HOLIDAY { Value::Null } else { bar.close.into() };
    let year = |bar: &Bar| {
        let indicator = json!({"id": asked.step(4), "value": "Market index"});
        json!({"indicator": indicator, "countryiso3code": country, "date": (2_000 + bar.nth).to_string(), "value": value(bar)})
    };
    let rows: Vec<Value> = numbered_page(&years, number).iter().map(year).collect();
    let about = json!({"page": number, "pages": n_pages(&years), "per_page": 8, "total": years.len()});
    json(json!([about, if rows.is_empty() { Value::Null } else { rows.into() }]))
}

fn coinbase(asked: &Asked<'_>, is_refused: bool) -> ResponseTemplate {
    if is_refused {
        return refusal(429, json!({"message": "Public rate limit exceeded"}));
    }
    let today = market::Today { is_newest_first: true, ..asked.today };
    let bars = asked.on(today).open_days(&asked.step(1), &asked.parameter("start"), &asked.parameter("end"));
    let candle = |bar: Bar| json!([midnight(bar.nth), bar.low, bar.high, bar.open, bar.close, bar.volume]);
    json(bars.into_iter().map(candle).collect())
}
