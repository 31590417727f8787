//! The stock flow through a broker with TLS and SASL, for a build with
//! `--features kafka-tls`; `kafka_permissions` tests the error of any other build.

use std::path::Path;
use std::process::Command;

#[cfg(feature = "kafka-tls")]
use runner_needs::needs;

use crate::support::flow::{Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::{Outcome, TestEnv};

/// A broker with the certificate in `keys` and one user.
fn start_tls_broker(keys: &Path) -> Broker {
    Broker::start_with(&[
        (
            "listeners",
            "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{second}",
        ),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{second}"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"),
        ("ssl.keystore.location", &keys.display().to_string()),
        ("ssl.keystore.password", "store-word"),
        ("ssl.keystore.type", "PKCS12"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        (
            "listener.name.secure.plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"r1ght-one\";",
        ),
    ])
}

/// Makes a key and certificate for this host in `broker.p12`, and writes the certificate to `ca.pem`.
fn make_keys(env: &TestEnv, host: &str) {
    let store = env.path("broker.p12").display().to_string();
    let common = ["-alias", "broker", "-keystore", &store, "-storepass", "store-word"];
    let make = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=broker", "-validity", "2", "-ext", host];
    let show = ["-exportcert", "-rfc", "-file", &env.path("ca.pem").display().to_string()].map(str::to_owned);
    for what in [make.map(str::to_owned).to_vec(), show.to_vec()] {
        let output =
            Command::new("keytool").args(what).args(common).output().expect("keytool comes with Java");
        assert!(output.status.success(), "{output:?}");
    }
}

/// A flow of `n_records` records that connects with TLS and SASL.
fn flow_with_tls(broker: &Broker, n_records: usize) -> Flow<'_> {
    let mut flow = Flow::through(broker, n_records);
    flow.at_full_speed().set("KAFKA_BOOTSTRAP_SERVERS", broker.second_address());
    flow.set("KAFKA_SECURITY_PROTOCOL", "sasl_ssl").set("KAFKA_SASL_MECHANISM", "PLAIN");
    flow.set("KAFKA_SASL_USERNAME", "alice").set("KAFKA_SASL_PASSWORD", "r1ght-one");
    for name in ["producer", "consumer"] {
        let file = &format!("{name}.toml");
        let protocol = "security_protocol = \"${KAFKA_SECURITY_PROTOCOL:-plaintext}\"";
        flow.edit(file, protocol, &format!("{protocol}\ntls = {{ ca_file = \"${{CA_FILE:-}}\" }}"));
        // A broker that is not trusted is not retried for long.
        let first = format!("name = \"{name}\"");
        flow.edit(file, &first, &format!("{first}\nretry = {{ connect = \"10s\" }}"));
    }
    flow
}

fn assert_no_password(outcome: &Outcome) {
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!all.contains("r1ght-one") && !all.contains("wr0ng-one"), "{all}");
}

#[cfg_attr(feature = "kafka-tls", needs(java))]
#[test]
#[cfg_attr(not(feature = "kafka-tls"), ignore = "needs a build with --features kafka-tls")]
fn stock_flow_runs_through_tls_and_sasl() {
    let keys = TestEnv::new();
    make_keys(&keys, "san=ip:127.0.0.1");
    let broker = start_tls_broker(&keys.path("broker.p12"));
    let mut flow = flow_with_tls(&broker, 500);
    // The certificate is not trusted.
    let outcome = flow.produce().wait(LONG);
    outcome.assert_code(69).assert_says(&["certificate", broker.second_address()]);
    assert_no_password(&outcome);

    flow.set("CA_FILE", &keys.path("ca.pem").display().to_string());
    flow.set("KAFKA_SASL_PASSWORD", "wr0ng-one");
    let outcome = flow.produce().wait(LONG);
    outcome.assert_code(1).assert_says(&["rejects the credentials"]);
    assert_no_password(&outcome);
    flow.set("KAFKA_SASL_PASSWORD", "r1ght-one");
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_topic(1);
    flow.assert_every_object();
}

#[cfg_attr(feature = "kafka-tls", needs(java))]
#[test]
#[cfg_attr(not(feature = "kafka-tls"), ignore = "needs a build with --features kafka-tls")]
fn certificate_of_other_host_is_refused_unless_verification_is_off() {
    let keys = TestEnv::new();
    make_keys(&keys, "san=dns:elsewhere.example");
    let broker = start_tls_broker(&keys.path("broker.p12"));
    let mut flow = flow_with_tls(&broker, 100);
    flow.set("CA_FILE", &keys.path("ca.pem").display().to_string());
    let outcome = flow.produce().wait(LONG);
    outcome.assert_code(69).assert_says(&["certificate"]);
    assert_no_password(&outcome);
    flow.edit("producer.toml", "ca_file =", "verify_hostname = false, ca_file =");
    flow.produce().wait(LONG).assert_code(0);
    flow.assert_topic(1);
}
