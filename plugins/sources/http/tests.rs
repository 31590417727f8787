//! The source against a real HTTP server in this process.

use std::sync::Mutex;

use runner_core::testing::{context, position_after, rejects};
use runner_core::{Batch, Position, ReadError, Source, SourceConfig as _, Start};
use serde_json::{Value, json};
use wiremock::matchers::{header, query_param, query_param_is_missing};
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use super::HttpConfig;

/// What a source has given until it ended, failed, or enough was read.
#[derive(Debug, Default)]
struct Run {
    bodies: Vec<String>,
    offsets: Vec<u64>,
    rejected: Vec<String>,
    position: Option<Position>,
    error: Option<ReadError>,
}

impl Run {
    fn failure(&self) -> String {
        match self.error.as_ref().expect("an error") {
            ReadError::Fatal(error) => format!("fatal: {error:#}"),
            ReadError::Retry { error, .. } => format!("retry: {error:#}"),
        }
    }
}

fn build(server: &MockServer, options: Value) -> anyhow::Result<Box<dyn Source>> {
    let mut table = json!({"endpoint": format!("{}/prices", server.uri())});
    let options = options.as_object().expect("options").clone();
    table.as_object_mut().expect("a table").extend(options);
    let config: HttpConfig = serde_json::from_value(table)?;
    let mut context = context();
    context.batch.max_records = 3;
    config.build(&context)
}

/// Reads until `at_most` items have been delivered.
async fn read(source: &mut dyn Source, at_most: usize) -> Run {
    let mut run = Run::default();
    while run.bodies.len() + run.rejected.len() < at_most {
        let batch: Batch = match source.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => {
                run.error = Some(error);
                break;
            }
        };
        let n_before = run.bodies.len() + run.rejected.len();
        let n_items = (batch.len() + rejects(&batch).len()).min(at_most - n_before);
        run.position = position_after(&batch, n_items);
        run.rejected.extend(rejects(&batch).iter().map(|reject| format!("{:#}", reject.reason)));
        for record in batch.records().iter().take(n_items) {
            run.bodies.push(String::from_utf8(record.to_bytes().unwrap().into()).unwrap());
            run.offsets.push(record.origin.offset);
        }
    }
    run
}

/// A whole run, from the position of the one before.
async fn run(server: &MockServer, options: Value, position: Option<Position>, at_most: usize) -> Run {
    let mut source = build(server, options).unwrap();
    source.open(&Start { position, from_start: false }).await.unwrap();
    let mut run = read(&mut *source, at_most).await;
    run.position = run.position.or_else(|| Some(Position(Value::Null)));
    run
}

async fn run_once(server: &MockServer, options: Value) -> Run {
    run(server, options, None, usize::MAX).await
}

fn json_answer(value: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

async fn serve(answers: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let answers = Mutex::new(answers.into_iter().collect::<Vec<_>>().into_iter());
    let last = Mutex::new(ResponseTemplate::new(500));
    let answer = move |_: &Request| {
        let mut last = last.lock().unwrap();
        if let Some(next) = answers.lock().unwrap().next() {
            *last = next;
        }
        last.clone()
    };
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    server
}

/// An API of numbered records, `per_page` a page, that is asked by `?page=` from 1.
async fn pages(n_records: usize, per_page: usize) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let page =
            request.url.query_pairs().find(|(name, _)| name == "page").map(|(_, page)| page.into_owned());
        let page: usize = page.unwrap_or_default().parse().expect("a page");
        let first = (page - 1) * per_page;
        let records: Vec<Value> = (first..n_records.min(first + per_page)).map(Value::from).collect();
        json_answer(json!({"page": page, "data": records}))
    };
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    server
}

fn by_page() -> Value {
    json!({"records": "/data", "pagination": {"type": "page", "param": "page"}})
}

/// An API of numbered records, two a page, that names what comes next by a cursor.
async fn cursors(n_records: usize) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let after = request.url.query_pairs().find(|(name, _)| name == "after");
        let first: usize =
            after.map_or(0, |(_, after)| after.trim_start_matches("at ").parse().expect("a cursor"));
        let end = n_records.min(first + 2);
        let next = if end < n_records { json!(format!("at {end}")) } else { Value::Null };
        json_answer(json!({"data": (first..end).collect::<Vec<_>>(), "meta": {"next": next}}))
    };
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    server
}

