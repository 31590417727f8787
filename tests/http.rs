//! The `http` source: responses, pagination, authentication, errors.

mod auth;
mod connect;
mod large;
mod misleading;
mod polled;
mod stuck;
mod wide;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use wiremock::matchers::{any, body_string, header, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{Outcome, TestEnv, numbers, wait_until};

/// No output may show this text.
const SECRET: &str = "hush hush/7";

/// A pipeline from an API to a file, with these options for the source.
fn pipeline(env: &TestEnv, server: &MockServer, options: &str) {
    let endpoint = format!("{}/prices", server.uri());
    write_pipeline(env, &endpoint, options, "");
}

fn write_pipeline(env: &TestEnv, endpoint: &str, options: &str, more: &str) {
    let input = if more.contains("[transforms.first]") { "first" } else { "api" };
    let text = format!(
        "[retry]\ninitial = \"10ms\"\nconnect = \"300ms\"\ntimeout = \"300ms\"\n\n\
         [sources.api]\ntype = \"http\"\nendpoint = \"{endpoint}\"\n{options}\n\n{more}\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"{input}\"]\npath = \"out.jsonl\"\n"
    );
    env.write("api.toml", text);
}

fn limited(env: &TestEnv, server: &MockServer, options: &str, at_most: usize) {
    let limit = format!("[transforms.first]\ntype = \"limit\"\ninputs = [\"api\"]\nrecords = {at_most}\n");
    write_pipeline(env, &format!("{}/prices", server.uri()), options, &limit);
}

fn run(env: &TestEnv) -> Outcome {
    env.run(["run", "api.toml"])
}

fn lines(env: &TestEnv) -> Vec<String> {
    env.lines("out.jsonl")
}

async fn serve(answer: impl wiremock::Respond + 'static) -> MockServer {
    let server = MockServer::builder().start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Serves one response after another, then repeats the last one.
async fn serve_in_turn(answers: Vec<ResponseTemplate>) -> MockServer {
    let next = Mutex::new(0);
    serve(move |_: &Request| {
        let mut next = next.lock().expect("no test panics while it answers");
        let answer = answers[(*next).min(answers.len() - 1)].clone();
        *next += 1;
        answer
    })
    .await
}

fn answer(value: impl serde::Serialize) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

fn parameter(request: &Request, name: &str) -> Option<usize> {
    let found = request.url.query_pairs().find(|(known, _)| known == name);
    found.map(|(_, value)| value.parse().expect("a number"))
}

/// Serves `n_records` numbers, 30 per page, by page number, cursor or link.
async fn numbered_api(n_records: usize) -> MockServer {
    serve(move |request: &Request| {
        let first = match parameter(request, "page") {
            Some(page) => (page - 1) * 30,
            None => parameter(request, "after").unwrap_or(0),
        };
        let end = n_records.min(first + 30);
        let next = (end < n_records).then_some(end);
        let records: Vec<usize> = (first.min(end)..end).collect();
        let response = answer(json!({"data": records, "next": next}));
        match next {
            Some(next) => response.insert_header("Link", format!("</prices?after={next}>; rel=\"next\"")),
            None => response,
        }
    })
    .await
}

const PAGINATIONS: [&str; 3] = [
    "records = \"/data\"\npagination = { type = \"page\", param = \"page\" }",
    "records = \"/data\"\npagination = { type = \"cursor\", cursor = \"/next\", param = \"after\" }",
    "records = \"/data\"\npagination = { type = \"link\" }",
];

#[tokio::test(flavor = "multi_thread")]
async fn http_response_elements_keep_their_bytes() {
    let body = r#"{"data": [{"Close": 528.690002, "n": 1.50},{ "Close":12345678901234567890 }]}"#;
    let server = serve(ResponseTemplate::new(200).set_body_string(body)).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "records = \"/data\"");
    run(&env).assert_code(0);
    assert_eq!(lines(&env), [r#"{"Close": 528.690002, "n": 1.50}"#, r#"{ "Close":12345678901234567890 }"#]);
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_source_reads_csv_and_ndjson() {
    let env = TestEnv::new();
    let rows =
        serve(ResponseTemplate::new(200).set_body_string("Index,Close\nNYA,528.69\n\"N,225\",1\n")).await;
    pipeline(&env, &rows, "codec = \"csv\"");
    run(&env).assert_code(0);
    let text = serve(ResponseTemplate::new(200).set_body_string("{\"a\": 1}\n\n{\"a\": 2}\n")).await;
    pipeline(&env, &text, "codec = \"ndjson\"");
    run(&env).assert_code(0);
    assert_eq!(lines(&env), ["NYA,528.69", "\"N,225\",1", "{\"a\": 1}", "{\"a\": 2}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_source_polls_until_stopped() {
    let n_polls = Mutex::new(0);
    let server = serve(move |_: &Request| {
        let mut n_polls = n_polls.lock().expect("unbroken");
        *n_polls += 1;
        answer([*n_polls])
    })
    .await;
    let env = TestEnv::new();
    pipeline(&env, &server, "interval = \"100ms\"");
    env.run(["run", "api.toml", "--for", "2s"]).assert_code(0);
    let n_polled = lines(&env).len();
    assert!((2..=21).contains(&n_polled), "{n_polled} polls in two seconds, one every 100 ms");
    assert_eq!(lines(&env), numbers(1..n_polled + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_source_reads_all_pages_with_every_pagination() {
    let server = numbered_api(100).await;
    for options in PAGINATIONS {
        let env = TestEnv::new();
        pipeline(&env, &server, options);
        run(&env).assert_code(0);
        assert_eq!(lines(&env), numbers(0..100), "{options}");
        run(&env).assert_code(0);
        assert_eq!(lines(&env).len(), 100, "a record was read twice: {options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_limited_http_runs_read_each_record_once() {
    let server = numbered_api(250).await;
    let whole = serve(answer((0..250).collect::<Vec<_>>())).await;
    let paged = PAGINATIONS.map(|options| (&server, options));
    for (server, options) in paged.into_iter().chain([(&whole, "")]) {
        let env = TestEnv::new();
        limited(&env, server, options, 100);
        run(&env).assert_code(0);
        assert_eq!(lines(&env), numbers(0..100), "{options}");
        run(&env).assert_code(0);
        assert_eq!(lines(&env), numbers(0..200), "{options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_headers_query_and_body_are_sent_and_never_shown() {
    let cases = [
        (
            "auth = { strategy = \"basic\", user = \"ada\", password = \"${API_SECRET}\" }",
            Mock::given(header("authorization", "Basic YWRhOmh1c2ggaHVzaC83")),
        ),
        (
            "auth = { strategy = \"bearer\", token = \"${API_SECRET}\" }",
            Mock::given(header("authorization", "Bearer hush hush/7")),
        ),
        (
            "auth = { strategy = \"api_key\", in = \"header\", name = \"X-Key\", value = \"${API_SECRET}\" }",
            Mock::given(header("x-key", SECRET)),
        ),
        (
            "auth = { strategy = \"api_key\", in = \"query\", name = \"k\", value = \"${API_SECRET}\" }",
            Mock::given(query_param("k", SECRET)),
        ),
        (
            "headers = { X-Vendor = \"of ${API_SECRET}\" }",
            Mock::given(header("x-vendor", format!("of {SECRET}"))),
        ),
        ("query = { q = \"${API_SECRET}\" }", Mock::given(query_param("q", SECRET))),
        (
            "method = \"POST\"\nbody = \"{\\\"k\\\": \\\"${API_SECRET}\\\"}\"",
            Mock::given(body_string(format!("{{\"k\": \"{SECRET}\"}}"))),
        ),
    ];
    for (options, wanted) in cases {
        let server = MockServer::builder().start().await;
        wanted.respond_with(answer([1])).up_to_n_times(1).mount(&server).await;
        // The error response echoes the request, as careless APIs do.
        let echo = |request: &Request| {
            let authorization =
                request.headers.get("authorization").map(|value| value.to_str().expect("text"));
            let text = format!("{} {SECRET} {authorization:?}", request.url);
            ResponseTemplate::new(403).set_body_string(text)
        };
        Mock::given(any()).respond_with(echo).with_priority(9).mount(&server).await;
        let mut env = TestEnv::new();
        env.set("API_SECRET", SECRET);
        pipeline(&env, &server, options);
        run(&env).assert_code(0);
        assert_eq!(lines(&env), ["1"], "{options}");
        let refused = env.run(["run", "api.toml", "--log-level", "trace"]);
        refused.assert_code(1).assert_says(&["403 Forbidden", "`auth"]);
        let checkpoint = env.read("state/api/api.json");
        for form in [SECRET, "hush+hush%2F7", "hush%20hush%2F7", "hush%20hush/7", "YWRhOmh1c2ggaHVzaC83"] {
            let text = format!("{}{}{checkpoint}", refused.stdout, refused.stderr);
            assert!(!text.contains(form), "{form:?} is shown for {options}:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_http_error_ends_run_and_says_what_to_do() {
    let page = || ResponseTemplate::new(200).set_body_raw("<html><title>Log in</title></html>", "text/html");
    let cases: [(ResponseTemplate, &str, &[&str]); 5] = [
        (ResponseTemplate::new(401), "", &["401 Unauthorized", "set `auth`"]),
        (ResponseTemplate::new(404), "", &["404 Not Found", "check `endpoint`"]),
        (
            page(),
            "",
            &["200 OK (text/html)", "not JSON at byte 0", "web page", "The title of the page is `Log in`"],
        ),
        (
            answer(json!({"items": []})),
            "records = \"/data\"",
            &["no `/data`", "the keys `items`", "set `records`"],
        ),
        (
            answer(json!({"data": [1], "next": 7})),
            PAGINATIONS[1],
            &["the cursor `7` at `/next` repeats", "`after`"],
        ),
    ];
    for (response, options, wanted) in cases {
        let server = serve(response).await;
        let env = TestEnv::new();
        pipeline(&env, &server, options);
        let outcome = run(&env);
        outcome.assert_code(1).assert_says(wanted).assert_says(&["api", &server.uri()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_http_errors_are_retried() {
    let half = ResponseTemplate::new(200).set_body_string("[1, 2");
    let server = serve_in_turn(vec![ResponseTemplate::new(500), half, answer([1, 2, 3])]).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "");
    run(&env).assert_code(0).assert_says(&["500 Internal Server Error", "the response ends at byte 5"]);
    assert_eq!(lines(&env), ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_json_that_persists_fails_run() {
    let server = serve(ResponseTemplate::new(200).set_body_string(r#"{"data": [1, 2"#)).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "records = \"/data\"");
    run(&env).assert_code(1).assert_says(&["incomplete JSON", "ends at byte 14"]);
    assert_eq!(lines(&env), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_show_redacts_next_link() {
    let link = "</prices?page=2&appid=s3cret-sent&access_token=s3cret-given>; rel=next";
    let server = serve_in_turn(vec![answer([1]).insert_header("Link", link), answer([2, 3])]).await;
    let env = TestEnv::new();
    let options = "query = { appid = \"s3cret-sent\" }\npagination = { type = \"link\" }";
    limited(&env, &server, options, 2);
    run(&env).assert_code(0);
    assert!(!env.read("state/api/api.json").contains("s3cret-sent"));
    let shown = env.run(["checkpoint", "show", "api.toml"]);
    shown.assert_code(0);
    assert!(
        shown.stdout.contains("\"link\":\"***\"") && !shown.stdout.contains("s3cret"),
        "{}",
        shown.stdout
    );
    run(&env).assert_code(0);
    assert_eq!(lines(&env), ["1", "2", "3"]);
    let asked = server.received_requests().await.expect("recorded");
    let last = asked.last().expect("a request").url.query().expect("a query");
    assert_eq!(last, "page=2&appid=s3cret-sent&access_token=s3cret-given");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_ndjson_line_goes_to_dead_letters_and_rest_passes() {
    let server = serve(ResponseTemplate::new(200).set_body_string("{\"a\":1}\nnonsense\n{\"a\":2}\n")).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "codec = \"ndjson\"");
    run(&env).assert_code(65).assert_says(&["line 2 of the response is not JSON"]);
    let dead = format!("{}\n[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n", env.read("api.toml"));
    env.write("api.toml", dead);
    run(&env).assert_code(0);
    assert!(lines(&env).contains(&"{\"a\":2}".to_owned()), "{:?}", lines(&env));
    assert!(env.read("dead.jsonl").contains("line 2 of the response is not JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn error_in_nested_table_is_shown_with_position() {
    let env = TestEnv::new();
    let options = "auth = { strategy = \"bearer\", user = \"ada\" }\npagination = { type = \"pages\" }";
    write_pipeline(&env, "http://127.0.0.1:1/", options, "");
    let outcome = run(&env);
    outcome.assert_code(78).assert_says(&[
        "unknown option `user` for table `auth` of source `http` with `strategy = \"bearer\"`",
        "api.toml:9:31",
        "invalid value `pages` for `pagination.type`",
        "api.toml:10:23",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_poll_stops_at_once() {
    let server = serve(answer([1])).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "interval = \"1h\"");
    let running = env.start(["run", "api.toml"]);
    tokio::task::block_in_place(|| {
        wait_until("the first poll", Duration::from_secs(30), || lines(&env) == ["1"]);
        running.signal(nix::sys::signal::Signal::SIGTERM);
        running.wait(Duration::from_secs(10)).assert_code(0);
    });
}

#[test]
fn plugins_verb_documents_http_source() {
    let outcome = TestEnv::new().run(["plugins", "http"]);
    outcome.assert_code(0);
    for part in ["endpoint", "pagination", "api_key", "RFC 8288"] {
        assert!(outcome.stdout.contains(part), "{part} is not in:\n{}", outcome.stdout);
    }
}
