//! The envelopes of each plugin, and the sinks that accept dead letters.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use runner_needs::needs;
use serde_json::{Value, json};

use super::{CSV, FILE, JSON, assert_says, env, lake, only, out, replay, run};
use crate::support::kafka::Broker;
use crate::support::{Api, Outcome, TestEnv};

const LINES: &str = "[sources.lines]\ntype = \"http\"\nendpoint = \"${API}\"\ncodec = \"ndjson\"\n";

#[test]
fn csv_letter_has_row_position_and_is_not_replayable() {
    let env = env([CSV, JSON, &out("json"), FILE].concat());
    env.write("rows.csv", b"a,b\n1,x\n2\n3,\xff\n");
    run(&env).assert_code(0);
    let text = env.read("dead.jsonl");
    let found = env.json_lines("dead.jsonl");
    let origin = |offset| json!({ "stream": "rows.csv", "lane": 0, "offset": offset });
    assert_says(&found[0], "rows", "rows.csv:3:2: too few cells", &origin(1), "2");
    assert_eq!((&found[0]["entry"], &found[0]["source"]), (&json!(1), &json!("p/rows")));
    assert_eq!((&found[1]["body_base64"], &found[1]["body"]), (&json!("Myz/"), &Value::Null), "3,\\xFF");

    let told = replay(&env);
    told.assert_code(1).assert_says(&[
        "2 dead letters cannot be replayed and stay in their files",
        "dead.jsonl:1: rejected by source `rows`: rows.csv:3:2: too few cells",
        "no dead letters to replay",
    ]);
    assert_eq!(env.read("dead.jsonl"), text);
    assert_eq!(env.lines("out.jsonl").len(), 1);
}

#[test]
fn first_bad_record_without_dead_letters_ends_run_with_position() {
    let env = env([CSV, JSON, &out("json")].concat());
    env.write("rows.csv", "a,b\n1,x\n2\n");
    run(&env).assert_code(65).assert_says(&["`rows` failed", "entry 1 from rows.csv/0/1", "rows.csv:3:2"]);
}

#[test]
fn http_letter_names_item_that_is_not_json() {
    let api = Api::start("{\"a\":1}\nnonsense\n");
    let mut env = env([LINES, &out("lines"), FILE].concat());
    env.set("API", api.url());
    run(&env).assert_code(0);
    let letter = only(&env);
    let origin = &letter["origin"].clone();
    assert_says(&letter, "lines", "line 2 of the response is not JSON", origin, "nonsense");
    assert_eq!(letter["entry"], 1);
}

/// A pipeline from one topic through `to_json` into another.
fn through_kafka(broker: &Broker, dead_letter: &str) -> (TestEnv, String, String) {
    let (from, to) = (broker.create_topic("from", 1), broker.create_topic("to", 1));
    let (at, group) = (broker.bootstrap(), broker.name("group"));
    let pipeline = format!(
        "[sources.rows]\ntype = \"kafka\"\nbootstrap_servers = \"{at}\"\ntopics = [\"{from}\"]\n\
         group_id = \"{group}\"\nstop = \"at_end\"\n{JSON}\
         [sinks.topic]\ntype = \"kafka\"\ninputs = [\"json\"]\nbootstrap_servers = \"{at}\"\n\
         topic = \"{to}\"\n{dead_letter}"
    );
    (env(pipeline), from, to)
}

