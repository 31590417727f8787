//! The lake stays readable: what Athena could not read is refused before it is stored.

mod keys;

use serde_json::json;

use crate::support::api::Api;
use crate::support::cloud::Cloud;
use crate::support::{Outcome, TestEnv};

/// A pipeline from an API through `to_json` into a bucket, with a crawler over the objects.
fn write_pipeline(env: &TestEnv, endpoint: &str, key: &str, more: &str) {
    env.write(
        "lake.toml",
        format!(
            r#"
[sources.api]
type = "http"
endpoint = "{endpoint}"

[transforms.json]
type = "to_json"
inputs = ["api"]

[sinks.lake]
type = "s3"
inputs = ["json"]
bucket = "stock-market-local"
key = "{key}"

[sinks.crawl]
type = "glue_crawl"
inputs = ["lake"]
database = "prices"
crawler = "prices"
role = "AWSGlueServiceRole-prices"
every = "0s"

[dead_letter]
type = "file"
path = "rejected.jsonl"
{more}
"#
        ),
    );
}

/// Runs the records of an API into the lake of an offline cloud. Returns the outcome of the run, and the
/// cloud.
fn run(env: &mut TestEnv, records: &str, key: &str) -> (Outcome, Cloud) {
    let api = Api::start(records);
    let cloud = Cloud::start(env, &["--data", "data"]);
    cloud.configure(env);
    write_pipeline(env, &api.url(), key, "");
    let outcome = env.run(["run", "lake.toml"]);
    (outcome, cloud)
}

fn query(env: &TestEnv, sql: &str) -> Outcome {
    env.run(["query", "--database", "prices", "--format", "csv", sql])
}

fn rejected(env: &TestEnv) -> Vec<serde_json::Value> {
    env.json_lines("rejected.jsonl")
}

#[test]
fn record_that_athena_could_not_read_is_rejected_before_it_is_stored() {
    let mut env = TestEnv::new();
    let records = json!([
        { "sym": "AA", "close": 1.5 },
        { "sym": "BB", "Close": 2.5, "close": 3.5 },
        [{ "sym": "CC" }],
        "{\"sym\":\"DD\",\"close\":1.5}",
        { "sym": "EE", "close": 4.5 },
    ]);
    let (outcome, _cloud) = run(&mut env, &records.to_string(), "quotes/{{ entry }}.json");
    outcome.assert_code(0);
    let reasons: Vec<String> = rejected(&env).iter().map(|letter| letter["reason"].to_string()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("`Close` and `close`")), "{reasons:?}");
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    let sum = query(&env, "SELECT count(*), sum(close) FROM quotes");
    sum.assert_code(0);
    assert!(sum.stdout.contains("\"2\",\"6.0\""), "{}", sum.stdout);
}

#[test]
fn names_and_types_that_athena_cannot_parse_are_rejected_or_warned_of() {
    let mut env = TestEnv::new();
    let records = json!([
        { "n": 1, "headers": { "user-agent": "x" } },
        { "n": 2, "headers": { "user_agent": "x" }, "tags": {} },
        { "n": 18_446_744_073_709_551_615_u64 },
    ]);
    let (outcome, _cloud) = run(&mut env, &records.to_string(), "calls/{{ entry }}.json");
    outcome.assert_code(0).assert_says(&[
        "the key `user-agent` inside of an object",
        "whole numbers beyond 9223372036854775807",
        "Athena cannot read the table of the column `prices.calls.tags`",
        "a type that is not valid, `struct<>`",
    ]);
    assert_eq!(rejected(&env).len(), 1);
    let found = query(&env, "SELECT headers.user_agent FROM calls WHERE headers IS NOT NULL");
    found.assert_code(0);
    assert!(found.stdout.contains("\"x\""), "{}", found.stdout);
}

