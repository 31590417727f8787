//! The rows of a query as records: the `athena` source, killed and asked anew.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Cloud, Scene, cloud_with_table, wait_until};

#[test]
fn athena_source_emits_query_rows_as_records() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 2_400, &[]);
    scene.write(
        "report.toml",
        "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\n\
         query = \"SELECT index, date, close FROM stockmarket_project ORDER BY index, date\"\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"rows\"]\npath = \"rows.jsonl\"\n",
    );
    scene.run(["run", "report.toml"]).assert_code(0);
    let rows = scene.read("rows.jsonl");
    assert_eq!(rows.lines().count(), 2_400);
    let first: serde_json::Value = serde_json::from_str(rows.lines().next().expect("a row")).expect("JSON");
    assert_eq!(first["index"], "000001.SS");
    assert!(first["close"].is_f64(), "{first}");
    // A run asks anew; a wrong statement ends it with the engine's words.
    scene.run(["run", "report.toml"]).assert_code(0);
    assert_eq!(scene.read("rows.jsonl").lines().count(), 4_800);
    scene.write("wrong.toml", scene.read("report.toml").replace("close FROM", "clothes FROM"));
    scene.run(["run", "wrong.toml"]).assert_code(1).assert_says(&["clothes"]);
}

/// All rows of the table into a file, so many a second.
fn write_report(scene: &Scene, rate: usize) {
    scene.write(
        "report.toml",
        format!(
            "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\n\
             query = \"SELECT index, date FROM stockmarket_project ORDER BY index, date\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [sinks.end]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"rows.jsonl\"\n"
        ),
    );
}

/// Runs the report and kills it on the second page of rows; the query, how many of its rows
/// have been delivered, and how many lines there are.
fn report_that_is_killed(scene: &mut Scene) -> (String, usize, usize) {
    scene.set("RUNNER_DATA_DIR", scene.path("state").display().to_string());
    write_report(scene, 400);
    let execution = || {
        let text = std::fs::read_to_string(scene.path("state/report/rows.json")).ok()?;
        let checkpoint: serde_json::Value = serde_json::from_str(&text).expect("a checkpoint");
        let execution = &checkpoint["position"]["execution"];
        Some((execution["id"].as_str()?.to_owned(), execution["taken"].as_u64()? as usize))
    };
    let running = scene.start(["run", "report.toml"]);
    wait_until("rows of the second page", Duration::from_secs(60), || {
        execution().is_some_and(|(_, taken)| taken > 1_100)
    });
    running.signal(Signal::SIGKILL);
    running.wait(Duration::from_secs(30));
    write_report(scene, 1_000_000);
    let (id, taken) = execution().expect("a query");
    (id, taken, scene.read("rows.jsonl").matches('\n').count())
}

fn assert_rows(scene: &Scene, n_lines: usize) {
    let text = scene.read("rows.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), n_lines);
    assert_eq!(lines.into_iter().collect::<std::collections::HashSet<_>>().len(), 2_400);
}

#[test]
fn athena_source_killed_midway_resumes_same_query() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 2_400, &[]);
    let (id, taken, n_lines) = report_that_is_killed(&mut scene);
    let rest = scene.run(["run", "report.toml"]);
    rest.assert_code(0).assert_says(&[&format!("Athena has answered the query {id}")]);
    assert_rows(&scene, n_lines + 2_400 - taken);
}

#[test]
fn athena_source_reruns_query_whose_result_is_gone() {
    let mut scene = Scene::new();
    let cloud = cloud_with_table(&mut scene, 2_400, &["--data", "data"]);
    let (id, _, n_lines) = report_that_is_killed(&mut scene);
    std::fs::remove_dir_all(scene.path("data/s3/athena-results-local")).expect("results");
    std::fs::create_dir(scene.path("data/s3/athena-results-local")).expect("an empty bucket");
    let gone = scene.run(["run", "report.toml"]);
    gone.assert_code(0).assert_says(&[&format!("the rows of the query {id} are gone"), "asking anew"]);
    assert_rows(&scene, n_lines + 2_400);

    std::fs::remove_file(scene.path("rows.jsonl")).expect("rows");
    let (id, taken, n_lines) = report_that_is_killed(&mut scene);
    cloud.stop().assert_code(0);
    let cloud = Cloud::start(&scene, &["--data", "data"]);
    cloud.surround(&mut scene);
    scene.set("RUNNER_DATA_DIR", scene.path("state").display().to_string());
    let forgotten = scene.run(["run", "report.toml"]);
    let said = format!("Athena has forgotten the query {id}, of which {taken} rows were read; asking anew");
    forgotten.assert_code(0).assert_says(&[&said]);
    assert_rows(&scene, n_lines + 2_400);
}

#[test]
fn athena_query_over_timeout_ends_run() {
    let mut scene = Scene::new();
    let _cloud = cloud_with_table(&mut scene, 2_400, &[]);
    scene.write(
        "slow.toml",
        "[sources.rows]\ntype = \"athena\"\ndatabase = \"realtime-de-db\"\ntimeout = \"1ms\"\n\
         query = \"SELECT count(*) FROM stockmarket_project a, stockmarket_project b WHERE a.close < b.close\"\n\
         [sinks.end]\ntype = \"null\"\ninputs = [\"rows\"]\n",
    );
    let outcome = scene.run(["run", "slow.toml"]);
    outcome.assert_code(1).assert_says(&["has not ended within 1ms (`timeout`)"]);
}
