//! The `csv` source: bad rows, grown and changed files, lists, compression.

mod dialects;
mod follow;
mod stdin;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::s3::S3;
use crate::support::stocks::stocks_csv;
use crate::support::{Outcome, TestEnv, report, wait_until};

/// Rewrites the sample data instead of comparing it.
const UPDATE: &str = "UPDATE_SAMPLE_DATA";

/// A pipeline from `rows.csv`, with these options, as JSON lines into `out.jsonl`.
pub(crate) fn env(text: impl AsRef<[u8]>, options: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("rows.csv", text);
    settle(&env, "rows.csv");
    set_options(&env, &format!("path = \"rows.csv\"\n{options}"));
    env
}

pub(crate) fn set_options(env: &TestEnv, options: &str) {
    env.write(
        "p.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\n{options}\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n"
        ),
    );
}

pub(crate) fn append(env: &TestEnv, name: &str, text: &str) {
    let mut file = std::fs::File::options().append(true).open(env.path(name)).expect("the file");
    file.write_all(text.as_bytes()).expect("appending");
    settle(env, name);
}

/// Makes a file look as if nobody had written to it for a while.
fn settle(env: &TestEnv, name: &str) {
    let file = std::fs::File::options().append(true).open(env.path(name)).expect("the file");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("setting the time");
}

pub(crate) fn run(env: &TestEnv) -> Outcome {
    env.run(["run", "p.toml", "--report", "report.json"])
}

pub(crate) fn out(env: &TestEnv) -> Vec<String> {
    env.lines("out.jsonl")
}

/// Numbered rows, more than the sample from which the types are inferred.
fn many_rows() -> String {
    "n,s\n".to_owned() + (0..12_000).map(|n| format!("{n},row {n}\n")).collect::<String>().as_str()
}

#[test]
fn sample_data_matches_its_generator() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data/stocks.csv");
    let made = stocks_csv(3_000, 1986);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &made).expect("writing the sample data");
    }
    let committed = std::fs::read_to_string(&path).expect("the sample data");
    assert!(
        committed == made,
        "pipelines/data/stocks.csv is out of date: run the tests once with {UPDATE}=1"
    );
}

#[test]
fn bad_row_without_dead_letters_stops_every_run_with_position() {
    let env = env("a,b\n1,2\n3\n4,5\n", "");
    for n_lines in [1, 1] {
        let outcome = run(&env);
        outcome.assert_code(65);
        outcome.assert_says(&["rows.csv:3:2: too few cells: the row has 1, the file has 2 columns"]);
        assert_eq!(out(&env).len(), n_lines);
    }
}

