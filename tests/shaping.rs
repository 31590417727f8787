//! The transforms `remap`, `filter` and `route`: records, errors of programs, outputs.

mod kills;
mod reference;

use runner_needs::needs;
use serde_json::Value;

use crate::support::kafka::Broker;
use crate::support::s3::S3;
use crate::support::{Outcome, TestEnv};

const ROWS: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
const CSV: &str = "Index,Close\nNYA,1.50\nIXIC,2\nNYA,\n";
const LETTERS: &str = "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n";

fn file(name: &str, input: &str) -> String {
    format!("[sinks.{name}]\ntype = \"file\"\ninputs = [\"{input}\"]\npath = \"{name}.jsonl\"\n")
}

/// Runs a pipeline over the rows; the last part of the report is on stdout.
fn run(parts: &[&str]) -> (TestEnv, Outcome) {
    let env = TestEnv::new();
    env.write("rows.csv", CSV);
    env.write("p.toml", parts.concat());
    let outcome = env.run(["run", "p.toml", "--report", "-"]);
    (env, outcome)
}

fn validate(pipeline: &str) -> Outcome {
    let env = TestEnv::new();
    env.write("p.toml", pipeline);
    env.write("shape.vrl", ".a = 1\n.b = upcase(.a\n");
    env.run(["validate", "p.toml"])
}

fn remap(program: &str) -> String {
    format!(
        "{ROWS}[transforms.shape]\ntype = \"remap\"\ninputs = [\"rows\"]\n{program}\n{}",
        file("out", "shape")
    )
}

/// A counter of one component in a report.
fn count(outcome: &Outcome, component: &str, counter: &str) -> u64 {
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a report");
    let components = report["pipelines"][0]["components"].as_array().expect("components");
    let found = components.iter().find(|it| it["name"] == component).expect("the component");
    found[counter].as_u64().expect("a count")
}

#[test]
fn remap_renames_and_filter_drops_records() {
    let shape = "[transforms.priced]\ntype = \"filter\"\ninputs = [\"rows\"]\ncondition = '.Close != null'\n\
        [transforms.shape]\ntype = \"remap\"\ninputs = [\"priced\"]\nsource = '''\n.close = del(.Close)\n.index = downcase(string!(del(.Index)))\n'''\n";
    let (env, outcome) = run(&[ROWS, shape, &file("out", "shape")]);
    outcome.assert_code(0);
    assert_eq!(
        env.read("out.jsonl"),
        "{\"close\":1.5,\"index\":\"nya\"}\n{\"close\":2.0,\"index\":\"ixic\"}\n"
    );
    assert_eq!(count(&outcome, "priced", "filtered"), 1);
}

#[test]
fn remap_error_rejects_the_record_with_its_place_and_without_values() {
    let shape = "[transforms.shape]\ntype = \"remap\"\ninputs = [\"rows\"]\nsource = '''\n.ok = true\n.Index = to_int!(.Index)\n'''\n";
    let (env, outcome) = run(&[ROWS, shape, &file("out", "shape"), LETTERS]);
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "shape", "rejected"), 3);
    let letter: Value =
        serde_json::from_str(env.read("dead.jsonl").lines().next().expect("a letter")).unwrap();
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("`to_int` has failed at line 2, column 10 of `source`"), "{reason}");
    assert!(!reason.contains("NYA") && !outcome.stderr.contains("NYA"), "{reason}\n{}", outcome.stderr);
    assert_eq!(letter["body"], "NYA,1.50", "as it came in");
}

