//! The `kafka` sink: topics, keys and timestamps from fields of the records, against Apache Kafka.

use runner_needs::needs;

use crate::support::TestEnv;
use crate::support::kafka::Broker;

/// A pipeline from rows to a sink, with dead letters in a file.
fn producer(rows: &str, bootstrap: &str, sink: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("rows.csv", rows);
    env.write(
        "producer.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
             [sinks.topic]\ntype = \"kafka\"\ninputs = [\"json\"]\nbootstrap_servers = \"{bootstrap}\"\n{sink}\n\
             [dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n",
        ),
    );
    env
}

fn reasons(env: &TestEnv) -> Vec<String> {
    let reason = |letter: &serde_json::Value| letter["reason"].as_str().expect("a reason").to_owned();
    env.json_lines("rejected.jsonl").iter().map(reason).collect()
}

#[needs(kafka)]
#[test]
fn topic_key_and_timestamp_come_from_fields() {
    let broker = Broker::shared();
    let prefix = broker.name("by-index");
    let rows =
        "Index,Date,Close\nNYA,2024-01-31,1.5\nHSI,2024-02-01T10:00:00Z,2\nNYA,1704067200000,3\nNYA,soon,4\n";
    let env = producer(
        rows,
        broker.bootstrap(),
        &format!(
            "topic = \"{prefix}.{{{{ .Index }}}}\"\nkey = \"{{{{ .Index }}}}/{{{{ .Date }}}}\"\ntimestamp_field = \"Date\"\n\
             create_topic = {{ partitions = 1, config = {{ \"retention.ms\" = -1, \"max.message.bytes\" = 2000000 }} }}"
        ),
    );
    let outcome = env.run(["run", "producer.toml"]);
    outcome.assert_code(0);
    assert!(!outcome.stderr.contains("retention.ms"), "{}", outcome.stderr);
    let found = |index: &str| {
        let stored = broker.read_all(&format!("{prefix}.{index}"));
        let show = |it: &crate::support::kafka::StoredRecord| {
            (String::from_utf8(it.key.clone().expect("a key")).expect("text"), it.timestamp.expect("a time"))
        };
        stored.iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(
        found("NYA"),
        [("NYA/2024-01-31".into(), 1_706_659_200_000), ("NYA/1704067200000".into(), 1_704_067_200_000)]
    );
    assert_eq!(found("HSI"), [("HSI/2024-02-01T10:00:00Z".into(), 1_706_781_600_000)]);
    assert_eq!(broker.setting(&format!("{prefix}.NYA"), "retention.ms"), "-1");
    assert_eq!(broker.setting(&format!("{prefix}.HSI"), "max.message.bytes"), "2000000");
    let reasons = reasons(&env);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("`Date` (`timestamp_field`) is not a time"), "{reasons:?}");
}

#[needs(kafka)]
#[test]
fn records_that_the_broker_deletes_soon_are_warned_of() {
    let broker = Broker::shared();
    let topic = broker.name("kept-for-a-week");
    for sink in [format!("topic = \"{topic}\""), "topic = \"{{ .Topic }}\"".to_owned()] {
        let rows = format!("Topic,Date\n{topic},2024-01-31\n{topic},2024-02-01\n");
        let env = producer(&rows, broker.bootstrap(), &format!("{sink}\ntimestamp_field = \"Date\""));
        let outcome = env.run(["run", "producer.toml"]);
        let kept = format!("topic `{topic}` keeps records for 7days (`retention.ms`)");
        outcome.assert_code(0).assert_says(&[&kept, "of 2024-01-31 00:00:00 UTC: the broker deletes"]);
        assert_eq!(outcome.stderr.matches("keeps records for").count(), 1, "{}", outcome.stderr);
    }
}

