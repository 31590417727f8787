//! The `run` verb from a CSV file to a sink: output, reports, exit codes, limits.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::stocks::stocks_csv;
use crate::support::{TestEnv, report};

/// A test environment with `n_rows` rows of stock prices in `stocks.csv`.
fn env_with_rows(n_rows: usize) -> TestEnv {
    let env = TestEnv::new();
    env.write("stocks.csv", stocks_csv(n_rows, 1));
    env
}

/// A pipeline from `stocks.csv` through a chain of transforms, each with its options, to `sink`.
fn pipeline(transforms: &[(&str, &str)], sink: &str) -> String {
    let mut file = "[sources.stocks]\ntype = \"csv\"\npath = \"stocks.csv\"\n".to_owned();
    let mut input = "stocks";
    for (name, options) in transforms {
        write!(file, "[transforms.{name}]\ntype = \"{name}\"\ninputs = [\"{input}\"]\n{options}\n")
            .expect("writing to a string");
        input = name;
    }
    file + format!("[sinks.end]\n{sink}\ninputs = [\"{input}\"]\n").as_str()
}

/// The rows of a CSV file as JSON lines, made with an independent CSV reader.
fn expected_lines(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().expect("a header").clone();
    let line = |row: csv::StringRecord| {
        let field = |(name, cell): (&str, &str)| match name {
            "Index" | "Date" => format!("\"{name}\":\"{cell}\""),
            _ if cell.contains('.') => format!("\"{name}\":{cell}"),
            _ => format!("\"{name}\":{cell}.0"),
        };
        let fields: Vec<String> = names.iter().zip(row.iter()).map(field).collect();
        format!("{{{}}}", fields.join(","))
    };
    reader.records().map(|row| line(row.expect("a row"))).collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// The part of the report about the component `name`.
fn component<'a>(report: &'a Value, name: &str) -> &'a Value {
    let components = report["pipelines"][0]["components"].as_array().expect("components");
    components.iter().find(|component| component["name"] == name).expect("the component")
}