#[test]
fn parts_of_a_record_are_numbered_in_dead_letters_and_back() {
    let split = |name: &str, input: &str| {
        format!(
            "[transforms.{name}]\ntype = \"remap\"\ninputs = [\"{input}\"]\nsource = '. = [{{\"n\": 1}}, {{\"n\": 2}}]'\n"
        )
    };
    let fails = "[transforms.check]\ntype = \"remap\"\ninputs = [\"again\"]\nsource = 'assert!(.n != 2, message: \"two\")'\n";
    let (split, again) = (split("split", "rows"), split("again", "split"));
    let (env, outcome) = run(&[ROWS, &split, &again, fails, &file("out", "check"), LETTERS]);
    outcome.assert_code(0);
    let entries: Vec<String> = env
        .read("dead.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["entry"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(entries, ["0-0-1", "0-1-1", "1-0-1", "1-1-1", "2-0-1", "2-1-1"]);
    // Replayed into a pipeline that rejects them again, they have the same numbers.
    let replayed = env.run(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml"]);
    replayed.assert_code(0).assert_says(&["6 rejected again"]);
    assert!(env.read("dead.jsonl").contains("\"2-1-1\""), "{}", env.read("dead.jsonl"));
}

#[needs(kafka)]
#[test]
fn parts_of_a_record_are_numbered_through_kafka_and_in_s3() {
    let (broker, s3) = (Broker::shared(), S3::start());
    let topic = broker.name("parts");
    s3.create_bucket("lake");
    let mut env = TestEnv::new();
    s3.configure(&mut env);
    env.write("rows.csv", "Index\nNYA\nIXIC\n");
    let split = |input: &str| {
        format!("[transforms.split]\ntype = \"remap\"\ninputs = [\"{input}\"]\nsource = '. = [., .]'\n")
    };
    let sink = format!(
        "[sinks.topic]\ntype = \"kafka\"\ninputs = [\"split\"]\nbootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n",
        broker.bootstrap()
    );
    env.write("producer.toml", [ROWS, &split("rows"), &sink].concat());
    env.run(["run", "producer.toml"]).assert_code(0);
    let source = format!(
        "[sources.topic]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\ngroup_id = \"{}\"\nstop = \"at_end\"\n",
        broker.bootstrap(),
        broker.name("group")
    );
    let lake = |name: &str, key: &str| {
        format!("[sinks.{name}]\ntype = \"s3\"\ninputs = [\"split\"]\nbucket = \"lake\"\nkey = \"{key}\"\n")
    };
    let sinks =
        [lake("entries", "e/{{ entry }}"), lake("offsets", "o/{{ topic }}/{{ partition }}/{{ offset }}")];
    env.write("consumer.toml", [&*source, &split("topic"), &sinks.concat()].concat());
    env.run(["run", "consumer.toml"]).assert_code(0);
    let entries = ["0-0-0", "0-0-1", "0-1-0", "0-1-1", "1-0-0", "1-0-1", "1-1-0", "1-1-1"];
    let offsets = ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1", "3-0", "3-1"];
    let mut expected: Vec<String> = entries.map(|it| format!("e/{it}")).into();
    expected.extend(offsets.map(|it| format!("o/{topic}/0/{it}")));
    let mut keys = s3.keys("lake");
    keys.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn route_sends_records_to_their_outputs() {
    let route = "[transforms.split]\ntype = \"route\"\ninputs = [\"rows\"]\n[transforms.split.route]\n\
        nya = '.Index == \"NYA\"'\nnull = '.Close == null'\nunread = 'true'\n";
    let (env, outcome) = run(&[ROWS, route, &file("nya", "split.nya"), &file("null", "split.null")]);
    outcome.assert_code(0);
    assert_eq!(env.read("nya.jsonl"), "NYA,1.50\nNYA,\n");
    assert_eq!(env.read("null.jsonl"), "NYA,\n");
    assert_eq!((count(&outcome, "split", "records_in"), count(&outcome, "split", "records_out")), (3, 3));
    let route = route.replace("unread = 'true'\n", "");
    let (env, outcome) = run(&[ROWS, &route, &file("rest", "split._unmatched")]);
    outcome.assert_code(0);
    assert_eq!(env.read("rest.jsonl"), "IXIC,2\n");
    assert_eq!(count(&outcome, "split", "filtered"), 2, "the outputs `nya` and `null` are not read");
}

#[test]
fn error_of_a_program_is_shown_at_its_place_in_the_pipeline_file() {
    let outcome = validate(&remap("source = '''\n.a = 1\n.b = upcas(.a)\n'''"));
    outcome.assert_code(78);
    let expected = "\
error: `source`: call to undefined function (VRL E105)
 --> p.toml:9:6
  |
9 | .b = upcas(.a)
  |      ^^^^^
  |      |
";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("did you mean \"upcase\"?"), "{}", outcome.stderr);
    // With escapes the place is the same.
    let outcome = validate(&remap("source = \".a = \\\"\\u00e9\\\"; .b = upcas(.a)\""));
    outcome.assert_code(78).assert_says(&["p.toml:7:33"]);
}

#[test]
fn error_of_a_program_in_a_file_is_shown_in_that_file() {
    let outcome = validate(&remap("file = \"shape.vrl\""));
    outcome.assert_code(78).assert_says(&["--> shape.vrl:", "`transforms.shape` (remap)"]);
}

#[test]
fn warning_of_a_program_is_shown_and_the_file_is_valid() {
    let pipeline = remap("source = '''\n1\n.a = 2\n'''");
    let outcome = validate(&pipeline);
    outcome.assert_code(0).assert_says(&[
        "warning: `source`: unused",
        "--> p.toml:8:1",
        "p.toml has 1 warning",
    ]);
    let (_, outcome) = run(&[&pipeline]);
    outcome.assert_code(0).assert_says(&["warning: `source`: unused"]);

    let env = TestEnv::new();
    let test = |name: &str| {
        format!(
            "[[tests]]\nname = \"{name}\"\n[[tests.inputs]]\nat = \"rows\"\nrecords = ['{{}}']\n\
             [[tests.outputs]]\nat = \"shape\"\nrecords = ['{{\"a\":2}}']\n"
        )
    };
    env.write("p.toml", pipeline + &test("once") + &test("twice"));
    let outcome = env.run(["test", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(outcome.stderr.matches("warning: `source`: unused").count(), 1, "{}", outcome.stderr);
}

#[test]
fn condition_that_is_not_a_boolean_is_an_error() {
    let filter = "[transforms.shape]\ntype = \"filter\"\ninputs = [\"rows\"]\ncondition = '1 + 1'\n";
    let outcome = validate(&[ROWS, filter, &file("out", "shape")].concat());
    outcome
        .assert_code(78)
        .assert_says(&["`condition`: the condition gives integer, not a boolean", "p.toml:7:14"]);
}

#[test]
fn input_must_name_an_output_that_exists() {
    let route = "[transforms.split]\ntype = \"route\"\ninputs = [\"rows\"]\nroute = { nya = 'true' }\n";
    let errors = |input: &str| {
        validate(&[ROWS, route, &file("out", input), &file("rest", "split._unmatched")].concat())
    };
    errors("split")
        .assert_code(78)
        .assert_says(&["`split` has several outputs", "split.nya, split._unmatched"]);
    errors("split.nyse").assert_code(78).assert_says(&["`split` has no output `nyse`", "\"split.nya\""]);
    errors("rows.nya").assert_code(78).assert_says(&["`rows` has no outputs with names"]);
    errors("split.nya").assert_code(0);
}

#[test]
fn program_that_grows_without_bound_rejects_the_record() {
    let shape = "[transforms.shape]\ntype = \"remap\"\ninputs = [\"rows\"]\nsource = '''\ns = \"0123456789\"\nn = range!(0, 100)\nfor_each(n) -> |_, _| { s = s + s }\n. = s\n'''\n";
    let (_, outcome) = run(&[ROWS, shape, &file("out", "shape"), LETTERS]);
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "shape", "rejected"), 3);
}

#[test]
fn program_that_would_keep_the_compiler_busy_is_refused() {
    // The type of `a` doubles with each line.
    let lines = "a = {\"x\": a, \"y\": a}\n".repeat(40);
    let remap = format!(
        "[transforms.t]\ntype = \"remap\"\ninputs = [\"rows\"]\nsource = '''\na = {{}}\n{lines}. = a\n'''\n"
    );
    let outcome = validate(&[ROWS, &remap, &file("out", "t")].concat());
    outcome.assert_code(78).assert_says(&["p.toml:7:10", "the program is too complex"]);
}
