//! The source against a real HTTP server in this process.

mod auth;
mod body_status;
mod csv_columns;
mod elements;
mod ends;
mod errors;
mod incremental;
mod large;
mod limits;
mod lists;
mod next_links;
mod overlaps;
mod pages;
mod pagination;
mod positions;
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
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::HttpConfig;
use super::pages::END_CHECK_DELAYS;
use super::source::HttpSource;
use crate::shared::compression::Compression;

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
    let table = with(json!({"endpoint": format!("{}/prices", server.uri())}), &options);
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

/// What is read by several runs, each of which resumes where the one before ended.
async fn runs(server: &MockServer, options: &Value, n_runs: usize) -> Vec<Vec<String>> {
    let (mut position, mut bodies) = (None, Vec::new());
    for _ in 0..n_runs {
        let part = run(server, options.clone(), position, usize::MAX).await;
        assert!(part.error.is_none(), "{options} {part:?}");
        bodies.push(part.bodies);
        position = part.position;
    }
    bodies
}

/// Reads so many records, with a restart after every `n_at_once` of them.
async fn run_in_parts(server: &MockServer, options: &Value, n_at_once: usize, n_records: usize) -> Run {
    let mut all = Run::default();
    while all.bodies.len() < n_records {
        let at_most = n_at_once.min(n_records - all.bodies.len());
        let part = run(server, options.clone(), all.position, at_most).await;
        assert!(part.error.is_none() && !part.bodies.is_empty(), "{n_at_once} at once, {options}: {part:?}");
        all.bodies.extend(part.bodies);
        all.offsets.extend(part.offsets);
        all.position = part.position;
    }
    all
}

/// A source that has been opened.
async fn open(server: &MockServer, options: Value) -> Box<dyn Source> {
    let mut source = build(server, options).unwrap();
    source.open(&Start::default()).await.unwrap();
    source
}

/// Why a run fails that gets this response.
async fn failure_of(response: ResponseTemplate, options: Value) -> String {
    run_once(&serve([response]).await, options).await.failure()
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

/// The options with more of them.
fn with(mut options: Value, more: &Value) -> Value {
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    Compression::Gzip.compress(text.as_ref()).unwrap()
}

/// A parameter of the query.
fn parameter(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// A number in the query.
fn number(request: &Request, name: &str) -> Option<usize> {
    parameter(request, name).map(|value| value.parse().expect("a number"))
}

async fn requests_to(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

/// A server that gives this response to every request.
async fn respond(response: impl Respond + 'static) -> MockServer {
    let server = MockServer::builder().start().await;
    Mock::given(wiremock::matchers::any()).respond_with(response).with_priority(9).mount(&server).await;
    server
}

fn json_response(value: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

/// A server that gives these responses one after another, and then the last one again.
async fn serve(responses: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let responses = Mutex::new(responses.into_iter().collect::<Vec<_>>().into_iter());
    let last = Mutex::new(ResponseTemplate::new(500));
    respond(move |_: &Request| {
        let mut last = last.lock().unwrap();
        if let Some(next) = responses.lock().unwrap().next() {
            *last = next;
        }
        last.clone()
    })
    .await
}

/// Answers with what `page` makes from the parameter `page`, or with the first page.
async fn paged(page: impl Fn(usize) -> Value + Send + Sync + 'static) -> MockServer {
    respond(move |request: &Request| json_response(page(number(request, "page").unwrap_or(1)))).await
}

/// An API of numbered records with `per_page` records per page, requested by `?page=` from 1.
async fn page_server(n_records: usize, per_page: usize) -> MockServer {
    paged(move |page| {
        let first = (page - 1) * per_page;
        let records: Vec<Value> = (first..n_records.min(first + per_page)).map(Value::from).collect();
        json!({"page": page, "data": records})
    })
    .await
}

fn page_options() -> Value {
    json!({"records": "/data", "pagination": {"type": "page", "param": "page"}})
}

/// An API of numbered records with two records per page and cursors.
async fn cursor_server(n_records: usize) -> MockServer {
    respond(move |request: &Request| {
        let after = parameter(request, "after");
        let first: usize =
            after.map_or(0, |after| after.trim_start_matches("at ").parse().expect("a cursor"));
        let end = n_records.min(first + 2);
        let next = if end < n_records { json!(format!("at {end}")) } else { Value::Null };
        json_response(json!({"data": (first..end).collect::<Vec<_>>(), "meta": {"next": next}}))
    })
    .await
}

fn cursor_options() -> Value {
    json!({"records": "/data", "pagination": {"type": "cursor", "cursor": "/meta/next", "param": "after"}})
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
