//! An outage of the bucket of some seconds.

use std::sync::OnceLock;
use std::time::Instant;

use super::*;

#[test]
fn outage_of_some_seconds_gives_few_warnings() {
    const N_ROWS: usize = 500;
    let (server, env) = server_and_env();
    let rows: String = (0..N_ROWS).map(|n| format!("A,1987-01-02,{n}\n")).collect();
    env.write("stocks.csv", format!("Index,Date,Open\n{rows}"));
    let text = env.read("lake.toml").replace("max = \"50ms\"", "max = \"200ms\"");
    env.write("lake.toml", text + "concurrency = 64\n[batch]\nmax_records = 1\n");
    let began = OnceLock::new();
    server.respond_with(move |request| {
        let is_put = request.operation == "PutObject";
        let is_away = is_put && began.get_or_init(Instant::now).elapsed() < Duration::from_secs(6);
        if is_away { Response::Error("ServiceUnavailable") } else { Response::Normal }
    });
    let outcome = run(&env);
    outcome.assert_code(0);
    assert_eq!(server.count("lake"), N_ROWS);
    let report = report(env.path("report.json"));
    let lake = &report["pipelines"][0]["components"][2];
    assert!(lake["retries"].as_u64().expect("a count") > 10, "the outage was felt: {lake}");
    let n_warnings = outcome.stderr.matches("retrying in").count();
    assert!((1..=5).contains(&n_warnings), "{n_warnings} warnings:\n{}", outcome.stderr);
}
