//! Large answers and many elements, in bounded memory.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{answer, lines, serve, write_pipeline};
use crate::support::{TestEnv, wait_until};

const N_RECORDS: usize = 100_000;
const N_ELEMENTS: usize = 1_000;
const ROWS_PER_ELEMENT: usize = 20;
/// The most resident memory that such a run may need.
const AT_MOST_MIB: u64 = 160;

/// A row of about 150 bytes.
fn row(symbol: &str, n: usize) -> Value {
    json!({"symbol": symbol, "t": n, "open": 100.25, "high": 101.5, "low": 99.75, "close": 100.5, "note": "x".repeat(60)})
}

/// Runs a pipeline until it ends, and returns the most memory that it needed, in MiB.
fn peak_of(env: &TestEnv) -> u64 {
    let mut running = env.start(["run", "api.toml"]);
    let status = format!("/proc/{}/status", running.pid());
    let mut peak = 0;
    wait_until("the end of the run", Duration::from_mins(3), || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .map(|line| line.trim().trim_end_matches(" kB"));
        peak = kib.and_then(|kib| kib.parse().ok()).unwrap_or(peak);
        running.has_exited()
    });
    running.wait(Duration::from_secs(1)).assert_code(0);
    peak / 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_100000_records_is_read_in_bounded_memory() {
    let rows: Vec<Value> = (0..N_RECORDS).map(|n| row("A", n)).collect();
    let server = serve(answer(rows)).await;
    for options in ["", "incremental = { cursor = \"t\", start = 0, key = \"t\" }"] {
        let env = TestEnv::new();
        write_pipeline(&env, &server.uri(), options, "");
        // Another run reads the same answer, and finds nothing new.
        let peaks = [peak_of(&env), peak_of(&env)];
        eprintln!("{N_RECORDS} records, {options:?}: {peaks:?} MiB");
        assert_eq!(lines(&env).len(), N_RECORDS, "{options}");
        assert!(peaks.iter().all(|peak| *peak <= AT_MOST_MIB), "{peaks:?} MiB with {options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_60_megabytes_takes_as_much_memory_as_a_small_one() {
    const N_RECORDS: usize = 410_000;
    let rows: Vec<Value> = (0..N_RECORDS).map(|n| row("A", n)).collect();
    let body = json!({"data": rows, "total": N_RECORDS}).to_string();
    assert!(body.len() > 60_000_000, "{}", body.len());
    let server = serve(ResponseTemplate::new(200).set_body_raw(body, "application/json")).await;
    let env = TestEnv::new();
    write_pipeline(&env, &server.uri(), "records = \"/data\"", "");
    let peak = peak_of(&env);
    eprintln!("{N_RECORDS} records: {peak} MiB");
    assert_eq!(lines(&env).len(), N_RECORDS);
    assert!(peak <= AT_MOST_MIB, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_elements_are_read_in_bounded_memory() {
    let server = serve(|request: &Request| {
        let symbol = request.url.path().trim_start_matches('/');
        answer((0..ROWS_PER_ELEMENT).map(|n| row(symbol, n)).collect::<Vec<_>>())
    })
    .await;
    let symbols: Vec<String> = (0..N_ELEMENTS).map(|n| format!("\"S{n}\"")).collect();
    for options in ["", "incremental = { cursor = \"t\", start = 0, key = \"t\" }"] {
        let env = TestEnv::new();
        let endpoint = format!("{}/{{{{ symbol }}}}", server.uri());
        write_pipeline(
            &env,
            &endpoint,
            &format!("for_each = {{ symbol = [{}] }}\n{options}", symbols.join(", ")),
            "",
        );
        let peaks = [peak_of(&env), peak_of(&env)];
        eprintln!("{N_ELEMENTS} elements, {options:?}: {peaks:?} MiB");
        assert_eq!(lines(&env).len(), N_ELEMENTS * ROWS_PER_ELEMENT, "{options}");
        assert!(peaks.iter().all(|peak| *peak <= AT_MOST_MIB), "{peaks:?} MiB with {options:?}");
    }
}