#[test]
fn column_that_changes_its_type_between_two_runs_is_warned_of() {
    let mut env = TestEnv::new();
    let (outcome, _cloud) = run(&mut env, r#"[{ "id": 1, "v": 1.5 }]"#, "days/{{ entry }}.json");
    outcome.assert_code(0);
    let api = Api::start(r#"[{ "id": 2, "v": "n/a", "more": 1 }]"#);
    write_pipeline(&env, &api.url(), "days/{{ entry }}.json", "");
    let outcome = env.run(["run", "lake.toml"]);
    outcome.assert_code(0).assert_says(&["the column `prices.days.v` from `double` to `string`"]);
    assert_eq!(outcome.stderr.matches("has changed the type").count(), 1, "{}", outcome.stderr);
}

#[test]
fn key_of_objects_that_athena_skips_is_refused() {
    let sinks = |key: &str| [s3("a", "lake", key), crawl("crawl", "a", "one", "")].concat();
    let (_env, outcome) = validate(&sinks("fa/_{{ entry }}.json"));
    outcome.assert_code(78).assert_says(&["`key`", "Athena skips objects and folders whose names begin"]);
    validate(&sinks("fa/x_{{ entry }}.json")).1.assert_code(0);
}

#[test]
fn column_of_whole_and_fractional_numbers_gives_one_warning() {
    let mut env = TestEnv::new();
    let records =
        json!([{ "price": 100 }, { "price": 101 }, { "price": 100.25 }, { "price": 7 }, { "price": 8.5 }]);
    let (outcome, _cloud) = run(&mut env, &records.to_string(), "late/{{ entry }}.json");
    outcome
        .assert_code(0)
        .assert_says(&["`price` has whole numbers and numbers with a fraction", "HIVE_BAD_DATA"]);
    assert_eq!(outcome.stderr.matches("`price` has").count(), 1, "{}", outcome.stderr);
}

#[test]
fn field_with_the_name_of_a_folder_is_rejected() {
    let mut env = TestEnv::new();
    let records = json!([{ "n": 1 }, { "n": 2, "Stream": "x" }]);
    let key = "t/stream={{ topic }}/{{ partition }}-{{ offset }}.json";
    let (outcome, _cloud) = run(&mut env, &records.to_string(), key);
    outcome.assert_code(0);
    let letters = rejected(&env);
    assert_eq!(letters.len(), 1);
    let reason = letters[0]["reason"].to_string();
    assert!(reason.contains("`stream` has the name of a folder"), "{reason}");
    let count = query(&env, "SELECT count(n), count(stream) FROM t");
    count.assert_code(0);
    assert!(count.stdout.contains("\"1\",\"1\""), "{}", count.stdout);
}

/// A pipeline file of CSV rows, with these sinks.
fn validate(sinks: &str) -> (TestEnv, Outcome) {
    let env = TestEnv::new();
    env.write("rows.csv", "id\n1\n");
    env.write("lake.toml", format!("[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\n{sinks}"));
    let outcome = env.run(["validate", "lake.toml"]);
    (env, outcome)
}

fn s3(name: &str, bucket: &str, key: &str) -> String {
    format!("[sinks.{name}]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"{bucket}\"\nkey = \"{key}\"\n\n")
}

fn crawl(name: &str, input: &str, crawler: &str, more: &str) -> String {
    format!(
        "[sinks.{name}]\ntype = \"glue_crawl\"\ninputs = [\"{input}\"]\ndatabase = \"d\"\ncrawler = \"{crawler}\"\n\
         role = \"r\"\n{more}\n\n"
    )
}

#[test]
fn one_crawler_for_two_folders_is_refused() {
    let two = |second: &str| {
        [
            s3("a", "lake", "fa/{{ entry }}.json"),
            crawl("crawl_a", "a", "one", ""),
            s3("b", "lake", "fb/{{ entry }}.json"),
            crawl("crawl_b", "b", second, ""),
        ]
        .concat()
    };
    let (_env, outcome) = validate(&two("one"));
    outcome.assert_code(78).assert_says(&[
        "`crawler`: sink `crawl_a` describes the same crawler with other settings",
        "s3://lake/fa/",
        "s3://lake/fb/",
        "a crawler of its own",
    ]);
    validate(&two("two")).1.assert_code(0);
    let same = [
        s3("a", "lake", "fa/{{ entry }}.json"),
        crawl("crawl_a", "a", "one", ""),
        crawl("crawl_b", "a", "one", "every = \"2h\""),
    ];
    validate(&same.concat()).1.assert_code(0);
}

#[test]
fn crawler_with_different_folders_in_two_files_is_refused() {
    let env = TestEnv::new();
    env.write("rows.csv", "id\n1\n");
    let write = |file: &str, folder: &str, crawler: &str| {
        let key = format!("{folder}/{{{{ entry }}}}.json");
        let sinks = [s3("a", "lake", &key), crawl("crawl", "a", crawler, "")].concat();
        env.write(file, format!("[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\n{sinks}"));
    };
    write("a.toml", "fa", "one");
    for (folder, crawler, code) in [("fb", "one", 78), ("fb", "two", 0), ("fa", "one", 0)] {
        write("b.toml", folder, crawler);
        let outcome = env.run(["validate", "a.toml", "b.toml"]);
        outcome.assert_code(code);
        if code == 78 {
            let says =
                ["of b.toml", "of a.toml", "s3://lake/fa/", "s3://lake/fb/", "its own name in `crawler`"];
            outcome.assert_says(&says);
            env.run(["run", "a.toml", "b.toml"]).assert_code(code).assert_says(&says);
        }
    }
}

#[test]
fn dead_letters_in_the_crawled_folder_are_refused() {
    let sinks = |letters: &str| {
        let letters = format!(
            "[dead_letter]\ntype = \"s3\"\nbucket = \"lake\"\nkey = \"{letters}/{{{{ entry }}}}.json\"\n"
        );
        [s3("a", "lake", "fa/{{ entry }}.json"), crawl("crawl", "a", "one", ""), letters].concat()
    };
    let (_env, outcome) = validate(&sinks("fa/letters"));
    outcome
        .assert_code(78)
        .assert_says(&["`key`: dead letters would become rows of the table", "s3://lake/fa/"]);
    validate(&sinks("letters")).1.assert_code(0);
}

#[test]
fn crawl_of_a_whole_bucket_or_of_another_folder_is_warned_of() {
    let (_env, outcome) =
        validate(&[s3("a", "lake", "row_{{ entry }}.json"), crawl("crawl", "a", "c", "")].concat());
    outcome.assert_code(0).assert_says(&["reads the whole bucket `lake`", "Begin the `key`"]);
    let target = "target = \"s3://lake/other/\"";
    let (_env, outcome) =
        validate(&[s3("a", "lake", "rows/{{ entry }}.json"), crawl("crawl", "a", "c", target)].concat());
    outcome.assert_code(0).assert_says(&["reads s3://lake/other/", "writes to s3://lake/rows/"]);
    let (_env, outcome) =
        validate(&[s3("a", "lake", "rows/{{ entry }}.json"), crawl("crawl", "a", "c", "")].concat());
    outcome.assert_code(0);
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
}

#[test]
fn bucket_written_as_an_address_or_as_an_arn_that_cannot_work_is_refused() {
    for (bucket, says) in [
        ("s3://lake/folder", "write \\\"lake\\\", and begin `key` with \\\"folder/\\\""),
        ("lake/folder", "is not a bucket name"),
        ("My_Bucket", "a to z"),
        ("arn:aws:s3:::lake", "the ARN of a bucket"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "multi-region access point"),
    ] {
        let (_env, outcome) = validate(&s3("a", bucket, "{{ entry }}"));
        outcome.assert_code(78).assert_says(&["`bucket`:", &says.replace("\\\"", "\"")]);
    }
}
