//! Endpoints that grow and are polled many times a second, under kill -9.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request};

use super::answer;
use crate::support::stocks::SplitMix;
use crate::support::{TestEnv, amount, wait_until};

/// A row is added this often to what is polled many times a second.
const GROWTH: Duration = Duration::from_millis(200);
/// What is polled every second grows this often.
const SLOW_GROWTH: Duration = Duration::from_millis(900);

/// Rows that a kill may repeat: those of the second before it, when the checkpoint was written last, and what
/// was in flight.
const AT_MOST_REPEATED: usize = 9;

const PIPELINE: &str = r#"
[batch]
timeout = "1ms"

[sources.whole]
type = "http"
endpoint = "SERVER/whole"
interval = "50ms"

[sources.paged]
type = "http"
endpoint = "SERVER/paged"
interval = "50ms"
pagination = { type = "page", param = "page" }
incremental = { cursor = "t", order = "newest_first" }

[sources.since]
type = "http"
endpoint = "SERVER/since/{{ symbol }}"
query = { since = "{{ since }}" }
interval = "50ms"
for_each = { symbol = ["A", "B"] }
incremental = { cursor = "t", start = 0 }
add = { symbol = "{{ symbol }}" }

[sinks.whole_out]
type = "file"
inputs = ["whole"]
path = "whole.jsonl"

[sinks.paged_out]
type = "file"
inputs = ["paged"]
path = "paged.jsonl"

[sinks.since_out]
type = "file"
inputs = ["since"]
path = "since.jsonl"
"#;

fn parameter(request: &Request, name: &str) -> usize {
    let found = request.url.query_pairs().find(|(known, _)| known == name);
    found.map_or(0, |(_, value)| value.parse().expect("a number"))
}

/// A list with one row more every `growth`, as three endpoints give it.
async fn growing_api(started: Instant, growth: Duration) -> MockServer {
    let server = MockServer::builder().start().await;
    let n_rows = move || (started.elapsed().as_millis() / growth.as_millis()) as usize + 1;
    let row = |t: usize| json!({"t": t + 1});
    let whole = move |_: &Request| answer((0..n_rows()).map(row).collect::<Vec<Value>>());
    Mock::given(path("/whole")).respond_with(whole).mount(&server).await;
    let paged = move |request: &Request| {
        let rows = (0..n_rows()).rev().skip((parameter(request, "page") - 1) * 3).take(3);
        answer(rows.map(row).collect::<Vec<Value>>())
    };
    Mock::given(path("/paged")).respond_with(paged).mount(&server).await;
    for symbol in ["A", "B"] {
        let since = move |request: &Request| {
            let since = parameter(request, "since");
            answer((since.saturating_sub(1)..n_rows()).map(row).collect::<Vec<Value>>())
        };
        Mock::given(path(format!("/since/{symbol}"))).respond_with(since).mount(&server).await;
    }
    server
}

/// How often each row was written.
fn counts(env: &TestEnv, file: &str) -> BTreeMap<(String, u64), usize> {
    let mut counts = BTreeMap::new();
    for line in env.read(file).lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let symbol = row["symbol"].as_str().unwrap_or_default().to_owned();
        *counts.entry((symbol, row["t"].as_u64().expect("a number"))).or_default() += 1;
    }
    counts
}