#[needs(kafka)]
#[test]
fn to_json_letter_replays_with_key_headers_and_timestamp() {
    let broker = Broker::shared();
    let (env, from, to) = through_kafka(broker, FILE);
    let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(&b"\xfe"[..]) });
    let record = BaseRecord::to(&from).payload(&b"\xff\x00"[..]).key(&b"NYA"[..]).headers(headers);
    broker.produce_record(record.timestamp(1_700_000_000_000));
    run(&env).assert_code(0);
    let letter = only(&env);
    assert_eq!(letter["component"], "json");
    assert_eq!(letter["origin"], json!({ "stream": from, "lane": 0, "offset": 0 }));
    assert_eq!((&letter["body_base64"], &letter["key"]), (&json!("/wA="), &json!("NYA")));
    assert_eq!(letter["timestamp"], 1_700_000_000_000_i64);

    let mended = env.read("p.toml").replace("type = \"to_json\"", "type = \"throttle\"\nrate = 1000");
    env.write("p.toml", mended);
    replay(&env).assert_code(0).assert_says(&["1 of 1 dead letters delivered"]);
    let stored = broker.read_all(&to);
    assert_eq!(stored.len(), 1);
    assert_eq!(
        (stored[0].payload.as_deref(), stored[0].key.as_deref()),
        (Some(&b"\xff\x00"[..]), Some(&b"NYA"[..]))
    );
    assert_eq!(stored[0].headers, [("trace".to_owned(), Some(b"\xfe".to_vec()))]);
    assert_eq!(stored[0].timestamp, Some(1_700_000_000_000));
}

#[needs(kafka)]
#[test]
fn kafka_letter_of_too_large_record_replays_once_with_entry() {
    let broker = Broker::shared();
    let topic = broker.name("small");
    let sink = format!(
        "[sinks.topic]\ntype = \"kafka\"\ninputs = [\"json\"]\nbootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n",
        broker.bootstrap()
    );
    let limit = "librdkafka_options = { \"message.max.bytes\" = \"1000\" }\n";
    let env = env([CSV, JSON, &sink, limit, FILE].concat());
    let long = "x".repeat(2000);
    env.write("rows.csv", format!("a\nshort\n{long}\nlast\n"));
    run(&env).assert_code(0);
    let origin = json!({ "stream": "rows.csv", "lane": 0, "offset": 1 });
    assert_says(&only(&env), "topic", "takes 1000 at most", &origin, &format!("{{\"a\":\"{long}\"}}"));

    env.write("p.toml", env.read("p.toml").replace(limit, ""));
    replay(&env).assert_code(0);
    replay(&env).assert_code(0);
    let mut entries: Vec<_> = broker
        .read_all(&topic)
        .iter()
        .filter_map(|it| it.header("runner-entry").map(str::to_owned))
        .collect();
    entries.sort_unstable();
    assert_eq!(entries, ["0", "1", "2"]);
}

/// A pipeline for numbers, every tenth without a key, from one topic into a compacted topic.
fn into_compacted(broker: &Broker, dead_letter: &str) -> (TestEnv, String) {
    let (from, to) =
        (broker.create_topic("from", 1), broker.create_topic_with("compacted", "cleanup.policy", "compact"));
    let bodies: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    broker.produce_records(bodies.iter().enumerate().map(|(n, body)| {
        let record = BaseRecord::to(&from).payload(body.as_bytes());
        if n % 10 == 3 { record } else { record.key(body.as_bytes()) }
    }));
    let (at, group) = (broker.bootstrap(), broker.name("group"));
    let pipeline = format!(
        "[sources.rows]\ntype = \"kafka\"\nbootstrap_servers = \"{at}\"\ntopics = [\"{from}\"]\n\
         group_id = \"{group}\"\nstop = \"at_end\"\n\
         [sinks.topic]\ntype = \"kafka\"\ninputs = [\"rows\"]\nbootstrap_servers = \"{at}\"\n\
         topic = \"{to}\"\n{dead_letter}"
    );
    (env(pipeline), to)
}

#[needs(kafka)]
#[test]
fn compacted_topic_rejects_keyless_records_and_stores_rest_once() {
    let broker = Broker::shared();
    let (env, to) = into_compacted(broker, FILE);
    run(&env).assert_code(0);
    let mut stored: Vec<u32> = broker.read_all(&to).iter().map(|it| it.text().parse().unwrap()).collect();
    stored.sort_unstable();
    assert_eq!(stored, (0..100).filter(|n| n % 10 != 3).collect::<Vec<_>>(), "each once");
    let letters = env.json_lines("dead.jsonl");
    let mut bodies: Vec<u32> =
        letters.iter().map(|it| it["body"].as_str().expect("text").parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..10).map(|n| n * 10 + 3).collect::<Vec<_>>());
    let reason = letters[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("a compacted topic requires one (`key_field`)"), "{reason}");
}