#[test]
fn bad_rows_go_to_dead_letters_and_good_rows_pass() {
    let mut text = many_rows().into_bytes();
    text.extend(b"1,2,3\n4,\xFFx\nx,5\n\"6\",\"good\nrow\"\n7,\"open\n8,9\n");
    let env = env(text, "");
    let pipeline = env.read("p.toml");
    env.write("p.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    run(&env).assert_code(0);
    let good = out(&env);
    assert_eq!(good[12_000..], [r#"{"n":6,"s":"good\nrow"}"#, r#"{"n":8,"s":"9"}"#]);

    let letters = env.json_lines("dead.jsonl");
    let expected = [
        (12_000, "rows.csv:12002:5: too many cells: the row has 3, the file has 2 columns"),
        (12_001, "rows.csv:12003:3: column `s` is not UTF-8: byte 0xFF at 1 of the cell"),
        (
            12_002,
            "rows.csv:12004:1: column `n` is an integer (inferred from its first rows), and this cell is text",
        ),
        (12_004, "rows.csv:12007:3: the quote that opens here is never closed"),
    ];
    assert_eq!(letters.len(), expected.len());
    for (letter, (number, reason)) in letters.iter().zip(expected) {
        assert!(letter["reason"].as_str().expect("a reason").contains(reason), "{letter}");
        assert_eq!(letter["entry"], number, "a rejected row keeps its entry number");
        assert_eq!(letter["origin"], json!({ "stream": "rows.csv", "lane": 0, "offset": number }));
    }
    assert_eq!(letters[3]["body"], "7,\"open");
    let rows = &report(env.path("report.json"))["pipelines"][0]["components"][0];
    assert_eq!((&rows["records_out"], &rows["rejected"]), (&json!(12_002), &json!(4)));
    run(&env).assert_code(0);
    assert_eq!(out(&env).len(), 12_002, "a row was read again");
}

#[test]
fn type_mismatch_resumes_with_the_suggested_types_option() {
    let env = env(many_rows() + "12000.5,x\n12001,y\n", "");
    let outcome = run(&env);
    outcome.assert_code(65);
    let line = "types = { n = \"float\" }";
    outcome.assert_says(&["rows.csv:12002:1: column `n` is an integer", line]);
    assert_eq!(out(&env).len(), 12_000);
    set_options(&env, &format!("path = \"rows.csv\"\n{line}"));
    run(&env).assert_code(0);
    assert_eq!(out(&env)[12_000..], [r#"{"n":12000.5,"s":"x"}"#, r#"{"n":12001.0,"s":"y"}"#]);
}

#[test]
fn grown_file_resumes_with_same_types() {
    let env = env("n,f\n1,2\n3,4.5", "");
    run(&env).assert_code(0);
    append(&env, "rows.csv", "\n5,6\n");
    run(&env).assert_code(0);
    run(&env).assert_code(0);
    assert_eq!(out(&env), [r#"{"n":1,"f":2.0}"#, r#"{"n":3,"f":4.5}"#, r#"{"n":5,"f":6.0}"#]);
}

#[test]
fn changed_file_is_refused_until_from_start() {
    let rows = stocks_csv(2_000, 3);
    for changed in [
        rows.replacen("HSI", "ISH", 1),
        rows[..rows.len() - 200].rsplit_once('\n').expect("many lines").0.to_owned(),
        rows.trim_end().to_owned() + "99\n",
        "Index\nNYA\n".to_owned(),
    ] {
        let env = env(rows.trim_end(), "");
        run(&env).assert_code(0);
        env.write("rows.csv", &changed);
        settle(&env, "rows.csv");
        let outcome = run(&env);
        outcome.assert_code(1);
        outcome.assert_says(&[
            "rows.csv has changed since it was read up to line 2000",
            "give the new file another name or path: it is then read from its beginning, and entry numbers continue",
            "--from-start",
        ]);
        assert_eq!(out(&env).len(), 2_000, "a row of the changed file was read");
        env.run(["run", "--from-start", "p.toml"]).assert_code(0);
        assert_eq!(out(&env).len(), 2_000 + changed.lines().count() - 1);
    }
}

#[test]
fn rows_after_limit_are_read_by_next_run() {
    let text = stocks_csv(5_000, 4);
    let env = env(&text, "");
    let whole = env.read("p.toml");
    run(&env).assert_code(0);
    let expected = out(&env);
    std::fs::remove_dir_all(env.path("state")).expect("no checkpoints");
    env.write("out.jsonl", "");
    let limited = whole.replace("inputs = [\"json\"]", "inputs = [\"some\"]")
        + "[transforms.some]\ntype = \"limit\"\ninputs = [\"json\"]\nrecords = 1\n";
    for n_records in [1, 1_023, 1, 1_500] {
        env.write("p.toml", limited.replace("records = 1\n", &format!("records = {n_records}\n")));
        run(&env).assert_code(0);
    }
    env.write("p.toml", whole);
    run(&env).assert_code(0);
    assert_eq!(out(&env), expected);
}

#[test]
fn lists_globs_and_compressed_files_form_one_stream() {
    let env = TestEnv::new();
    let zipped = |text: &str| {
        let mut child = std::process::Command::new("gzip")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("gzip");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("writing to gzip");
        child.wait_with_output().expect("gzip").stdout
    };
    env.write("data/2024.csv.gz", zipped("n\n1\n"));
    env.write("data/2025.csv", "n\r\n2\r\n");
    env.write("first.csv", "\u{feff}n\n0\n");
    env.write("data/.hidden.csv", "not,for,us\n");
    set_options(&env, "path = [\"first.csv\", \"data/*.csv*\"]");
    run(&env).assert_code(0);
    env.write("data/2023.csv", "n\n3\n");
    append(&env, "first.csv", "4\n");
    run(&env).assert_code(0);
    let numbers = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>();
    assert_eq!(out(&env), numbers, "new files must be read last");
}

#[test]
fn extended_path_list_reads_only_new_files() {
    let env = TestEnv::new();
    for year in 2024..=2026 {
        env.write(format!("{year}.csv"), format!("n\n{year}\n"));
    }
    for paths in [r#"["2025.csv"]"#, r#"["2025.csv", "2026.csv"]"#, r#"["2024.csv", "2025.csv", "2026.csv"]"#]
    {
        set_options(&env, &format!("path = {paths}"));
        run(&env).assert_code(0);
    }
    assert_eq!(out(&env), [r#"{"n":2025}"#, r#"{"n":2026}"#, r#"{"n":2024}"#]);
}

#[test]
fn pattern_without_a_file_in_a_list_gives_a_warning() {
    let env = env("n\n1\n", "");
    set_options(&env, "path = [\"rows.csv\", \"late/*.csv\"]");
    let warning =
        ["WARN", "component=\"rows\"", "no file matches `late/*.csv`", "only the other paths are read"];
    run(&env).assert_code(0).assert_says(&warning);
    assert_eq!(out(&env), [r#"{"n":1}"#]);
}

#[test]
fn removed_unread_row_gives_its_entry_number_to_no_other_row() {
    let mut env = env("", "");
    let server = S3::start();
    server.create_bucket("lake");
    server.configure(&mut env);
    let rows: Vec<String> = (0..20).map(|n| format!("{n},row {n}\n")).collect();
    env.write("rows.csv", format!("n,s\n{}", rows.concat()));
    env.write(
        "p.toml",
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"lake\"\nkey = \"{{ entry }}\"\n",
    );
    server.put("lake", "3", "of somebody else");
    run(&env).assert_code(65).assert_says(&["s3://lake/3 exists with other content"]);
    assert_eq!(server.count("lake"), 20, "the rows after it were in flight");

    env.write("rows.csv", format!("n,s\n{}", rows.concat().replace(&rows[3], "")));
    let outcome = run(&env);
    outcome.assert_code(0).assert_says(&["continuing with entry 20", "may be delivered twice"]);
    assert_eq!(server.read("lake", "3"), "of somebody else");
    let row = |n: usize| rows[n].trim_end().to_owned();
    for n in (0..3).chain(4..20) {
        assert_eq!(server.read("lake", &n.to_string()), row(n), "an object was overwritten");
    }
    for (number, n) in (20..36).zip(4..20) {
        assert_eq!(server.read("lake", &number.to_string()), row(n));
    }
    run(&env).assert_code(0);
    assert_eq!(server.count("lake"), 36);
}

#[test]
fn origin_is_independent_of_working_directory() {
    let env = env("a,b\n1\n2\n", "");
    let pipeline = env.read("p.toml");
    env.write("pipelines/rows.csv", env.read("rows.csv"));
    env.write("pipelines/p.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    env.run(["run", "pipelines/p.toml"]).assert_code(0);
    let from_beside = env.command(["run", "../pipelines/p.toml"]).current_dir(env.path("state")).output();
    assert!(from_beside.expect("a run").status.success());
    let letters = env.json_lines("pipelines/dead.jsonl");
    let origins: Vec<_> = letters.iter().map(|letter| &letter["origin"]["stream"]).collect();
    assert_eq!(origins, ["rows.csv", "rows.csv"], "each row once, with the path of the pipeline file");
}

#[test]
fn unreadable_file_error_says_what_to_do() {
    let repeated = env("a,b,a\n1,2,3\n", "");
    run(&repeated)
        .assert_code(1)
        .assert_says(&["`rows` failed", "rows.csv:1:5: columns 1 and 3 are both called `a`"]);
    set_options(&repeated, "path = \"none-*.csv\"");
    run(&repeated)
        .assert_code(1)
        .assert_says(&["`rows` failed", "leave it out until there is one; `follow = true` waits for it"]);
}

#[test]
fn missing_file_that_exists_in_current_folder_is_pointed_out() {
    let env = env("a\n1\n", "");
    env.write("pipelines/p.toml", env.read("p.toml"));
    env.run(["run", "pipelines/p.toml"]).assert_code(1).assert_says(&[
        "there is no file pipelines/rows.csv; it exists in the current folder",
        "paths in a pipeline file are relative to that file",
    ]);
}

#[test]
fn invalid_csv_options_are_shown_with_position() {
    for (options, message) in [
        ("delimiter = \",,\"", "`,,` is not one ASCII character"),
        ("types = \"float\"", "expected \"infer\", \"string\", or a table"),
        ("types = { n = \"int\" }", "invalid value `int` for `types.n`"),
        ("compression = \"lz4\"", "invalid value `lz4` for `compression`"),
        ("decimal = \",\"\nthousands = \",\"", "`,` is the decimal mark"),
        ("types = { n = { type = \"float\", parse = \"%d\" } }", "`parse` is for dates and timestamps"),
        ("encoding = \"klingon\"", "`klingon` is not the label of an encoding"),
        ("header = false", "files without a header need the names of their columns"),
    ] {
        let env = env("a\n1\n", options);
        env.run(["validate", "p.toml"]).assert_code(78).assert_says(&["p.toml:", message]);
    }
}

#[test]
fn half_a_row_is_left_for_the_next_run() {
    let env = env("", "");
    env.write("rows.csv", "id,v\n1,10\n2,2");
    run(&env)
        .assert_code(0)
        .assert_says(&["rows.csv: the row in line 3 has no line end", "left for the next run"]);
    assert_eq!(out(&env), [r#"{"id":1,"v":10}"#]);
    append(&env, "rows.csv", "0\n3,30");
    run(&env).assert_code(0);
    assert_eq!(out(&env), [r#"{"id":1,"v":10}"#, r#"{"id":2,"v":20}"#, r#"{"id":3,"v":30}"#]);
}

#[test]
fn file_that_is_cut_during_a_run_ends_it() {
    let rows: String = (0..400_000).map(|n| format!("{n},{n}\n")).collect();
    let env = env(format!("n,v\n{rows}"), "");
    let throttle = "[transforms.slow]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 20000\n";
    env.write("p.toml", env.read("p.toml").replace("inputs = [\"rows\"]", "inputs = [\"slow\"]") + throttle);
    let child = env.start(["run", "p.toml"]);
    wait_until("some rows are delivered", Duration::from_secs(30), || {
        env.path("out.jsonl").exists() && out(&env).len() > 100
    });
    let file = std::fs::File::options().write(true).open(env.path("rows.csv")).expect("the file");
    file.set_len(300_003).expect("cutting the file");
    let outcome = child.wait(Duration::from_secs(60));
    outcome.assert_code(1);
    outcome.assert_says(&["rows.csv was changed while it was read", "it has shrunk from"]);
    for (n, row) in out(&env).iter().enumerate() {
        assert_eq!(*row, format!("{{\"n\":{n},\"v\":{n}}}"), "a row of the changed part was delivered");
    }
}
