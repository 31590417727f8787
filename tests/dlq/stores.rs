//! `dlq list`, `show` and `replay` on dead letters in a topic and in a bucket.

use std::time::Duration;

use nix::sys::signal::Signal;
use runner_needs::needs;

use super::{CSV, JSON, SOON, letters, small_batches};
use crate::support::kafka::Broker;
use crate::support::s3::{Response, S3};
use crate::support::{Outcome, TestEnv, wait_until};

const ROWS: usize = 20;

/// Numbered rows that the bucket rejects, since it has other objects of their names.
fn lake(dead_letter: &str) -> (S3, TestEnv) {
    let server = S3::start();
    server.create_bucket("lake");
    server.create_bucket("dead");
    let sink = "[sinks.lake]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"lake\"\n\
                key = \"rows/{{ entry }}.json\"\nconcurrency = 2\n";
    let mut env = TestEnv::new();
    env.write("p.toml", [CSV, JSON, sink, "[dead_letter]\n", dead_letter].concat());
    let rows: String = (0..ROWS).map(|row| format!("{row}\n")).collect();
    env.write("rows.csv", format!("n\n{rows}"));
    server.configure(&mut env);
    small_batches(&env);
    (server, env)
}

fn in_topic(broker: &Broker) -> (S3, TestEnv, String) {
    let topic = broker.name("rejected");
    let at = broker.bootstrap();
    let sink = format!("type = \"kafka\"\nbootstrap_servers = \"{at}\"\ntopic = \"{topic}\"\n");
    let (server, env) = lake(&sink);
    // The groups of the replays are named after the pipelines.
    env.write("p.toml", format!("name = \"{topic}\"\n{}", env.read("p.toml")));
    (server, env, topic)
}

const IN_BUCKET: &str = "type = \"s3\"\nbucket = \"dead\"\n\
                         key = \"letters/{{ key }}/{{ topic }}/{{ partition }}-{{ offset }}.json\"\n";

fn key(entry: usize) -> String {
    format!("rows/{entry}.json")
}

/// Runs while these rows are rejected.
fn reject(server: &S3, env: &TestEnv, entries: impl IntoIterator<Item = usize> + Clone) {
    entries.clone().into_iter().for_each(|entry| server.put("lake", &key(entry), "something else"));
    env.run(["run", "p.toml"]).assert_code(0);
    entries.into_iter().for_each(|entry| server.remove("lake", &key(entry)));
}

fn list(env: &TestEnv) -> Outcome {
    env.run(["dlq", "list", "--pipeline", "p.toml"])
}

fn replay(env: &TestEnv) -> Outcome {
    env.run(["dlq", "replay", "--pipeline", "p.toml"])
}

#[track_caller]
fn assert_stored(server: &S3, entries: impl IntoIterator<Item = usize>) {
    for entry in entries {
        assert_eq!(server.read("lake", &key(entry)), format!("{{\"n\":{entry}}}"));
    }
}

#[needs(kafka)]
#[test]
fn letters_in_topic_are_listed_shown_and_replayed() {
    let (server, env, topic) = in_topic(Broker::shared());
    env.run(["dlq", "list", "--pipeline", "p.toml"]).assert_code(0).assert_says(&["has no dead letters"]);
    reject(&server, &env, [3, 7]);
    let listed = list(&env);
    listed.assert_code(0);
    assert!(listed.stdout.contains("exists with other content"), "{}", listed.stdout);
    let shown = env.run(["dlq", "show", "--pipeline", "p.toml", "2"]);
    shown.assert_code(0);
    assert!(shown.stdout.contains("entry      7 of"), "{}", shown.stdout);
    let body =
        env.command(["dlq", "show", "--pipeline", "p.toml", "1", "--body"]).output().expect("the binary");
    assert_eq!(body.stdout, b"{\"n\":3}");
    env.run(["dlq", "show", "--pipeline", "p.toml", "9"])
        .assert_code(1)
        .assert_says(&[&topic, "no dead letter 9"]);

    replay(&env).assert_code(0).assert_says(&["2 of 2 dead letters delivered and removed"]);
    assert_stored(&server, 0..ROWS);
    list(&env).assert_code(0).assert_says(&[&topic, "has no dead letters"]);
    replay(&env).assert_code(0).assert_says(&["no dead letters to replay"]);
}

