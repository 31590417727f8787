//! The `athena` source: query rows as records, resuming after a kill.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Cloud, TestEnv, cloud_with_table, wait_until};

#[test]
fn athena_source_emits_query_rows_as_records() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 2_400, &[]);
    env.write(
        "report.toml",
        "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\n\
         query = \"SELECT index, date, close FROM stockmarket_project ORDER BY index, date\"\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"rows.jsonl\"\n",
    );
    env.run(["run", "report.toml"]).assert_code(0);
    let rows = env.read("rows.jsonl");
    assert_eq!(rows.lines().count(), 2_400);
    let first: serde_json::Value = serde_json::from_str(rows.lines().next().expect("a row")).expect("JSON");
    assert_eq!(first["index"], "000001.SS");
    assert!(first["close"].is_f64(), "{first}");
    // The next run starts a new query; an invalid statement ends it with the engine's message.
    env.run(["run", "report.toml"]).assert_code(0);
    assert_eq!(env.read("rows.jsonl").lines().count(), 4_800);
    env.write("wrong.toml", env.read("report.toml").replace("close FROM", "clothes FROM"));
    env.run(["run", "wrong.toml"]).assert_code(1).assert_says(&["clothes"]);
}

/// Writes a pipeline from all rows of the table into a file, at `rate` rows a second.
fn write_report(env: &TestEnv, rate: usize) {
    env.write(
        "report.toml",
        format!(
            "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\n\
             query = \"SELECT index, date FROM stockmarket_project ORDER BY index, date\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [sinks.end]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"rows.jsonl\"\n"
        ),
    );
}

/// Runs the report and kills it on the second page of rows. Returns the query, the number of its
/// rows that were delivered, and the number of lines in the file.
fn report_that_is_killed(env: &mut TestEnv) -> (String, usize, usize) {
    env.set("RUNNER_DATA_DIR", env.path("state").display().to_string());
    write_report(env, 400);
    let execution = || {
        let text = std::fs::read_to_string(env.path("state/report/rows.json")).ok()?;
        let checkpoint: serde_json::Value = serde_json::from_str(&text).expect("a checkpoint");
        let execution = &checkpoint["position"]["execution"];
        Some((execution["id"].as_str()?.to_owned(), execution["taken"].as_u64()? as usize))
    };
    let running = env.start(["run", "report.toml"]);
    wait_until("rows of the second page", Duration::from_secs(60), || {
        execution().is_some_and(|(_, taken)| taken > 1_100)
    });
    running.signal(Signal::SIGKILL);
    running.wait(Duration::from_secs(30));
    write_report(env, 1_000_000);
    let (id, taken) = execution().expect("a query");
    (id, taken, env.read("rows.jsonl").matches('\n').count())
}

fn assert_rows(env: &TestEnv, n_lines: usize) {
    let text = env.read("rows.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), n_lines);
    assert_eq!(lines.into_iter().collect::<std::collections::HashSet<_>>().len(), 2_400);
}

#[test]
fn athena_source_killed_midway_resumes_same_query() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 2_400, &[]);
    let (id, taken, n_lines) = report_that_is_killed(&mut env);
    let rest = env.run(["run", "report.toml"]);
    rest.assert_code(0).assert_says(&[&format!("the query {id} has succeeded")]);
    assert_rows(&env, n_lines + 2_400 - taken);
}

#[test]
fn athena_source_reruns_query_whose_result_is_gone() {
    let mut env = TestEnv::new();
    let cloud = cloud_with_table(&mut env, 2_400, &["--data", "data"]);
    let (id, _, n_lines) = report_that_is_killed(&mut env);
    std::fs::remove_dir_all(env.path("data/s3/athena-results-local")).expect("results");
    std::fs::create_dir(env.path("data/s3/athena-results-local")).expect("an empty bucket");
    let gone = env.run(["run", "report.toml"]);
    gone.assert_code(0)
        .assert_says(&[&format!("the rows of the query {id} were deleted"), "running it again"]);
    assert_rows(&env, n_lines + 2_400);

    std::fs::remove_file(env.path("rows.jsonl")).expect("rows");
    let (id, taken, n_lines) = report_that_is_killed(&mut env);
    cloud.stop().assert_code(0);
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    env.set("RUNNER_DATA_DIR", env.path("state").display().to_string());
    let forgotten = env.run(["run", "report.toml"]);
    let message =
        format!("Athena no longer has the query {id}, of which {taken} rows were read; running it again");
    forgotten.assert_code(0).assert_says(&[&message]);
    assert_rows(&env, n_lines + 2_400);
}

#[test]
fn athena_query_over_timeout_ends_run() {
    let mut env = TestEnv::new();
    let _cloud = cloud_with_table(&mut env, 2_400, &[]);
    env.write(
        "slow.toml",
        "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\ntimeout = \"1ms\"\n\
         query = \"SELECT count(*) FROM stockmarket_project a, stockmarket_project b WHERE a.close < b.close\"\n\
         [sinks.end]\ntype = \"null\"\ninputs = [\"rows\"]\n",
    );
    let outcome = env.run(["run", "slow.toml"]);
    outcome.assert_code(1).assert_says(&["has not ended within 1ms (`timeout`)"]);
}
