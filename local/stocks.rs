//! The stock API: the rows of a CSV file as JSON, all at once, by page number or by cursor.

use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri};
use s3s::{Body, HttpError};
use url::form_urlencoded;

/// The default number of prices on a page.
const PAGE: usize = 100;
/// The largest number of prices on a page.
const LARGEST_PAGE: usize = 1_000;

const HELP: &str = r#"{"endpoints":{"/prices":"all prices as one array","/prices?page=1&limit=100":"a page of them as an array; an empty one after the last","/prices/pages?cursor=&limit=100":"a page as {prices, next}; next is the cursor of the next page, or null"}}"#;

/// Prices, each the text of a JSON object.
#[derive(Clone, Debug)]
pub(crate) struct Stocks(Arc<[String]>);

impl Service<Request<Incoming>> for Stocks {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = Ready<Result<Self::Response, HttpError>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = match *request.method() {
            Method::GET => self.answer(request.uri()),
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported"),
        };
        ready(Ok(answer.map(Body::from)))
    }
}

impl Stocks {
    /// Reads the rows of a CSV text with a header.
    pub(crate) fn from_csv(text: &[u8]) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(text);
        let what = "reading the prices of the stock API";
        let names = reader.headers().context(what)?.clone();
        let rows = reader.records().map(|row| Ok(object(&names, &row.context(what)?)));
        Ok(Stocks(rows.collect::<Result<_>>()?))
    }

    /// Answers a GET.
    fn answer(&self, uri: &Uri) -> Response<Bytes> {
        let asked = match Asked::read(uri.query().unwrap_or_default()) {
            Ok(asked) => asked,
            Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
        };
        let limit = asked.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
        match (uri.path().trim_end_matches('/'), asked) {
            ("", _) => json(StatusCode::OK, HELP.to_owned()),
            ("/prices", Asked { page: None, limit: None, .. }) => json(StatusCode::OK, array(&self.0)),
            ("/prices", Asked { page, .. }) => {
                let first = page.unwrap_or(1).saturating_sub(1).saturating_mul(limit);
                let (rows, _) = self.page(first, limit);
                json(StatusCode::OK, array(rows))
            }
            ("/prices/pages", Asked { cursor, .. }) => {
                let (rows, next) = self.page(cursor.unwrap_or(0), limit);
                let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
                json(StatusCode::OK, format!("{{\"prices\":{},\"next\":{next}}}", array(rows)))
            }
            (path, _) => refusal(StatusCode::NOT_FOUND, &format!("{path} does not exist; see /")),
        }
    }

    /// Up to `limit` rows from `first` on, and the start of the next page.
    fn page(&self, first: usize, limit: usize) -> (&[String], Option<usize>) {
        let first = first.min(self.0.len());
        let end = (first + limit).min(self.0.len());
        (&self.0[first..end], (end < self.0.len()).then_some(end))
    }
}

/// The parameters of a request.
#[derive(Default)]
struct Asked {
    page: Option<usize>,
    cursor: Option<usize>,
    limit: Option<usize>,
}

impl Asked {
    fn read(query: &str) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "page" => &mut asked.page,
                "cursor" => &mut asked.cursor,
                "limit" => &mut asked.limit,
                _ => return Err(format!("unknown parameter `{name}`; see /")),
            };
            if !value.is_empty() {
                *place = Some(value.parse().map_err(|_| format!("`{name}={value}` is not a number"))?);
            }
        }
        Ok(asked)
    }
}

/// A row as a JSON object; numbers keep their digits.
fn object(names: &csv::StringRecord, row: &csv::StringRecord) -> String {
    let mut text = String::from("{");
    for (index, (name, cell)) in names.iter().zip(row).enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let is_number = serde_json::from_str::<serde_json::Number>(cell).is_ok();
        let cell = if is_number { cell.to_owned() } else { serde_json::Value::from(cell).to_string() };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{}:{cell}", serde_json::Value::from(name));
    }
    text + "}"
}

fn array(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}

fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    json(status, serde_json::json!({ "error": message }).to_string())
}

fn json(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

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
    fn cursor_reaches_all_pages() {
        let stocks = stocks();
        let (_, first) = ask(&stocks, "/prices/pages?cursor=&limit=2");
        assert_eq!((first["prices"].as_array().unwrap().len(), &first["next"]), (2, &"2".into()));
        let (_, last) = ask(&stocks, "/prices/pages?cursor=2&limit=2");
        assert_eq!((&last["prices"][0]["Index"], &last["next"]), (&"HSI".into(), &Value::Null));
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
        assert_eq!(ask(&stocks, "/prices?page=x").0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&stocks, "/prices?offset=1").0, StatusCode::BAD_REQUEST);
    }
}