#[needs(kafka)]
#[test]
fn compacted_topic_error_names_record() {
    let broker = Broker::shared();
    let (env, _) = into_compacted(broker, "");
    run(&env).assert_code(65).assert_says(&["/0/3 is a bad record", "a compacted topic requires one"]);
    let (env, to) = into_compacted(broker, "delivery = \"exactly_once\"\n");
    let told = run(&env);
    told.assert_code(1).assert_says(&["rejects the record from", "/0/3", "a compacted topic requires one"]);
    assert_eq!(broker.read_all(&to), []);
}

#[test]
fn s3_letter_is_not_overwritten_by_letter_of_other_record() {
    let (server, env) = lake(0, "");
    let key = "letters/{{ key }}/{{ entry }}.json";
    let bucket = format!("[dead_letter]\ntype = \"s3\"\nbucket = \"lake\"\nkey = \"{key}\"\n");
    env.write("rows.csv", "a,b\n1,x\n2\n");
    env.write("p.toml", [CSV, JSON, &out("json"), &bucket].concat());
    run(&env).assert_code(0);
    let first = server.read("lake", "letters/rows/1.json");

    env.write("others.csv", "a,b\n1,x\n9\n");
    env.write("p.toml", env.read("p.toml").replace("rows.csv", "others.csv"));
    env.run(["run", "p.toml", "--from-start"]).assert_code(1).assert_says(&[
        "s3://lake/letters/rows/1.json is not overwritten",
        "rows.csv/0/1",
        "others.csv/0/1",
        "{{ topic }}",
    ]);
    assert_eq!(server.read("lake", "letters/rows/1.json"), first);

    env.write(
        "p.toml",
        env.read("p.toml").replace(key, "letters/{{ key }}/{{ topic }}/{{ partition }}-{{ offset }}"),
    );
    env.run(["run", "p.toml", "--from-start"]).assert_code(0);
    assert_eq!(server.keys("lake"), ["letters/rows/1.json", "letters/rows/others.csv/0-1"]);
}

/// Runs a pipeline with one bad row, whose dead letter goes to `dead_letter`.
fn reject_one(env: &TestEnv, dead_letter: &str) -> Outcome {
    env.write("rows.csv", "a,b\n1,x\n2\n");
    env.write("p.toml", [CSV, JSON, &out("json"), "[dead_letter]\n", dead_letter].concat());
    let outcome = env.run(["run", "p.toml", "--from-start"]);
    outcome.assert_code(0);
    outcome
}

#[track_caller]
fn assert_is_that_row(letter: &str) {
    let letter: Value = serde_json::from_str(letter).expect("an envelope");
    let origin = json!({ "stream": "rows.csv", "lane": 0, "offset": 1 });
    assert_says(&letter, "rows", "too few cells", &origin, "2");
}

#[test]
fn console_and_s3_sinks_accept_dead_letters() {
    let (server, env) = lake(0, "");
    assert_is_that_row(&reject_one(&env, "type = \"console\"").stdout);

    // The letter of a second rejection differs in its time only.
    for _ in 0..2 {
        let key = "letters/{{ key }}/{{ entry }}.json";
        reject_one(&env, &format!("type = \"s3\"\nbucket = \"lake\"\nkey = \"{key}\""));
    }
    assert_eq!(server.keys("lake"), ["letters/rows/1.json"]);
    assert_is_that_row(&server.read("lake", "letters/rows/1.json"));
}

#[needs(kafka)]
#[test]
fn kafka_sink_accepts_dead_letters() {
    let broker = Broker::shared();
    let (at, topic) = (broker.bootstrap(), broker.name("letters"));
    let env = TestEnv::new();
    reject_one(&env, &format!("type = \"kafka\"\nbootstrap_servers = \"{at}\"\ntopic = \"{topic}\""));
    let stored = broker.read_all(&topic);
    assert_eq!((stored.len(), stored[0].key.as_deref()), (1, Some(&b"rows"[..])));
    assert_is_that_row(stored[0].text());
}