fn n_lines(env: &TestEnv, file: &str) -> usize {
    std::fs::read_to_string(env.path(file)).map_or(0, |text| text.lines().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_rows_survive_kills_and_are_not_repeated_by_polls() {
    let started = Instant::now();
    let server = growing_api(started, GROWTH).await;
    let env = TestEnv::new();
    env.write("polled.toml", PIPELINE.replace("SERVER", &server.uri()));
    let n_kills = amount("RUNNER_KILLS", 6, 60) as usize;
    for kill in 0..n_kills {
        let run = env.start(["run", "polled.toml"]);
        let n_before = n_lines(&env, "since.jsonl");
        wait_until("more rows", Duration::from_mins(1), || {
            n_lines(&env, "since.jsonl") > n_before + 5 + kill % 4
        });
        run.signal(if kill % 3 == 2 { Signal::SIGTERM } else { Signal::SIGKILL });
        drop(run.wait(Duration::from_mins(1)));
    }
    env.run(["run", "polled.toml", "--for", "3s"]).assert_code(0);
    assert_every_row(&env, n_kills, AT_MOST_REPEATED);
}

/// Fails the test if a row is missing, or if more rows are repeated than so many kills explain.
fn assert_every_row(env: &TestEnv, n_kills: usize, at_most_repeated: usize) {
    for (file, n_symbols) in [("whole.jsonl", 1), ("paged.jsonl", 1), ("since.jsonl", 2)] {
        let counts = counts(env, file);
        let newest = counts.keys().map(|(_, t)| *t).max().expect("rows");
        // The last row may have come to one symbol only.
        assert!(counts.len() as u64 + 1 >= newest * n_symbols, "{file}: a row is missing: {counts:?}");
        let n_repeated: usize = counts.values().map(|count| count - 1).sum();
        eprintln!("{file}: {} rows, {n_kills} kills, {n_repeated} rows repeated", counts.len());
        let allowed = n_kills * at_most_repeated * n_symbols as usize;
        assert!(n_repeated <= allowed, "{file}: {n_repeated} rows repeated by {n_kills} stops: {counts:?}");
        assert!(counts.values().all(|count| *count <= n_kills), "{file}: {counts:?}");
    }
}

/// `RUNNER_POLL_SECONDS` sets its length (20, with `RUNNER_LONG` 600). A kill repeats the row that was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn endpoint_polled_every_second_under_kills_shows_each_row_once() {
    let length = Duration::from_secs(amount("RUNNER_POLL_SECONDS", 20, 600));
    let started = Instant::now();
    let server = growing_api(started, SLOW_GROWTH).await;
    let env = TestEnv::new();
    env.write("polled.toml", PIPELINE.replace("SERVER", &server.uri()).replace("50ms", "1s"));
    let mut random = SplitMix(17);
    let mut n_kills = 0;
    while started.elapsed() < length {
        let run = env.start(["run", "polled.toml"]);
        // Any moment between two polls is as likely as another.
        let killed_at = Instant::now() + Duration::from_millis(1_500 + random.next() % 4_000);
        wait_until("the moment of the kill", Duration::from_mins(1), || Instant::now() > killed_at);
        run.signal(Signal::SIGKILL);
        drop(run.wait(Duration::from_mins(1)));
        n_kills += 1;
    }
    env.run(["run", "polled.toml", "--for", "3s"]).assert_code(0);
    assert_every_row(&env, n_kills, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_only_grow_are_warned_of_once_with_the_option() {
    for options in ["", "pagination = { type = \"link\" }"] {
        let answers = (1..8).map(|n| answer((0..n).collect::<Vec<usize>>())).collect();
        let server = super::serve_in_turn(answers).await;
        let env = TestEnv::new();
        super::pipeline(&env, &server, &format!("interval = \"20ms\"\n{options}"));
        let outcome = env.run(["run", "api.toml", "--for", "3s"]);
        outcome.assert_code(0).assert_says(&["reads all rows of the one before", "`incremental"]);
        assert_eq!(outcome.stderr.matches("reads all rows of the one before").count(), 1);
        assert_eq!(super::lines(&env), super::numbers(0..7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limited_runs_over_elements_and_windows_read_each_row_once() {
    let row = |symbol: &str, t: usize| json!({"s": symbol, "Date": format!("2024-01-{t:02}")});
    let served = move |request: &Request| {
        let of = |name: &str| {
            let found = request.url.query_pairs().find(|(known, _)| known == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let rows = (1..29).rev().map(|t| row(&of("symbol"), t));
        let is_asked = |row: &Value| {
            *of("from") <= *row["Date"].as_str().unwrap() && row["Date"].as_str().unwrap() <= &*of("to")
        };
        answer(rows.filter(is_asked).collect::<Vec<Value>>())
    };
    let server = super::serve(served).await;
    let env = TestEnv::new();
    let options = "for_each = { symbol = [\"B\", \"A\"] }\n\
        query = { symbol = \"{{ symbol }}\", from = \"{{ from }}\", to = \"{{ to }}\" }\n\
        incremental = { cursor = \"Date\", start = \"2024-01-01\", step = \"250d\", key = \"Date\" }";
    for n_rows in [20, 40, 56, 56] {
        super::limited(&env, &server, options, 20);
        super::run(&env).assert_code(0);
        let mut rows = super::lines(&env);
        assert_eq!(rows.len(), n_rows);
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), n_rows);
    }
}
