//! What brokers deny, and what is said then.

use runner_needs::needs;

use crate::support::Scene;
use crate::support::kafka::{Broker, tool};

/// A broker that knows one user, who may do nothing.
fn guarded() -> Broker {
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

#[test]
#[needs(java)]
fn denied_user_fails_at_once_without_showing_password() {
    let broker = guarded();
    let topic = broker.create_topic("guarded", 1);
    for (password, said) in [("wr0ng-one", "refuses the credentials"), ("right", "does not let this user")] {
        let options = format!(
            "bootstrap_servers = \"{}\"\nsecurity_protocol = \"sasl_plaintext\"\n\
             sasl = {{ mechanism = \"PLAIN\", username = \"alice\", password = \"{password}\" }}",
            broker.second_address()
        );
        let scene = Scene::new();
        scene.write(
            "reads.toml",
            format!(
                "retry.connect = \"20s\"\n[sources.topic]\ntype = \"kafka\"\ntopics = [\"{topic}\"]\n\
                 group_id = \"{}\"\n{options}\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"topic\"]\npath = \"out.txt\"\n",
                broker.name("group")
            ),
        );
        let outcome = scene.run(["run", "--log-level", "debug", "reads.toml"]);
        if !cfg!(feature = "kafka-tls") {
            // A build without TLS has no SASL either, and says how to come by both.
            outcome.assert_code(78).assert_says(&["--features kafka-tls", "reads.toml"]);
            assert!(!outcome.stderr.contains("wr0ng-one"), "{}", outcome.stderr);
            continue;
        }
        outcome.assert_code(1).assert_says(&[said, broker.second_address()]);
        let rows = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n";
        scene.write("rows.csv", "n\n1\n");
        let sink = format!(
            "retry.connect = \"20s\"\n{rows}[sinks.out]\ntype = \"kafka\"\ninputs = [\"rows\"]\n\
             topic = \"{topic}\"\n{options}\n"
        );
        scene.write("writes.toml", sink);
        let written = scene.run(["run", "--log-level", "debug", "writes.toml"]);
        written.assert_code(1).assert_says(&[said]);
        for text in [&outcome.stderr, &written.stderr, &outcome.stdout, &written.stdout] {
            assert!(!text.contains(password) || password == "right", "{text}");
        }
    }
}

#[test]
#[needs(java)]
fn denied_topic_creation_names_topic_and_permission() {
    let settings = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let broker = Broker::start_with(&settings);
    // What is allowed by name first: as soon as there is a rule, everything else is denied.
    for (rule, operation) in [("--allow-principal", "All"), ("--deny-principal", "Create")] {
        let mut rules = tool("org.apache.kafka.tools.AclCommand");
        rules.args(["--bootstrap-server", broker.bootstrap(), "--add", rule, "User:ANONYMOUS"]);
        rules.args(["--operation", operation, "--cluster", "--topic", "*"]);
        let ruled = rules.output().expect("Kafka's own program");
        assert!(ruled.status.success(), "{ruled:?}");
    }
    let scene = Scene::new();
    scene.write("rows.csv", "n\n1\n");
    scene.write(
        "writes.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [sinks.out]\ntype = \"kafka\"\ninputs = [\"rows\"]\ntopic = \"forbidden\"\n\
             bootstrap_servers = \"{}\"\n",
            broker.bootstrap()
        ),
    );
    let said =
        ["does not let this user create topic `forbidden`", "grant the user Create", broker.bootstrap()];
    scene.run(["run", "writes.toml"]).assert_code(1).assert_says(&said);
    assert_eq!(broker.partitions("forbidden"), None);
}
