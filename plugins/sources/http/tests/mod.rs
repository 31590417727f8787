//! The source against a real HTTP server in this process.

mod api_messages;
mod auth;
mod elements;
mod ends;
mod errors;
mod incremental;
mod large;
mod limits;
mod lists;
mod overlaps;
mod pages;
mod pagination;
mod redirects;
mod requests;
mod responses;
mod shaping;
mod templates;
mod tls;
mod unchanged;
mod values;

use std::sync::Mutex;
use std::time::Duration;

use runner_core::testing::{context, start_at};
use runner_core::{Class, Failure, Next, ReadBatch, Source, Start};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::HttpConfig;
use super::pages::END_CHECK_DELAYS;
use super::source::HttpSource;

/// What a source returned until it ended, failed, or enough was read.
#[derive(Debug, Default)]
struct Run {
    bodies: Vec<String>,
    offsets: Vec<u64>,
    rejected: Vec<String>,
    position: Option<Value>,
    error: Option<Failure>,
}

impl Run {
    fn failure(&self) -> String {
        let failure = self.error.as_ref().expect("an error");
        format!("{}: {:#}", if failure.is_retryable() { "retry" } else { "fatal" }, failure.error())
    }
}

fn build(server: &MockServer, options: Value) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(build_http(server, options)?))
}

/// A source with short delays at a possible end of the data.
fn build_http(server: &MockServer, options: Value) -> anyhow::Result<HttpSource> {
    let mut table = json!({"endpoint": format!("{}/prices", server.uri())});
    let Value::Object(options) = options else { panic!("options are a table") };
    table.as_object_mut().expect("a table").extend(options);
    let config: HttpConfig = serde_json::from_value(table)?;
    let mut context = context();
    context.batch.max_records = 3;
    let mut http = config.source(&context)?;
    http.settings.end_check_delays = const { &[Duration::from_millis(1); END_CHECK_DELAYS.len()] };
    Ok(http)
}

/// The next records of a source.
async fn next_batch(source: &mut dyn Source) -> ReadBatch {
    loop {
        match source.next().await.expect("records") {
            Next::Batch(batch) => return batch,
            Next::Idle => {}
            Next::End => panic!("the source has ended"),
        }
    }
}

/// Reads until `at_most` items have been delivered.
async fn read(source: &mut dyn Source, at_most: usize) -> Run {
    let mut run = Run::default();
    while run.bodies.len() + run.rejected.len() < at_most {
        let batch = match source.next().await {
            Ok(Next::Batch(batch)) => batch,
            Ok(Next::Idle) => continue,
            Ok(Next::End) => break,
            Err(error) => {
                run.error = Some(error);
                break;
            }
        };
        let n_before = run.bodies.len() + run.rejected.len();
        let n_items = (batch.records().len() + batch.rejects().len()).min(at_most - n_before);
        run.position = start_at(&batch, n_items).unwrap().position;
        run.rejected.extend(batch.rejects().iter().map(|reject| format!("{:#}", reject.reason)));
        for record in batch.records().iter().take(n_items) {
            run.bodies.push(String::from_utf8(record.to_bytes().unwrap().into()).unwrap());
            run.offsets.push(record.origin.offset);
        }
    }
    run
}

/// A run that resumes at a position.
async fn run(server: &MockServer, options: Value, position: Option<Value>, at_most: usize) -> Run {
    let mut source = build(server, options).unwrap();
    source.open(&Start { position: position.clone(), from_start: false }).await.unwrap();
    let mut run = read(&mut *source, at_most).await;
    run.position = run.position.or(position);
    run
}

async fn run_once(server: &MockServer, options: Value) -> Run {
    run(server, options, None, usize::MAX).await
}

fn json_response(value: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

async fn serve(responses: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::builder().start().await;
    let responses = Mutex::new(responses.into_iter().collect::<Vec<_>>().into_iter());
    let last = Mutex::new(ResponseTemplate::new(500));
    let response = move |_: &Request| {
        let mut last = last.lock().unwrap();
        if let Some(next) = responses.lock().unwrap().next() {
            *last = next;
        }
        last.clone()
    };
    Mock::given(wiremock::matchers::any()).respond_with(response).mount(&server).await;
    server
}

/// An API of numbered records with `per_page` records per page, requested by `?page=` from 1.
async fn page_server(n_records: usize, per_page: usize) -> MockServer {
    let server = MockServer::builder().start().await;
    let response = move |request: &Request| {
        let page =
            request.url.query_pairs().find(|(name, _)| name == "page").map(|(_, page)| page.into_owned());
        let page: usize = page.unwrap_or_default().parse().expect("a page");
        let first = (page - 1) * per_page;
        let records: Vec<Value> = (first..n_records.min(first + per_page)).map(Value::from).collect();
        json_response(json!({"page": page, "data": records}))
    };
    Mock::given(wiremock::matchers::any()).respond_with(response).mount(&server).await;
    server
}

fn page_options() -> Value {
    json!({"records": "/data", "pagination": {"type": "page", "param": "page"}})
}

/// An API of numbered records with two records per page and cursors.
async fn cursor_server(n_records: usize) -> MockServer {
    let server = MockServer::builder().start().await;
    let response = move |request: &Request| {
        let after = request.url.query_pairs().find(|(name, _)| name == "after");
        let first: usize =
            after.map_or(0, |(_, after)| after.trim_start_matches("at ").parse().expect("a cursor"));
        let end = n_records.min(first + 2);
        let next = if end < n_records { json!(format!("at {end}")) } else { Value::Null };
        json_response(json!({"data": (first..end).collect::<Vec<_>>(), "meta": {"next": next}}))
    };
    Mock::given(wiremock::matchers::any()).respond_with(response).mount(&server).await;
    server
}

fn cursor_options() -> Value {
    json!({"records": "/data", "pagination": {"type": "cursor", "cursor": "/meta/next", "param": "after"}})
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
