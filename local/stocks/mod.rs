//! The stock APIs. One answers with the rows of a CSV file as JSON, all at once, by page number or by cursor. One
//! answers like Alpha Vantage, and one with pages, the newest first.

mod daily;
mod prices;
#[cfg(test)]
mod tests;

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri};
use s3s::{Body, HttpError};
use serde_json::json;
use url::form_urlencoded;

use daily::Limit;
use prices::Prices;

/// The default number of prices on a page.
const PAGE: usize = 100;
/// The largest number of prices on a page.
const LARGEST_PAGE: usize = 1_000;

const HELP: &str = r#"{"endpoints":{"/prices":"all prices as one array","/prices?page=1&limit=100":"a page of them as an array; an empty one after the last","/prices/pages?cursor=&limit=100":"a page as {prices, next}; next is the cursor of the next page, or null","/prices/newest?offset=0&limit=100":"a page as {pagination, data}, the newest prices first","/query?function=TIME_SERIES_DAILY&symbol=NYA&outputsize=full&apikey=any":"the days of one symbol, as Alpha Vantage answers; also TIME_SERIES_DAILY_ADJUSTED; more than 10 requests a second get a note"}}"#;

/// The stock APIs, for all connections.
#[derive(Clone, Debug)]
pub(crate) struct Stocks {
    prices: Arc<Prices>,
    limit: Arc<Mutex<Limit>>,
}

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
        Ok(Stocks { prices: Arc::new(Prices::from_csv(text)?), limit: Arc::default() })
    }

    /// Answers a GET.
    fn answer(&self, uri: &Uri) -> Response<Bytes> {
        let query = uri.query().unwrap_or_default();
        match uri.path().trim_end_matches('/') {
            "" => json(StatusCode::OK, HELP.to_owned()),
            "/query" => json(StatusCode::OK, self.daily(query)),
            path => {
                self.rows(path, query).unwrap_or_else(|message| refusal(StatusCode::BAD_REQUEST, &message))
            }
        }
    }

    /// The days of one symbol, or a note if they are asked for too often.
    fn daily(&self, query: &str) -> String {
        if !self.limit.lock().unwrap_or_else(PoisonError::into_inner).allows(Instant::now()) {
            return daily::note();
        }
        daily::answer(&self.prices, |name| {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
            found.map(|(_, value)| value.into_owned())
        })
    }

    /// The rows of the file, whole or in pages; the error is a wrong parameter.
    fn rows(&self, path: &str, query: &str) -> Result<Response<Bytes>, String> {
        let all = self.prices.objects();
        let text = match path {
            "/prices" => {
                let [page, limit] = read(query, ["page", "limit"])?;
                if page.is_none() && limit.is_none() {
                    array(all)
                } else {
                    let limit = page_size(limit);
                    array(cut(all, page.unwrap_or(1).saturating_sub(1).saturating_mul(limit), limit).0)
                }
            }
            "/prices/pages" => {
                let [cursor, limit] = read(query, ["cursor", "limit"])?;
                let (rows, next) = cut(all, cursor.unwrap_or(0), page_size(limit));
                let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
                format!("{{\"prices\":{},\"next\":{next}}}", array(rows))
            }
            "/prices/newest" => {
                let [offset, limit] = read(query, ["offset", "limit"])?;
                let (offset, limit) = (offset.unwrap_or(0), page_size(limit));
                let newest_first = self.prices.newest_first(None);
                let (rows, _) = cut(&newest_first, offset, limit);
                let rows: Vec<&str> = rows.iter().map(|row| &*all[*row]).collect();
                let about =
                    json!({"limit": limit, "offset": offset, "count": rows.len(), "total": all.len()});
                format!("{{\"pagination\":{about},\"data\":{}}}", array(&rows))
            }
            _ => return Ok(refusal(StatusCode::NOT_FOUND, &format!("{path} does not exist; see /"))),
        };
        Ok(json(StatusCode::OK, text))
    }
}

/// The values of these parameters; every other one is an error.
fn read<const N: usize>(query: &str, names: [&str; N]) -> Result<[Option<usize>; N], String> {
    let mut values = [None; N];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let at = names.iter().position(|known| *known == name);
        let at = at.ok_or_else(|| format!("unknown parameter `{name}`; see /"))?;
        if !value.is_empty() {
            values[at] = Some(value.parse().map_err(|_| format!("`{name}={value}` is not a number"))?);
        }
    }
    Ok(values)
}

fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
}

/// Up to `limit` items from `first` on, and the start of the next page.
fn cut<T>(all: &[T], first: usize, limit: usize) -> (&[T], Option<usize>) {
    let first = first.min(all.len());
    let end = (first + limit).min(all.len());
    (&all[first..end], (end < all.len()).then_some(end))
}

fn array<S: AsRef<str>>(rows: &[S]) -> String {
    let rows: Vec<&str> = rows.iter().map(AsRef::as_ref).collect();
    format!("[{}]", rows.join(","))
}

fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    json(status, json!({ "error": message }).to_string())
}

fn json(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