#[needs(kafka)]
#[test]
fn letters_in_topic_that_are_rejected_again_or_not_replayable_stay() {
    let broker = Broker::shared();
    let (server, env, topic) = in_topic(broker);
    // The source rejects the first row, another pipeline has written to the topic, and one record is not a letter.
    env.write("rows.csv", env.read("rows.csv").replacen("0\n", "0,0\n", 1));
    reject(&server, &env, [3, 7]);
    let other =
        broker.read_all(&topic)[1].text().replace(&format!("\"pipeline\":\"{topic}\""), "\"pipeline\":\"q\"");
    broker.produce(&topic, 0, [&*other, "nonsense"]);
    server.put("lake", &key(7), "something else");
    let told = replay(&env);
    told.assert_code(0).assert_says(&[
        "rejected by source `rows`",
        "belongs to pipeline `q`",
        "not a dead letter",
        "1 of 2 dead letters delivered and removed, 1 rejected again and kept",
    ]);
    assert_stored(&server, [3]);
    server.remove("lake", &key(7));
    let listed = list(&env).stdout;
    assert!(
        listed.contains("rows.csv:2:3") && listed.contains("rows/7.json") && !listed.contains("rows/3"),
        "{listed}"
    );
    replay(&env).assert_code(0).assert_says(&["1 of 1 dead letters delivered and removed"]);
    assert_stored(&server, 1..ROWS);
    let listed = list(&env).stdout;
    assert!(listed.contains("rows.csv:2:3") && !listed.contains("rows/7"), "{listed}");
}

/// Kills a replay after its first deliveries; what it has not removed is delivered by the next one.
fn kill_and_replay(server: &S3, env: &TestEnv) {
    reject(server, env, 0..ROWS);
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_millis(150)),
        _ => Response::Normal,
    });
    let running = env.start(["dlq", "replay", "--pipeline", "p.toml"]);
    wait_until("the first objects", SOON, || server.count("lake") > 5);
    running.signal(Signal::SIGKILL);
    drop(running);
    server.respond_with(|_| Response::Normal);
    replay(env).assert_code(0);
    assert_stored(server, 0..ROWS);
    assert_eq!(server.count("lake"), ROWS);
    list(env).assert_code(0).assert_says(&["has no dead letters"]);
}

#[needs(kafka)]
#[test]
fn killed_replay_of_letters_in_topic_is_completed_by_next_one() {
    let (server, env, _) = in_topic(Broker::shared());
    kill_and_replay(&server, &env);
}

#[needs(kafka)]
#[test]
fn second_replay_of_letters_in_topic_is_refused_while_the_first_runs() {
    let (server, env, _) = in_topic(Broker::shared());
    reject(&server, &env, 0..ROWS);
    let n_before = server.requests("PutObject");
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_secs(3)),
        _ => Response::Normal,
    });
    let first = env.start(["dlq", "replay", "--pipeline", "p.toml"]);
    wait_until("the first object", SOON, || server.count("lake") > 0);
    replay(&env).assert_code(1).assert_says(&["another replay delivers the letters", "wait until it ends"]);
    server.respond_with(|_| Response::Normal);
    first.wait(SOON).assert_code(0).assert_says(&["20 of 20 dead letters delivered and removed"]);
    assert_stored(&server, 0..ROWS);
    assert_eq!(server.requests("PutObject") - n_before, ROWS + 1, "the condition is tried once");
    replay(&env).assert_code(0).assert_says(&["no dead letters to replay"]);
}

#[test]
fn killed_replay_of_letters_in_bucket_is_completed_by_next_one() {
    let (server, env) = lake(IN_BUCKET);
    kill_and_replay(&server, &env);
    assert_eq!(server.count("dead"), 0);
}

#[test]
fn letters_in_bucket_are_listed_replayed_and_deleted() {
    let (server, env) = lake(IN_BUCKET);
    reject(&server, &env, [3, 7]);
    assert_eq!(server.count("dead"), 2);
    let listed = list(&env);
    listed.assert_code(0);
    assert!(listed.stdout.contains("exists with other content"), "{}", listed.stdout);
    let body =
        env.command(["dlq", "show", "--pipeline", "p.toml", "1", "--body"]).output().expect("the binary");
    assert_eq!(body.stdout, b"{\"n\":3}");

    server.put("lake", &key(7), "something else");
    let told = replay(&env);
    told.assert_code(0)
        .assert_says(&["1 of 2 dead letters delivered and removed, 1 rejected again and kept"]);
    assert_eq!(server.count("dead"), 1);
    server.remove("lake", &key(7));
    replay(&env).assert_code(0).assert_says(&["1 of 1 dead letters delivered and removed"]);
    assert_stored(&server, 0..ROWS);
    assert_eq!(server.count("dead"), 0);
    list(&env).assert_code(0).assert_says(&["s3://dead/letters/", "has no dead letters"]);
}

#[test]
fn pipeline_without_stored_letters_is_refused() {
    let (_server, env) = lake("type = \"file\"\npath = \"dead.jsonl\"\n");
    list(&env).assert_code(1).assert_says(&["neither in a topic nor in a bucket: name their files"]);
    env.run(["dlq", "list"]).assert_code(2);
    env.run(["dlq", "show", "dead.jsonl", "first"]).assert_code(2).assert_says(&["by their numbers"]);
    assert_eq!(letters("").len(), 0);
}
