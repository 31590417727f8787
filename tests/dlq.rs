//! Dead letters: envelopes, `dlq list`, `dlq show` and `dlq replay`.

mod envelopes;
mod stores;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::s3::{Response, S3};
use crate::support::{Outcome, SOON, TestEnv, wait_until};

const FILE: &str = "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n";

const CSV: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
const JSON: &str = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n";

fn out(input: &str) -> String {
    format!("[sinks.out]\ntype = \"file\"\ninputs = [\"{input}\"]\npath = \"out.jsonl\"\n")
}

/// A test environment with the file `p.toml`.
fn env(pipeline: impl AsRef<[u8]>) -> TestEnv {
    let env = TestEnv::new();
    env.write("p.toml", pipeline);
    env
}

fn run(env: &TestEnv) -> Outcome {
    env.run(["run", "p.toml"])
}

fn replay(env: &TestEnv) -> Outcome {
    env.run(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml"])
}

fn only(env: &TestEnv) -> Value {
    let mut letters = env.json_lines("dead.jsonl");
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters.remove(0)
}

/// Fails the test unless the letter has this component, reason, origin and body.
#[track_caller]
fn assert_says(letter: &Value, component: &str, reason: &str, origin: &Value, body: &str) {
    assert_eq!(letter["version"], 1);
    assert_eq!(letter["pipeline"], "p");
    assert_eq!(letter["component"], component, "{letter}");
    assert!(letter["reason"].as_str().expect("a reason").contains(reason), "{letter}");
    assert_eq!(&letter["origin"], origin, "{letter}");
    assert_eq!(letter["body"], body, "{letter}");
    assert!(letter["time"].as_str().expect("a time").ends_with('Z'), "{letter}");
}

#[test]
fn letters_about_one_record_are_counted_and_delivered_once() {
    let env = env([CSV, &out("rows"), FILE].concat());
    env.write("rows.csv", "a,b\n1,x\n2,\"y\nz\"\n3,\"v\nw\"\n");
    run(&env).assert_code(0);
    let letters = env.read("dead.jsonl");
    assert_eq!(letters.lines().count(), 2);
    let later = letters.replace("\"time\":\"2", "\"time\":\"3");
    env.write("dead.jsonl", [&*letters, &later, &later].concat());
    let listed = env.run(["dlq", "list", "dead.jsonl"]);
    listed.assert_code(0);
    assert!(listed.stdout.contains("4  repeat one of these"), "{}", listed.stdout);
    assert!(listed.stdout.contains("2  out: "), "{}", listed.stdout);
    env.write("p.toml", [CSV, JSON, &out("json"), FILE].concat());
    env.write("out.jsonl", "");
    let told = env.run(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml", "--into", "json"]);
    told.assert_code(0).assert_says(&[
        "dead letters that repeat another one: 4;",
        "2 of 2 dead letters delivered and removed, 4 that repeat others removed",
    ]);
    assert_eq!(env.read("out.jsonl"), "{\"a\":2,\"b\":\"y\\nz\"}\n{\"a\":3,\"b\":\"v\\nw\"}\n");
    assert_eq!(env.read("dead.jsonl"), "");
}

#[test]
fn dlq_replay_into_named_component_delivers_row() {
    let env = env([CSV, &out("rows"), FILE].concat());
    env.write("rows.csv", "a,b\n1,x\n2,\"y\nz\"\n");
    run(&env).assert_code(0);
    let letter = only(&env);
    let origin = json!({ "stream": "rows.csv", "lane": 0, "offset": 1 });
    assert_says(&letter, "out", "line break at byte 4", &origin, "2,\"y\nz\"");
    env.write("p.toml", [CSV, JSON, &out("json"), FILE].concat());
    replay(&env).assert_code(0).assert_says(&["0 of 1 dead letters delivered", "1 rejected again"]);
    let into = |name: &str| env.run(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml", "--into", name]);
    into("nowhere").assert_code(2).assert_says(&["no transform or sink of that name", "json, out"]);
    into("json").assert_code(0);
    assert_eq!(env.read("out.jsonl"), "1,x\n{\"a\":2,\"b\":\"y\\nz\"}\n");
    assert_eq!(env.read("dead.jsonl"), "");
}

/// Numbered CSV rows, and a pipeline that stores them in the bucket `lake`.
fn lake(n_rows: usize, options: &str) -> (S3, TestEnv) {
    let server = S3::start();
    server.create_bucket("lake");
    let sink = format!(
        "[sinks.lake]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"lake\"\n\
         key = \"rows/{{{{ entry }}}}.json\"\n{options}\n"
    );
    let mut env = env([CSV, JSON, &sink, FILE].concat());
    let rows: String = (0..n_rows).map(|row| format!("{row}\n")).collect();
    env.write("rows.csv", format!("n\n{rows}"));
    server.configure(&mut env);
    (server, env)
}

fn key(entry: usize) -> String {
    format!("rows/{entry}.json")
}

/// Stores other objects under the keys of the rows, runs until all rows are rejected, and removes the objects.
fn reject_all(server: &S3, env: &TestEnv, n_rows: usize) {
    (0..n_rows).for_each(|entry| server.put("lake", &key(entry), "something else"));
    run(env).assert_code(0);
    (0..n_rows).for_each(|entry| server.remove("lake", &key(entry)));
}

/// A replay removes whole batches from the file, and a stop releases those that wait.
fn small_batches(env: &TestEnv) {
    env.write("p.toml", format!("batch.max_records = 2\n{}", env.read("p.toml")));
}

#[track_caller]
fn assert_stored(server: &S3, entries: impl IntoIterator<Item = usize>) {
    for entry in entries {
        assert_eq!(server.read("lake", &key(entry)), format!("{{\"n\":{entry}}}"));
    }
}

#[test]
fn dlq_replay_stores_s3_object_under_same_key() {
    let (server, env) = lake(3, "");
    server.put("lake", &key(1), "something else");
    run(&env).assert_code(0);
    let letter = only(&env);
    let origin = json!({ "stream": "rows.csv", "lane": 0, "offset": 1 });
    assert_says(&letter, "lake", "s3://lake/rows/1.json exists with other content", &origin, "{\"n\":1}");
    assert_eq!((&letter["entry"], &letter["source"]), (&json!(1), &json!("p/rows")));

    let again = replay(&env);
    again.assert_code(0).assert_says(&["0 of 1 dead letters delivered", "1 rejected again"]);
    let kept = only(&env);
    assert_ne!(kept["time"], letter["time"], "the letter must have the time of the last rejection");
    assert_eq!((&kept["body"], &kept["entry"]), (&letter["body"], &letter["entry"]));

    server.remove("lake", &key(1));
    replay(&env).assert_code(0).assert_says(&["1 of 1 dead letters delivered and removed"]);
    assert_stored(&server, 0..3);
    assert_eq!((server.count("lake"), env.read("dead.jsonl")), (3, String::new()));
    let n_puts = server.requests("PutObject");
    replay(&env).assert_code(0).assert_says(&["no dead letters to replay"]);
    assert_eq!(server.requests("PutObject"), n_puts);
}

#[test]
fn dlq_replay_skips_branch_that_stored_the_record() {
    let (server, env) = lake(3, "");
    env.write("p.toml", env.read("p.toml") + out("json").as_str());
    server.put("lake", &key(2), "something else");
    run(&env).assert_code(0);
    server.remove("lake", &key(2));
    replay(&env).assert_code(0);
    assert_stored(&server, 0..3);
    assert_eq!(env.lines("out.jsonl").len(), 3);
}

#[test]
fn killed_dlq_replay_is_completed_by_next_one() {
    const ROWS: usize = 60;
    let (server, env) = lake(ROWS, "concurrency = 2");
    small_batches(&env);
    reject_all(&server, &env, ROWS);
    assert_eq!(env.lines("dead.jsonl").len(), ROWS);
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_millis(100)),
        _ => Response::Normal,
    });
    let running = env.start(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml"]);
    wait_until("the first letters to be removed from the file", SOON, || {
        env.lines("dead.jsonl").len() < ROWS
    });
    running.signal(Signal::SIGKILL);
    drop(running);
    server.respond_with(|_| Response::Normal);

    let left = env.json_lines("dead.jsonl");
    assert!(!left.is_empty(), "the replay completed before the kill");
    let is_left = |entry: usize| left.iter().any(|letter| letter["entry"] == entry);
    assert_stored(&server, (0..ROWS).filter(|entry| !is_left(*entry)));
    replay(&env).assert_code(0);
    assert_stored(&server, 0..ROWS);
    assert_eq!((server.count("lake"), env.read("dead.jsonl")), (ROWS, String::new()));
}

#[test]
fn stopped_dlq_replay_keeps_undelivered_letters() {
    const ROWS: usize = 60;
    let (server, env) = lake(ROWS, "concurrency = 2");
    small_batches(&env);
    reject_all(&server, &env, ROWS);
    let n_requests = server.requests("PutObject");
    server.respond_with(move |request| match request.operation {
        "PutObject" if request.n_before > n_requests + 10 => Response::Error("SlowDown"),
        _ => Response::Normal,
    });
    let running = env.start(["dlq", "replay", "dead.jsonl", "--pipeline", "p.toml"]);
    wait_until("an error of the server", SOON, || running.has_logged("SlowDown"));
    running.stop().assert_says(&["dead letters delivered and removed"]);
    let n_left = env.lines("dead.jsonl").len();
    assert!(n_left >= ROWS - server.count("lake") && n_left > 0, "{n_left} left");
    server.respond_with(|_| Response::Normal);
    replay(&env).assert_code(0);
    assert_stored(&server, 0..ROWS);
    assert_eq!((server.count("lake"), env.read("dead.jsonl")), (ROWS, String::new()));
}

#[test]
fn dlq_replay_of_file_in_use_is_refused() {
    let (server, env) = lake(1, "");
    reject_all(&server, &env, 1);
    let pace = "[transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 1\nper = \"1h\"\n";
    env.write("q.toml", [CSV, pace, &out("pace"), FILE].concat());
    env.write("rows.csv", "n\n1\n2\n");
    let running = env.start(["run", "q.toml"]);
    wait_until("the first row", SOON, || !env.lines("out.jsonl").is_empty());
    replay(&env).assert_code(1).assert_says(&["dead.jsonl is in use by a run or another replay"]);
    running.stop();
    replay(&env).assert_code(0);
    assert_stored(&server, [0]);
}

#[test]
fn dlq_replay_keeps_compression_and_other_pipelines_letters() {
    let (server, env) = lake(3, "");
    env.write("p.toml", env.read("p.toml").replace("dead.jsonl", "dead.jsonl.gz"));
    reject_all(&server, &env, 2);
    env.write("other.toml", env.read("p.toml"));
    let replayed = |pipeline: &str| env.run(["dlq", "replay", "dead.jsonl.gz", "--pipeline", pipeline]);
    let other = replayed("other.toml");
    other.assert_code(1).assert_says(&["dead.jsonl.gz:2: it belongs to pipeline `p`, not to `other`"]);
    replayed("p.toml").assert_code(0);
    assert_stored(&server, 0..3);
    env.run(["dlq", "list", "dead.jsonl.gz"]).assert_code(0).assert_says(&["has no dead letters"]);
}

#[test]
fn dlq_list_of_another_file_shows_the_first_errors_only() {
    let env = TestEnv::new();
    env.write("rows.csv", "1\n".repeat(500));
    let listed = env.run(["dlq", "list", "rows.csv"]);
    listed.assert_code(1).assert_says(&[
        "rows.csv:1",
        "expected a JSON object",
        "490 more lines are not dead letters",
        "rows.csv has no dead letters that this version can read",
    ]);
    assert!(listed.stderr.lines().count() < 50, "{}", listed.stderr);
}

#[test]
fn dlq_list_counts_reasons_and_show_prints_body() {
    let env = env([CSV, JSON, &out("json"), FILE].concat());
    env.write("rows.csv", b"a,b\n1,x\n2\n3,y\n4\n5,\xff\n");
    run(&env).assert_code(0);
    let listed = env.run(["dlq", "list", "dead.jsonl"]);
    listed.assert_code(0);
    for part in
        ["rows.csv/0/3", "rows.csv:3:2: too few cells", "2  rows: rows.csv:N:N: too few cells", "not UTF-8"]
    {
        assert!(listed.stdout.contains(part), "no {part:?} in\n{}", listed.stdout);
    }
    let shown = env.run(["dlq", "show", "dead.jsonl", "2"]);
    shown.assert_code(0);
    for part in ["component  rows of pipeline p", "entry      3 of p/rows", "body       1 bytes\n    4\n"] {
        assert!(shown.stdout.contains(part), "no {part:?} in\n{}", shown.stdout);
    }
    let body = env.command(["dlq", "show", "dead.jsonl", "3", "--body"]).output().expect("the binary");
    assert_eq!(body.stdout, b"5,\xff");
    env.run(["dlq", "show", "dead.jsonl", "--body"]).assert_code(2).assert_says(&["--body needs the NUMBER"]);
    env.run(["dlq", "show", "dead.jsonl", "9"]).assert_code(1).assert_says(&["no dead letter 9"]);
    env.run(["dlq", "list", "nowhere"]).assert_code(1).assert_says(&["nowhere"]);
    env.run(["dlq", "list", "rows.csv"]).assert_code(1).assert_says(&["rows.csv:1", "no dead letter"]);
}