fn by_cursor() -> Value {
    json!({"records": "/data", "pagination": {"type": "cursor", "cursor": "/meta/next", "param": "after"}})
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn elements_arrive_byte_for_byte_and_in_order() {
    let body = r#"{"data": [ {"p": 1.50}, { "p" : 12345678901234567890 },3, 4 ]}"#;
    let server = serve([ResponseTemplate::new(200).set_body_string(body)]).await;
    let run = run_once(&server, json!({"records": "/data"})).await;
    assert_eq!(run.bodies, [r#"{"p": 1.50}"#, r#"{ "p" : 12345678901234567890 }"#, "3", "4"]);
    assert_eq!(run.offsets, [0, 1, 2, 3]);
}

#[tokio::test]
async fn lines_that_are_not_json_are_rejected_and_the_rest_goes_on() {
    let body = "{\"a\":1}\nnonsense\n\n{\"a\":2}\n";
    let server = serve([ResponseTemplate::new(200).set_body_string(body)]).await;
    let run = run_once(&server, json!({"codec": "ndjson"})).await;
    assert_eq!(run.bodies, [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(run.offsets, [0, 2]);
    assert!(run.rejected[0].starts_with("line 2 of the answer is not JSON"), "{:?}", run.rejected);
}

#[tokio::test]
async fn csv_rows_keep_the_types_of_the_first_answer() {
    let answer = |text: &str| ResponseTemplate::new(200).set_body_raw(text, "text/csv");
    let server = serve([answer("n,s\n1.5,a\n"), answer("n,s\n2,b\nx,c\n"), answer("")]).await;
    let options = json!({"codec": "csv", "pagination": {"type": "page", "param": "page"}});
    let mut source = build(&server, options).unwrap();
    source.open(&Start::default()).await.unwrap();
    let mut first = source.next().await.unwrap().unwrap();
    let mut second = source.next().await.unwrap().unwrap();
    assert_eq!(first.records_mut()[0].value().unwrap().to_string(), r#"{"n":1.5,"s":"a"}"#);
    assert_eq!(second.records_mut()[0].value().unwrap().to_string(), r#"{"n":2.0,"s":"b"}"#);
    assert_eq!(rejects(&second).len(), 1);
    assert!(source.next().await.unwrap().is_none());
}

#[tokio::test]
async fn pages_are_read_until_one_is_empty() {
    let server = pages(7, 2).await;
    let run = run_once(&server, by_page()).await;
    assert_eq!(run.bodies, numbers(0..7));
    assert_eq!(server.received_requests().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_page_that_is_missing_behind_the_last_is_the_end() {
    let server = pages(3, 2).await;
    Mock::given(query_param("page", "3"))
        .respond_with(ResponseTemplate::new(404))
        .with_priority(1)
        .mount(&server)
        .await;
    assert_eq!(run_once(&server, by_page()).await.bodies, numbers(0..3));
}

#[tokio::test]
async fn a_run_goes_on_exactly_behind_the_one_before() {
    let (paged, chained, whole) = (
        pages(9, 4).await,
        cursors(9).await,
        serve([json_answer(json!({"data": [0, 1, 2, 3, 4, 5, 6, 7, 8]}))]).await,
    );
    for (server, options) in
        [(paged, by_page()), (chained, by_cursor()), (whole, json!({"records": "/data"}))]
    {
        for n_at_once in 1..9 {
            let mut position = None;
            let mut all = Vec::new();
            let mut offsets = Vec::new();
            while all.len() < 9 {
                let part = run(&server, options.clone(), position, n_at_once.min(9 - all.len())).await;
                assert!(part.error.is_none(), "{:?}", part.error);
                all.extend(part.bodies);
                offsets.extend(part.offsets);
                position = part.position;
            }
            assert_eq!(all, numbers(0..9), "{n_at_once} at once, {options}");
            assert_eq!(offsets, (0..9).collect::<Vec<u64>>());
        }
    }
}

#[tokio::test]
async fn a_walk_that_is_through_gives_only_what_is_new() {
    for options in [by_page(), by_cursor()] {
        let serve = async |n_records| {
            if options == by_page() { pages(n_records, 2).await } else { cursors(n_records).await }
        };
        let first = run(&serve(5).await, options.clone(), None, usize::MAX).await;
        let again = run(&serve(5).await, options.clone(), first.position.clone(), usize::MAX).await;
        assert_eq!(again.bodies, numbers(0..0));
        let grown = run(&serve(8).await, options.clone(), first.position, usize::MAX).await;
        assert_eq!(grown.bodies, numbers(5..8));
        assert_eq!(grown.offsets, [5, 6, 7]);
    }
}

#[tokio::test]
async fn an_answer_without_pages_is_given_anew_by_every_run() {
    let server = serve([json_answer(json!([1, 2, 3]))]).await;
    let first = run(&server, json!({}), None, usize::MAX).await;
    let second = run(&server, json!({}), first.position, usize::MAX).await;
    assert_eq!(second.bodies, ["1", "2", "3"]);
    assert_eq!(second.offsets, [3, 4, 5]);
}

#[tokio::test]
async fn an_answer_that_has_changed_is_given_from_its_start() {
    let server =
        serve([json_answer(json!([1, 2, 3])), json_answer(json!([1, 9, 3])), json_answer(json!([]))]).await;
    let first = run(&server, json!({}), None, 2).await;
    let second = run(&server, json!({}), first.position.clone(), usize::MAX).await;
    assert_eq!(second.bodies, ["1", "9", "3"]);
    let shorter = run(&server, json!({}), first.position, usize::MAX).await;
    assert_eq!(shorter.position.unwrap().0["taken"], 0);
}

#[tokio::test]
async fn links_are_followed_to_the_last() {
    let server = MockServer::start().await;
    let linked = |body: Value, link: &str| json_answer(body).insert_header("Link", link);
    let first = linked(json!([1]), r#"</prices?page=2&k=s3cret>; rel="next", </prices?page=9>; rel="last""#);
    Mock::given(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    Mock::given(query_param("page", "2")).respond_with(json_answer(json!([2]))).mount(&server).await;
    let auth = json!({"strategy": "api_key", "in": "query", "name": "k", "value": "s3cret"});
    let run = run_once(&server, json!({"pagination": {"type": "link"}, "auth": auth})).await;
    assert_eq!(run.bodies, ["1", "2"]);
    let position = run.position.unwrap().0.to_string();
    assert!(position.contains("page=2") && !position.contains("s3cret"), "{position}");
    let requests = server.received_requests().await.unwrap();
    assert!(
        requests.iter().all(|request| request.url.query_pairs().filter(|(name, _)| name == "k").count() == 1)
    );
}

#[tokio::test]
async fn an_api_that_leads_in_a_circle_is_found_out() {
    let circle = json_answer(json!({"data": [1], "meta": {"next": "a"}}));
    let run = run_once(&serve([circle]).await, by_cursor()).await;
    assert_eq!(run.bodies, ["1"]);
    let failure = run.failure();
    assert!(
        failure.contains("the cursor `a` at `/meta/next` repeats") && failure.contains("`after`"),
        "{failure}"
    );

    let run = run_once(&serve([json_answer(json!({"data": [1]}))]).await, by_page()).await;
    assert!(run.failure().contains("page 2 is the same as the page before it"), "{}", run.failure());

    let back = json_answer(json!([1])).insert_header("Link", "</prices>; rel=next");
    let run = run_once(&serve([back]).await, json!({"pagination": {"type": "link"}})).await;
    assert!(run.failure().contains("the next link repeats"), "{}", run.failure());
    assert!(run.bodies.is_empty());
}

#[tokio::test]
async fn an_empty_page_that_names_its_own_cursor_is_the_end() {
    let end = json_answer(json!({"data": [], "meta": {"next": "a"}}));
    let run =
        run_once(&serve([json_answer(json!({"data": [1], "meta": {"next": "a"}})), end]).await, by_cursor())
            .await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test]
async fn polling_waits_for_the_interval_and_gives_what_is_new() {
    let answer = |data: Value| json_answer(json!({"data": data}));
    let server =
        serve([answer(json!([1])), answer(json!([])), answer(json!([1, 2])), answer(json!([]))]).await;
    let mut options = by_page();
    options["interval"] = json!("50ms");
    let started = std::time::Instant::now();
    let run = run(&server, options, None, 2).await;
    assert_eq!(run.bodies, ["1", "2"]);
    assert!(started.elapsed().as_millis() >= 50);
}

#[tokio::test]
async fn trouble_that_may_pass_is_worth_another_try() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "7").set_body_string("slow down");
    let server = serve([busy, ResponseTemplate::new(500), json_answer(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let first = source.next().await.unwrap_err();
    assert!(
        matches!(&first, ReadError::Retry { after: Some(after), .. } if after.as_secs() == 7),
        "{first:?}"
    );
    assert!(matches!(source.next().await, Err(ReadError::Retry { after: None, .. })));
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn half_an_answer_is_asked_for_again() {
    let half = ResponseTemplate::new(200).set_body_string(r#"[{"a": 1}, {"a""#);
    let server = serve([half, json_answer(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let failure = read(&mut *source, usize::MAX).await.failure();
    assert!(
        failure.starts_with("retry: ") && failure.contains("half a JSON: it breaks off at byte 15"),
        "{failure}"
    );
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn an_api_that_is_well_again_is_told_of_even_without_records() {
    let answers = [json_answer(json!([])), ResponseTemplate::new(500), json_answer(json!([]))];
    let mut source = build(&serve(answers).await, json!({"interval": "1ms"})).unwrap();
    source.open(&Start::default()).await.unwrap();
    assert!(matches!(source.next().await, Err(ReadError::Retry { .. })));
    let batch = source.next().await.unwrap().unwrap();
    assert!(batch.is_empty() && position_after(&batch, 0).is_some());
}

#[tokio::test]
async fn a_refusal_is_final_at_first_and_passing_after_a_success() {
    let denied = || ResponseTemplate::new(401).set_body_string("token s3cret is bad");
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let run = run_once(&serve([denied()]).await, json!({"auth": auth})).await;
    let failure = run.failure();
    assert!(failure.starts_with("fatal: ") && failure.contains("check `auth.token`"), "{failure}");
    assert!(failure.contains("It said: `token *** is bad`"), "{failure}");
    let server = serve([json_answer(json!({"data": [1]})), denied()]).await;
    assert!(run_once(&server, by_page()).await.failure().starts_with("retry: "));
}

#[tokio::test]
async fn an_answer_that_is_something_else_says_what_to_do() {
    let page = ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html>\n<title>Log in</title>", "text/html");
    let failure = run_once(&serve([page]).await, json!({})).await.failure();
    for part in
        ["fatal: GET http://", "200 OK (text/html)", "not JSON at byte 0", "`auth`", "<title>Log in</title>"]
    {
        assert!(failure.contains(part), "{part} in {failure}");
    }
    let lines = ResponseTemplate::new(200).set_body_string("{\"a\":1}\n{\"a\":2}\n");
    assert!(run_once(&serve([lines]).await, json!({})).await.failure().contains("codec = \"ndjson\"?"));
    let spread = ResponseTemplate::new(200).set_body_string("[\n1\n]");
    let failure = run_once(&serve([spread]).await, json!({"codec": "ndjson"})).await.failure();
    assert!(failure.contains("over many lines"), "{failure}");
    let failure = run_once(&serve([json_answer(json!([1]))]).await, json!({"codec": "csv"})).await.failure();
    assert!(failure.contains("codec = \"json\"?"), "{failure}");
}

#[tokio::test]
async fn nobody_there_is_said_to_be_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = MockServer::start().await;
    let endpoint = format!("http://127.0.0.1:{port}/");
    let Some(ReadError::Retry { error, .. }) = run_once(&server, json!({"endpoint": endpoint})).await.error
    else {
        panic!("nobody should be there")
    };
    assert!(error.is::<runner_core::Unreachable>());
    assert!(format!("{error:#}").contains(&format!("cannot reach 127.0.0.1:{port}")), "{error:#}");
}

#[tokio::test]
async fn credentials_stay_with_the_host_of_the_endpoint() {
    struct Bare;
    impl Match for Bare {
        fn matches(&self, request: &Request) -> bool {
            ["authorization", "x-team"].iter().all(|name| !request.headers.contains_key(*name))
        }
    }
    let other = serve([]).await;
    other.reset().await;
    Mock::given(Bare).respond_with(json_answer(json!([1]))).mount(&other).await;
    let options =
        json!({"auth": {"strategy": "basic", "user": "ada", "password": "x"}, "headers": {"X-Team": "blue"}});
    let away = ResponseTemplate::new(302).insert_header("Location", format!("{}/there", other.uri()));
    assert_eq!(run_once(&serve([away]).await, options.clone()).await.bodies, ["1"]);

    let home = MockServer::start().await;
    let moved = ResponseTemplate::new(308).insert_header("Location", "/there");
    Mock::given(wiremock::matchers::path("/prices")).respond_with(moved).mount(&home).await;
    Mock::given(header("authorization", "Basic YWRhOng="))
        .and(header("x-team", "blue"))
        .and(wiremock::matchers::path("/there"))
        .respond_with(json_answer(json!([2])))
        .mount(&home)
        .await;
    assert_eq!(run_once(&home, options).await.bodies, ["2"]);

    let circle = ResponseTemplate::new(302).insert_header("Location", "/prices");
    assert!(
        run_once(&serve([circle]).await, json!({})).await.failure().contains("redirected more than 10 times")
    );
}

#[tokio::test]
async fn the_request_is_what_the_options_say() {
    let server = serve([json_answer(json!([1]))]).await;
    let options = json!({
        "method": "POST", "body": "{\"q\": 1}", "query": {"symbol": "A B", "limit": 100, "raw": true},
        "headers": {"Accept": "application/vnd.prices+json"},
    });
    let mut source = build(&server, options.clone()).unwrap();
    let identity = source.identity();
    assert!(
        identity.starts_with(&format!("POST {}/prices?limit=100&raw=true&symbol=A+B ", server.uri())),
        "{identity}"
    );
    source.open(&Start::default()).await.unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
    let batch = source.next().await.unwrap().unwrap();
    assert_eq!(batch.records()[0].origin.stream.as_str(), format!("{}/prices", server.uri()));
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!((request.method.as_str(), request.body.as_slice()), ("POST", br#"{"q": 1}"#.as_slice()));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept"], "application/vnd.prices+json");
    assert!(request.headers["accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn a_saved_place_that_has_no_meaning_any_more_is_given_up() {
    let first = run(&pages(3, 2).await, by_page(), None, usize::MAX).await;
    let second = run(&cursors(3).await, by_cursor(), first.position, usize::MAX).await;
    assert_eq!(second.bodies, numbers(0..3));
    assert_eq!(second.offsets, [3, 4, 5]);
    let forgotten = serve([ResponseTemplate::new(400)]).await;
    let failure = run(&forgotten, by_cursor(), second.position, usize::MAX).await.failure();
    assert!(failure.starts_with("fatal: reading goes on from the saved position"), "{failure}");
    assert!(failure.contains("--from-start"), "{failure}");
}

#[tokio::test]
async fn options_that_do_not_go_together_are_refused() {
    let server = MockServer::start().await;
    let refused = |options: Value| build(&server, options).err().expect("a refusal").to_string();
    assert!(refused(json!({"codec": "csv", "records": "/data"})).starts_with("`records`: "));
    let cursor = json!({"type": "cursor", "cursor": "/next", "param": "after"});
    assert!(refused(json!({"codec": "ndjson", "pagination": cursor})).starts_with("`pagination`: "));
    assert!(refused(json!({"interval": "0s"})).starts_with("`interval`: "));
    assert!(refused(json!({"endpoint": "ftp://a/"})).starts_with("`endpoint`: "));
    let auth = json!({"strategy": "bearer", "token": "x"});
    assert!(
        refused(json!({"auth": auth, "headers": {"authorization": "y"}}))
            .starts_with("`headers.authorization`: ")
    );
    let error = refused(json!({"endpoint": "http://ada:hidden@a/"}));
    assert!(error.contains("strategy = \"basic\"") && !error.contains("hidden"), "{error}");
}
