//! Pipelines with `kafka` that `validate` refuses.

use crate::support::{Outcome, TestEnv};

/// Validates a pipeline from the topics `topics` to a sink and to dead letters.
fn validated(topics: &str, sink: &str, dead_letter: &str) -> Outcome {
    let env = TestEnv::new();
    let pipeline = format!(
        "[sources.orders]\ntype = \"kafka\"\nbootstrap_servers = \"one:9092,two:9092\"\ntopics = [{topics}]\n\
         group_id = \"g\"\n[sinks.out]\ninputs = [\"orders\"]\n{sink}\n[dead_letter]\n{dead_letter}\n"
    );
    env.write("p.toml", pipeline);
    env.run(["validate", "p.toml"])
}

fn to(topic: &str) -> String {
    format!("type = \"kafka\"\nbootstrap_servers = \"two:9092\"\ntopic = \"{topic}\"\n")
}

const FILE: &str = "type = \"file\"\npath = \"out.jsonl\"";

#[test]
fn source_that_reads_the_dead_letters_of_its_pipeline_is_refused() {
    for topics in [r#""orders.eu", "^orders\\..*""#, r#""orders.rejected""#, r#""^.*""#] {
        let outcome = validated(topics, FILE, &to("orders.rejected"));
        outcome.assert_code(78).assert_says(&[
            "source `orders` would read the dead letters",
            "a name that the source does not read",
            "topic = \"orders.rejected\"",
        ]);
    }
    validated(r#""^orders\\..*""#, FILE, &to("rejected.orders")).assert_code(0);
    let elsewhere = to("orders.rejected").replace("two:9092", "three:9092");
    validated(r#""^orders\\..*""#, FILE, &elsewhere).assert_code(0);
    validated(r#""^_""#, FILE, &to("__letters")).assert_code(0);
}

#[test]
fn source_that_reads_what_its_sink_writes_is_refused() {
    let dead = "type = \"file\"\npath = \"dead.jsonl\"";
    for (topics, topic) in [
        (r#""orders""#, "orders"),
        (r#""^orders.*""#, "orders.{{ .shop }}"),
        (r#""^[a-z]+\\.""#, "orders.{{ .shop }}.{{ .day }}"),
        (r#""^.*""#, "{{ .topic }}"),
    ] {
        let outcome = validated(topics, &to(topic), dead);
        outcome.assert_code(78).assert_says(&["source `orders` reads what this sink writes", "again"]);
    }
    for (topics, topic) in [
        (r#""orders""#, "copies"),
        (r#""orders.eu""#, "orders.{{ .shop }}"),
        (r#""^orders\\.[a-z]+$""#, "orders.{{ .shop }}"),
        (r#""^.*""#, "__{{ .topic }}"),
    ] {
        validated(topics, &to(topic), dead).assert_code(0);
    }
}

#[test]
fn sink_to_the_topic_of_a_source_is_refused_only_in_a_loop() {
    let source = |name: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"one:9092\"\ntopics = [\"{name}\"]\n\
             group_id = \"{name}\"\n"
        )
    };
    let sink = |name: &str, input: &str, topic: &str| {
        let server = "bootstrap_servers = \"one:9092\"";
        format!("[sinks.{name}]\ntype = \"kafka\"\n{server}\ninputs = [\"{input}\"]\ntopic = \"{topic}\"\n")
    };
    let validate = |sinks: [String; 2]| {
        let env = TestEnv::new();
        env.write("p.toml", [source("a"), source("b"), sinks.concat()].concat());
        env.run(["validate", "p.toml"])
    };
    // From `a` to `b` and on to another topic.
    validate([sink("x", "a", "b"), sink("y", "b", "c")]).assert_code(0);
    // From `a` to `b` and back.
    let outcome = validate([sink("x", "a", "b"), sink("y", "b", "a")]);
    outcome
        .assert_code(78)
        .assert_says(&["source `b` reads what this sink", "source `a` reads what this sink"]);
}

#[test]
fn secret_in_librdkafka_options_is_not_shown() {
    for option in [
        "\"sasl.password\" = \"HUSH-literal\"",
        "sasl.password = \"HUSH-literal\"",
        "\"sasl.pasword\" = \"HUSH-literal\"",
        "\"ssl.key.password\" = \"HUSH-literal\"",
        "\"ssl.key.pem\" = \"HUSH-literal\"",
        "\"ssl.keystore.password\" = \"HUSH-literal\"\n\"linger.mss\" = 5",
        "\"sasl.oauthbearer.config\" = \"HUSH-literal\"\n\"acks\" = 0",
        "\"sasl.jaas.config\" = \"password=HUSH-literal\"",
        "\"basic.auth.user.info\" = \"u:HUSH-literal\"",
        "\"ssl.keystore.password\" = \"HUSH-literal",
    ] {
        let env = TestEnv::new();
        env.write(
            "p.toml",
            format!(
                "[sources.a]\ntype = \"kafka\"\nbootstrap_servers = \"b:9092\"\ntopics = [\"t\"]\n\
                 group_id = \"g\"\n[sources.a.librdkafka_options]\n{option}\n\
                 [sinks.o]\ntype = \"console\"\ninputs = [\"a\"]\n"
            ),
        );
        for command in ["validate", "run"] {
            let outcome = env.run([command, "p.toml"]);
            outcome.assert_code(78);
            let shown = [&*outcome.stderr, &*outcome.stdout].concat();
            assert!(!shown.contains("HUSH") && shown.contains("***"), "{option}: {shown}");
        }
    }
    let env = TestEnv::new();
    env.write(
        "p.toml",
        "[sources.a]\ntype = \"kafka\"\nbootstrap_servers = \"b:9092\"\ntopics = [\"t\"]\ngroup_id = \"g\"\n\
         librdkafka_options = { \"fetch.wait.max.mss\" = \"500\" }\n\
         [sinks.o]\ntype = \"console\"\ninputs = [\"a\"]\n",
    );
    env.run(["validate", "p.toml"]).assert_code(78).assert_says(&["\"fetch.wait.max.mss\" = \"500\""]);
}

#[test]
fn topic_for_a_second_try_behind_a_filter_is_warned_of_only() {
    let env = TestEnv::new();
    env.write(
        "p.toml",
        "[sources.orders]\ntype = \"kafka\"\nbootstrap_servers = \"one:9092\"\n\
         topics = [\"orders\", \"orders.again\"]\ngroup_id = \"g\"\n\
         [transforms.split]\ntype = \"route\"\ninputs = [\"orders\"]\nroute = { late = '.is_late == true' }\n\
         [sinks.again]\ntype = \"kafka\"\ninputs = [\"split.late\"]\nbootstrap_servers = \"one:9092\"\n\
         topic = \"orders.again\"\n\
         [sinks.done]\ntype = \"file\"\ninputs = [\"split._unmatched\"]\npath = \"done.jsonl\"\n",
    );
    let outcome = env.run(["validate", "p.toml"]);
    outcome.assert_code(0).assert_says(&["source `orders` reads what this sink writes", "warning"]);
}