/// The records that name a topic which the cluster refuses are rejected, and the others are written.
fn refused_topics_are_rejected(broker: &Broker) {
    let prefix = broker.name("px");
    broker.create_topic_named(&format!("{prefix}.a_b"), 1);
    let long = "x".repeat(250);
    let rows = format!("Index,n\na_b,1\na.b,2\nfine,3\nno topic,4\n{long},5\na.b,6\nfine,7\n");
    let sink = format!("topic = \"{prefix}.{{{{ .Index }}}}\"");
    let env = producer(&rows, broker.bootstrap(), &sink);
    env.run(["run", "producer.toml"]).assert_code(0);
    let n_stored = |index: &str| broker.read_all(&format!("{prefix}.{index}")).len();
    assert_eq!((n_stored("a_b"), n_stored("fine")), (1, 2));
    assert_eq!(broker.partitions(&format!("{prefix}.a.b")), None);
    let reasons = reasons(&env);
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    let collides = format!("`{prefix}.a.b` (topic `{prefix}.a_b` exists)");
    assert_eq!(reasons.iter().filter(|it| it.contains(&collides)).count(), 2, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|it| it.contains("a valid topic name")).count(), 2, "{reasons:?}");

    // Without dead letters the reason is in the log, without the value.
    let without = env.read("producer.toml").split("[dead_letter]").next().expect("a part").to_owned();
    env.write("producer.toml", without);
    let outcome = env.run(["run", "producer.toml", "--from-start"]);
    outcome.assert_code(65).assert_says(&["differ only in `.` and `_`"]);

    // One topic for all records: nothing can be written.
    let env = producer(&rows, broker.bootstrap(), &format!("topic = \"{prefix}.a.b\""));
    let outcome = env.run(["run", "producer.toml"]);
    outcome.assert_code(1).assert_says(&[&collides, "differ only in `.` and `_`"]);
    assert!(!outcome.stderr.contains("create_topic"), "{}", outcome.stderr);
}

#[needs(kafka)]
#[test]
fn topic_that_the_cluster_refuses_rejects_its_records_only() {
    refused_topics_are_rejected(Broker::shared());
}

#[test]
fn topic_that_the_embedded_broker_refuses_rejects_its_records_only() {
    refused_topics_are_rejected(Broker::embedded());
}

#[needs(kafka)]
#[test]
fn topic_of_kafka_itself_rejects_its_records_only_and_ends_a_run_at_once() {
    let broker = Broker::shared();
    let prefix = broker.name("ours");
    broker.create_topic_named(&prefix, 1);
    // The broker creates its topic of offsets when the first group is asked for.
    broker.committed(&prefix, &prefix);
    let rows = format!("t,n\n__consumer_offsets,1\n{prefix},2\n__consumer_offsets,3\n{prefix},4\n");
    let env = producer(&rows, broker.bootstrap(), "topic = \"{{ .t }}\"");
    env.run(["run", "producer.toml"]).assert_code(0);
    assert_eq!(broker.read_all(&prefix).len(), 2);
    let reasons = reasons(&env);
    assert!(reasons.len() == 2 && reasons[0].contains("a topic of Kafka itself"), "{reasons:?}");
    let env = producer(&rows, broker.bootstrap(), "topic = \"__consumer_offsets\"");
    let outcome = env.run(["run", "producer.toml"]);
    outcome.assert_code(1).assert_says(&["topic `__consumer_offsets` cannot be written to", "another topic"]);
    assert_eq!(env.read("rejected.jsonl"), "");
}

#[needs(kafka)]
#[test]
fn missing_template_topic_rejects_its_records_only() {
    let broker = Broker::shared();
    let prefix = broker.name("made");
    broker.create_topic_named(&format!("{prefix}-NYA"), 1);
    let sink = format!("topic = \"{prefix}-{{{{ .Index }}}}\"\ncreate_topic = false");
    let env = producer("Index\nHSI\nNYA\n", broker.bootstrap(), &sink);
    env.run(["run", "producer.toml"]).assert_code(0);
    assert_eq!(broker.read_all(&format!("{prefix}-NYA")).len(), 1);
    assert_eq!(broker.partitions(&format!("{prefix}-HSI")), None);
    let reasons = reasons(&env);
    assert!(reasons.len() == 1 && reasons[0].contains("`create_topic` is false"), "{reasons:?}");
}

#[test]
fn topic_that_is_created_with_one_replica_is_warned_of() {
    let broker = Broker::embedded();
    let topic = broker.name("alone");
    let env = producer("Index\nNYA\n", broker.bootstrap(), &format!("topic = \"{topic}\""));
    let warning = format!("topic `{topic}` was created with one replica");
    env.run(["run", "producer.toml"]).assert_code(0).assert_says(&[&warning]);
    // An existing topic is the choice of its owner.
    let again = env.run(["run", "producer.toml", "--from-start"]);
    again.assert_code(0);
    assert!(!again.stderr.contains("was created"), "{}", again.stderr);
}
