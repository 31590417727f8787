//! Permissions that a broker denies, and the error messages.

use runner_needs::needs;

use crate::support::TestEnv;
use crate::support::kafka::{Broker, tool};

/// A broker with one user, who has no permission.
fn start_guarded_broker() -> Broker {
    Broker::start_with(&[
        (
            "listeners",
            "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{second}",
        ),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{second}"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        (
            "listener.name.sasl.plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"right\";",
        ),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:ANONYMOUS"),
    ])
}

#[needs(java)]
#[test]
fn denied_user_fails_at_once_without_showing_password() {
    let broker = start_guarded_broker();
    let topic = broker.create_topic("guarded", 1);
    for (password, message) in [("wr0ng-one", "rejects the credentials"), ("right", "does not let this user")]
    {
        let options = format!(
            "bootstrap_servers = \"{}\"\nsecurity_protocol = \"sasl_plaintext\"\n\
             sasl = {{ mechanism = \"PLAIN\", username = \"alice\", password = \"{password}\" }}",
            broker.second_address()
        );
        let env = TestEnv::new();
        env.write(
            "reads.toml",
            format!(
                "retry.connect = \"20s\"\n[sources.topic]\ntype = \"kafka\"\ntopics = [\"{topic}\"]\n\
                 group_id = \"{}\"\n{options}\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"topic\"]\npath = \"out.txt\"\n",
                broker.name("group")
            ),
        );
        let outcome = env.run(["run", "--log-level", "debug", "reads.toml"]);
        if !cfg!(feature = "kafka-tls") {
            // A build without TLS has no SASL either; its error says how to build both.
            outcome.assert_code(78).assert_says(&["--features kafka-tls", "reads.toml"]);
            assert!(!outcome.stderr.contains("wr0ng-one"), "{}", outcome.stderr);
            continue;
        }
        outcome.assert_code(1).assert_says(&[message, broker.second_address()]);
        let rows = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
        env.write("rows.csv", "n\n1\n");
        let sink = format!(
            "retry.connect = \"20s\"\n{rows}[sinks.out]\ntype = \"kafka\"\ninputs = [\"rows\"]\n\
             topic = \"{topic}\"\n{options}\n"
        );
        env.write("writes.toml", sink);
        let written = env.run(["run", "--log-level", "debug", "writes.toml"]);
        written.assert_code(1).assert_says(&[message]);
        for text in [&outcome.stderr, &written.stderr, &outcome.stdout, &written.stdout] {
            assert!(!text.contains(password) || password == "right", "{text}");
        }
    }
}

#[needs(java)]
#[test]
fn denied_topic_creation_names_topic_and_permission() {
    let settings = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let broker = Broker::start_with(&settings);
    for topic in ["open", "closed"] {
        broker.create_topic_named(topic, 1);
    }
    // The allow rule comes first: as soon as one rule exists, everything else is denied.
    for (rule, operation, on) in [
        ("--allow-principal", "All", &["--cluster", "--topic", "*"][..]),
        ("--deny-principal", "Create", &["--cluster", "--topic", "*"]),
        ("--deny-principal", "Write", &["--topic", "closed"]),
    ] {
        let mut rules = tool("org.apache.kafka.tools.AclCommand");
        rules.args(["--bootstrap-server", broker.bootstrap(), "--add", rule, "User:ANONYMOUS"]);
        rules.args(["--operation", operation]).args(on);
        let ruled = rules.output().expect("Kafka's own program");
        assert!(ruled.status.success(), "{ruled:?}");
    }
    let env = TestEnv::new();
    env.write("rows.csv", "n\n1\n");
    env.write(
        "writes.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [sinks.out]\ntype = \"kafka\"\ninputs = [\"rows\"]\ntopic = \"forbidden\"\n\
             bootstrap_servers = \"{}\"\n",
            broker.bootstrap()
        ),
    );
    let message = [
        "topic `forbidden` cannot be used",
        "does not let this user create it",
        "grant the user Create",
        broker.bootstrap(),
    ];
    env.run(["run", "writes.toml"]).assert_code(1).assert_says(&message);
    assert_eq!(broker.partitions("forbidden"), None);

    // With a topic for each value, the records of a topic without the permission Write are rejected.
    env.write("rows.csv", "topic,n\nopen,1\nclosed,2\nopen,3\nclosed,4\n");
    let templated = env.read("writes.toml").replace("\"forbidden\"", "\"{{ .topic }}\"");
    let dead = "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n";
    env.write("writes.toml", templated + dead);
    env.run(["run", "writes.toml"]).assert_code(0);
    assert_eq!((broker.read_all("open").len(), broker.read_all("closed").len()), (2, 0));
    let letters = env.read("dead.jsonl");
    assert_eq!(letters.matches("grant the user Write on the topic").count(), 2, "{letters}");
}
