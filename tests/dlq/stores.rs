//! `dlq list`, `show` and `replay` on dead letters in a topic and in a bucket.

use std::time::Duration;

use nix::sys::signal::Signal;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use super::{CSV, JSON, assert_stored, key, small_batches};
use crate::support::kafka::Broker;
use crate::support::s3::{Response, S3};
use crate::support::{Outcome, SOON, TestEnv, wait_until};

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

#[needs(kafka)]
#[test]
fn letters_in_topic_are_listed_shown_and_replayed() {
    let (server, env, topic) = in_topic(Broker::shared());
    env.run(["dlq", "list", "--pipeline", "p.toml"]).assert_code(0).assert_says(&["has no dead letters"]);
    reject(&server, &env, [3, 7]);
    let listed = list(&env);
    listed.assert_code(0);
    assert!(listed.stdout.contains("exists with other content"), "{}", listed.stdout);
    // The letters of two batches are in any order.
    let show = |number: &str| env.run(["dlq", "show", "--pipeline", "p.toml", number]);
    let (of_3, of_7) = if show("1").stdout.contains("entry      3 of") { ("1", "2") } else { ("2", "1") };
    let shown = show(of_7);
    shown.assert_code(0);
    assert!(shown.stdout.contains("entry      7 of"), "{}", shown.stdout);
    let body =
        env.command(["dlq", "show", "--pipeline", "p.toml", of_3, "--body"]).output().expect("the binary");
    assert_eq!(body.stdout, b"{\"n\":3}");
    show("9").assert_code(1).assert_says(&[&topic, "no dead letter 9"]);

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

#[needs(kafka)]
#[test]
fn letters_in_topic_that_cannot_be_read_stay_as_they_are() {
    let broker = Broker::shared();
    let (server, env, topic) = in_topic(broker);
    reject(&server, &env, [3]);
    let letter = broker.read_all(&topic)[0].text().to_owned();
    let newer = letter.replace("\"version\":1", "\"version\":2");
    let foreign = newer.replace(&format!("\"pipeline\":\"{topic}\""), "\"pipeline\":\"q\"");
    let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some("v") });
    let nonsense = BaseRecord::<[u8], [u8]>::to(&topic).partition(0).key(b"k").payload(b"\xffnonsense");
    broker.produce_record(nonsense.headers(headers));
    broker.produce(&topic, 0, [&newer, &foreign]);
    replay(&env).assert_code(0).assert_says(&[
        "3 dead letters cannot be replayed",
        "version 2",
        "1 of 1 dead letters delivered and removed",
    ]);
    let kept = list(&env);
    kept.assert_code(1).assert_says(&["version 2", "not a dead letter"]);
    let stored = broker.read_all(&topic);
    let again: Vec<_> = stored.iter().filter(|it| it.payload.as_deref() == Some(b"\xffnonsense")).collect();
    assert_eq!(again.len(), 2);
    assert!(
        again.iter().all(|it| it.key.as_deref() == Some(b"k") && it.header("h") == Some("v")),
        "{again:?}"
    );
    let n_stored =
        |text: &str| stored.iter().filter(|it| it.payload.as_deref() == Some(text.as_bytes())).count();
    assert_eq!(
        (n_stored(&newer), n_stored(&foreign)),
        (2, 1),
        "that of another pipeline is read where it is"
    );
}

#[needs(kafka)]
#[test]
fn compacted_topic_is_refused_for_letters() {
    let broker = Broker::shared();
    let topic = broker.create_topic_with("rejected", "cleanup.policy", "compact");
    let at = broker.bootstrap();
    let sink = format!("type = \"kafka\"\nbootstrap_servers = \"{at}\"\ntopic = \"{topic}\"\n");
    let (server, env) = lake(&sink);
    env.run(["run", "p.toml"]).assert_code(1).assert_says(&["is compacted", "cleanup.policy=delete"]);
    assert_eq!(server.count("lake"), 0);
}

#[needs(kafka)]
#[test]
fn letters_in_topic_that_retention_has_deleted_are_reported() {
    let broker = Broker::shared();
    let (server, env, topic) = in_topic(broker);
    broker.create_topic_named(&topic, 1);
    reject(&server, &env, [3]);
    let letter = broker.read_all(&topic)[0].text().to_owned();
    replay(&env).assert_code(0);
    let other = |n: u64| letter.replace("\"offset\":3", &format!("\"offset\":{n}"));
    broker.produce(&topic, 0, (100..110).map(other));
    broker.delete_records(&topic, 0, 7);
    let lost =
        ["up to 6 dead letters (offsets 1 to 6) were deleted before they were replayed", "partition 0"];
    list(&env).assert_code(0).assert_says(&lost);
    replay(&env)
        .assert_code(0)
        .assert_says(&lost)
        .assert_says(&["4 of 4 dead letters delivered and removed"]);
    let listed = list(&env);
    assert!(!listed.stderr.contains("were deleted"), "{}", listed.stderr);
    assert_stored(&server, 0..ROWS);
}

#[needs(kafka)]
#[test]
fn letter_of_the_largest_record_fits_or_the_error_names_the_limit() {
    let broker = Broker::shared();
    let (topic, dead) = (broker.create_topic("large", 1), broker.name("dead"));
    let env = TestEnv::new();
    let pipeline = |dead: &str| {
        let at = broker.bootstrap();
        let server = format!("type = \"kafka\"\nbootstrap_servers = \"{at}\"\n");
        format!(
            "[sources.a]\n{server}topics = [\"{topic}\"]\ngroup_id = \"{dead}\"\nstop = \"at_end\"\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"a\"]\n\
             [sinks.o]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n\
             [dead_letter]\n{server}topic = \"{dead}\"\n"
        )
    };
    let fill = [b'\xff', 1, b'"', b'x'].map(|byte| vec![byte; 900_000]);
    // One after another: together they would be too large for a request of the test.
    for body in &fill {
        broker.produce(&topic, 0, [body]);
    }
    env.write("p.toml", pipeline(&dead));
    env.run(["run", "p.toml"]).assert_code(0);
    assert_eq!(broker.setting(&dead, "max.message.bytes"), "100000000");
    list(&env).assert_code(0);
    for (number, bytes) in (1..).zip(&fill) {
        let number = number.to_string();
        let body = env.command(["dlq", "show", "--pipeline", "p.toml", &number, "--body"]).output();
        assert!(body.expect("the binary").stdout == *bytes, "letter {number}");
    }

    let small = broker.create_topic_with("small", "max.message.bytes", "1048588");
    env.write("p.toml", pipeline(&small));
    let outcome = env.run(["run", "p.toml"]);
    assert_ne!(outcome.code(), 0, "{}", outcome.stderr);
    outcome.assert_says(&["the dead letter has 12", &small, "--add-config max.message.bytes="]);
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
}