#[test]
fn csv_rows_arrive_on_console_value_for_value() {
    let env = env_with_rows(5000);
    env.write("p.toml", pipeline(&[("to_json", "")], r#"type = "console""#));
    let outcome = env.run(["run", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(lines(&outcome.stdout), expected_lines(&env.read("stocks.csv")));
}

#[test]
fn row_without_to_json_is_its_original_line() {
    let env = env_with_rows(100);
    env.write("p.toml", pipeline(&[], "type = \"console\"\ntarget = \"stdout\""));
    let outcome = env.run(["run", "p.toml"]);
    outcome.assert_code(0);
    let csv = env.read("stocks.csv");
    assert_eq!(lines(&outcome.stdout), lines(&csv)[1..]);
}

#[test]
fn limit_of_100_yields_0_to_99_then_100_to_199() {
    let env = env_with_rows(1000);
    let file = "type = \"file\"\npath = \"out/stocks.jsonl\"";
    env.write("p.toml", pipeline(&[("limit", "records = \"${N:-100}\""), ("to_json", "")], file));
    let expected = expected_lines(&env.read("stocks.csv"));
    for n_runs in 1..=3 {
        env.run(["run", "p.toml"]).assert_code(0);
        assert_eq!(lines(&env.read("out/stocks.jsonl")), expected[..n_runs * 100]);
    }
    env.run(["run", "p.toml", "--from-start"]).assert_code(0);
    assert_eq!(lines(&env.read("out/stocks.jsonl"))[300..], expected[..100]);
}

#[test]
fn report_counts_every_component() {
    let env = env_with_rows(1000);
    let transforms = [("sample", "one_in = 4"), ("limit", "records = 200"), ("to_json", "")];
    env.write("p.toml", format!("name = \"prices\"\n{}", pipeline(&transforms, "type = \"null\"")));
    env.run(["run", "p.toml", "--report", "report.json"]).assert_code(0);
    let report = report(env.path("report.json"));
    let run = &report["pipelines"][0];
    assert_eq!((&run["name"], &run["status"]), (&"prices".into(), &"completed".into()));
    assert!(run["file"].as_str().expect("a path").ends_with("p.toml"));
    for moment in ["started", "finished"] {
        assert!(run[moment].as_str().is_some_and(|moment| moment.ends_with('Z')), "{run}");
    }
    assert!(run["duration_ms"].is_u64() && run["reason"].is_string(), "{run}");

    let said: Vec<[&Value; 8]> = ["stocks", "sample", "limit", "to_json", "end"]
        .map(|name| component(&report, name))
        .iter()
        .map(|it| {
            ["kind", "type", "records_in", "records_out", "filtered", "rejected", "released", "retries"]
                .map(|key| &it[key])
        })
        .collect();
    for (index, (kind, plugin)) in [
        ("source", "csv"),
        ("transform", "sample"),
        ("transform", "limit"),
        ("transform", "to_json"),
        ("sink", "null"),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!((said[index][0], said[index][1]), (&Value::from(*kind), &Value::from(*plugin)));
    }
    let passed = component(&report, "sample");
    let n_read = passed["records_in"].as_u64().expect("a count");
    let n_ended = ["records_out", "filtered", "rejected", "released"]
        .map(|counter| passed[counter].as_u64().expect("a count"));
    assert_eq!(n_ended.iter().sum::<u64>(), n_read, "{passed}");
    let limit = component(&report, "limit");
    assert_eq!(limit["released"], limit["records_in"].as_u64().expect("a count") - 200, "{report:#}");
    for name in ["limit", "to_json", "end"] {
        assert_eq!(component(&report, name)["records_out"], 200, "{report:#}");
    }
    assert!(component(&report, "end")["bytes_in"].as_u64() > Some(20_000), "{report:#}");
}

#[test]
fn report_to_stdout_is_only_output() {
    let env = env_with_rows(10);
    env.write("p.toml", pipeline(&[], "type = \"null\""));
    let outcome = env.run(["run", "p.toml", "--report", "-"]);
    outcome.assert_code(0);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object and nothing else");
    assert_eq!(component(&report, "end")["records_out"], 10);
}

#[test]
fn sample_has_its_size_and_repeats_with_seed() {
    let env = env_with_rows(5000);
    let sampled = |options: &str| {
        env.write("p.toml", pipeline(&[("sample", options)], "type = \"console\""));
        let outcome = env.run(["run", "p.toml", "--from-start"]);
        outcome.assert_code(0);
        outcome.stdout
    };
    assert_eq!(lines(&sampled("one_in = 10")).len(), 500);
    let first = sampled("ratio = 0.1\nseed = 7");
    // Five standard deviations of 21 records on either side.
    assert!((395..605).contains(&lines(&first).len()), "{}", lines(&first).len());
    assert_eq!(sampled("ratio = 0.1\nseed = 7"), first);
}

#[test]
fn throttle_keeps_slow_and_fast_rates() {
    for (n_rows, options) in [(21, "rate = 10"), (11, "rate = 10\nper = \"2s\""), (10_001, "rate = 5000")] {
        let env = env_with_rows(n_rows);
        env.write("p.toml", pipeline(&[("throttle", options)], "type = \"null\""));
        env.run(["run", "p.toml", "--report", "report.json"]).assert_code(0);
        let report = report(env.path("report.json"));
        assert_eq!(component(&report, "end")["records_out"], n_rows);
        let millis = report["pipelines"][0]["duration_ms"].as_u64().expect("a duration");
        assert!((2000..3000).contains(&millis), "{n_rows} records at {options} took {millis} ms");
    }
}

#[test]
fn file_sink_moves_torn_last_line_aside() {
    let env = env_with_rows(3);
    env.write("out.jsonl", "{\"whole\":1}\n{\"ha");
    env.write("p.toml", pipeline(&[("to_json", "")], "type = \"file\"\npath = \"out.jsonl\""));
    env.run(["run", "p.toml"])
        .assert_code(0)
        .assert_says(&["its last 4 bytes were appended", "out.jsonl.torn"]);
    assert_eq!(env.read("out.jsonl.torn"), "{\"ha\n");
    let text = env.read("out.jsonl");
    assert_eq!(lines(&text)[0], "{\"whole\":1}");
    assert_eq!(lines(&text)[1..], expected_lines(&env.read("stocks.csv")));
}

#[test]
fn row_with_line_break_is_rejected_by_file_sink() {
    let env = TestEnv::new();
    env.write("stocks.csv", "a,b\n1,x\n2,\"y\nz\"\n3,w\n");
    let file = pipeline(&[], "type = \"file\"\npath = \"out.csv\"");
    env.write("p.toml", &file);
    env.run(["run", "p.toml"]).assert_code(65).assert_says(&["line break", "to_json", "end"]);

    env.write(
        "q.toml",
        file.replace("out.csv", "all.csv") + "[dead_letter]\ntype = \"file\"\npath = \"bad.jsonl\"\n",
    );
    env.run(["run", "q.toml"]).assert_code(0);
    assert_eq!(lines(&env.read("all.csv")), ["1,x", "3,w"]);
    let bad = env.read("bad.jsonl");
    assert_eq!(lines(&bad).len(), 1);
    assert!(bad.contains("line break") && serde_json::from_str::<Value>(&bad).is_ok(), "{bad}");
}

#[test]
fn report_does_not_replace_a_pipeline_file() {
    let env = env_with_rows(3);
    let file = pipeline(&[], "type = \"null\"");
    env.write("p.toml", &file);
    env.write("q.toml", &file);
    // `--report` takes a value, so this is one pipeline and not two.
    env.run(["run", "--report", "p.toml", "q.toml"]).assert_code(2).assert_says(&["p.toml", "report.json"]);
    assert_eq!(env.read("p.toml"), file);
}

#[test]
fn full_disk_is_retried_then_ends_run_with_path() {
    let env = env_with_rows(3);
    let file = pipeline(&[], "type = \"file\"\npath = \"/dev/full\"");
    env.write("p.toml", file + "[retry]\ntimeout = \"1s\"\n");
    env.run(["run", "p.toml", "--report", "report.json"])
        .assert_code(1)
        .assert_says(&["no room", "/dev/full"]);
    assert!(component(&report(env.path("report.json")), "end")["retries"].as_u64() > Some(0));
}

#[test]
fn closed_stdout_ends_run_and_unread_rows_are_read_again() {
    let env = env_with_rows(100);
    env.write("p.toml", pipeline(&[("throttle", "rate = 50")], "type = \"console\""));
    let mut child = env
        .command(["run", "p.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting the binary");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let out = child.wait_with_output().expect("the end");
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("p stopped") && said.contains("the reader of the standard output has closed it"),
        "{said}"
    );

    let rest = env.run(["run", "p.toml"]);
    let csv = env.read("stocks.csv");
    assert_eq!(first.trim_end(), lines(&csv)[1]);
    assert_eq!(lines(&rest.stdout).last(), lines(&csv).last());
    assert!(lines(&rest.stdout).len() > 50, "the run must read more after stdout was closed");
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name)
}

#[test]
fn first_run_pipeline_prints_20_rows_and_resumes() {
    let env = TestEnv::new();
    let file = shipped("first-run.toml");
    let csv = std::fs::read_to_string(shipped("data/stocks.csv")).expect("the sample data");
    let expected = expected_lines(&csv);
    for n_runs in 0..2 {
        let run = env.start([Path::new("run"), &file]).wait(Duration::from_secs(20));
        run.assert_code(0);
        assert_eq!(lines(&run.stdout), expected[n_runs * 20..][..20]);
    }
}

#[test]
fn shipped_producers_differ_only_in_source() {
    let rest_of = |name: &str| {
        let text = std::fs::read_to_string(shipped(name)).expect("a pipeline file");
        let (front, block) = text.split_once("[sources.stocks]\n").expect("the source");
        let (source, back) = block.split_once("\n\n").expect("an empty line after the source");
        (source.to_owned(), front.to_owned() + back)
    };
    let ((csv, one), (http, other)) = (rest_of("producer.toml"), rest_of("producer-http.toml"));
    assert_eq!(one, other);
    assert!(csv.contains("type = \"csv\"") && http.contains("type = \"http\""));
}

#[test]
fn shipped_pipeline_files_are_valid() {
    let mut env = TestEnv::new();
    env.set("STOCKS_API", "http://127.0.0.1:1/prices").set("STOCKS_BUCKET", "some-bucket");
    for name in ["first-run.toml", "producer.toml", "producer-http.toml", "consumer.toml"] {
        let text = std::fs::read_to_string(shipped(name)).expect("a pipeline file");
        assert!(text.starts_with("#:schema ../schemas/pipeline.schema.json\n\n"), "{name}");
        env.run([Path::new("validate"), &shipped(name)]).assert_code(0);
    }
}

#[test]
fn missing_required_variable_says_its_purpose() {
    let env = TestEnv::new();
    let outcome = env.run([Path::new("validate"), &shipped("consumer.toml")]);
    outcome.assert_code(78).assert_says(&["STOCKS_BUCKET", "the bucket to write to", "consumer.toml:42:10"]);
}

#[test]
fn checkpoint_verbs_show_and_reset_position() {
    let env = env_with_rows(50);
    env.write("p.toml", pipeline(&[("limit", "records = 20")], "type = \"file\"\npath = \"out.csv\""));
    env.run(["checkpoint", "show", "p.toml"]).assert_code(0).assert_says(&["no checkpoint of `p`"]);
    env.run(["run", "p.toml"]).assert_code(0);
    let shown = env.run(["checkpoint", "show", "p.toml"]);
    shown.assert_code(0).assert_says(&["checkpoints of `p` are stored in"]);
    assert!(shown.stdout.starts_with("stocks (csv) reads "), "{}", shown.stdout);
    assert!(shown.stdout.contains("stocks.csv\n  next entry  20\n  position    {"), "{}", shown.stdout);
    let nobody = env.run(["checkpoint", "reset", "p.toml", "nobody"]);
    nobody.assert_code(1).assert_says(&["p.toml has no source `nobody`"]);
    env.run(["checkpoint", "reset", "p.toml", "stocks"])
        .assert_code(0)
        .assert_says(&["deleted the checkpoint of `stocks`"]);
    env.run(["run", "p.toml"]).assert_code(0);
    let out = env.read("out.csv");
    let rows = lines(&out);
    assert_eq!((rows.len(), rows[0]), (40, rows[20]), "the first twenty rows came twice");
    env.run(["checkpoint", "reset", "p.toml"]).assert_code(0);
    env.run(["checkpoint", "reset", "p.toml"]).assert_code(0).assert_says(&["no checkpoints to delete"]);
}

#[test]
fn checkpoint_show_prints_next_entry_of_removed_source() {
    let env = env_with_rows(50);
    let limited = pipeline(&[("limit", "records = 20")], "type = \"file\"\npath = \"out.csv\"");
    env.write("p.toml", &limited);
    env.run(["run", "p.toml"]).assert_code(0);
    // As a killed run leaves it.
    let checkpoint = env.path("state/p/stocks.json");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    std::fs::write(&checkpoint, text.replace("\"reserved\": 20", "\"reserved\": 200")).unwrap();
    let shows = |text: &str| {
        let shown = env.run(["checkpoint", "show", "p.toml"]);
        assert!(shown.assert_code(0).stdout.contains(text), "{}", shown.stdout);
    };
    shows("  next entry  20\n  reserved    20 to 199 (will be reused for the same records)\n");
    std::fs::copy(env.path("stocks.csv"), env.path("others.csv")).unwrap();
    env.write("p.toml", limited.replace("stocks.csv", "others.csv"));
    shows("  next entry  200\n  reserved    20 to 199 (will be skipped)\n");
    env.write(
        "p.toml",
        limited.replace("sources.stocks", "sources.shares").replace("\"stocks\"", "\"shares\""),
    );
    shows("  next entry  20 (not used: p.toml has no source of this name)\n  reserved    20 to 199\n");
    let forgotten = env.run(["checkpoint", "reset", "p.toml", "stocks"]);
    forgotten.assert_code(0).assert_says(&["`stocks`, which is not a source in p.toml"]);
    assert!(!checkpoint.exists());
}
