//! What is refused, and what becomes of the options.

use super::*;
use runner_core::testing::context;

fn config_of(toml: &str) -> Result<ClientConfig> {
    #[derive(Deserialize)]
    #[allow(clippy::struct_field_names, reason = "the options have these names")]
    struct Options {
        #[serde(default)]
        security_protocol: SecurityProtocol,
        tls: Option<Tls>,
        sasl: Option<Sasl>,
        #[serde(default)]
        librdkafka_options: LibrdkafkaOptions,
    }
    let options: Options = serde_json::from_str(toml).unwrap();
    let access = Access {
        bootstrap_servers: "broker:9092",
        security_protocol: options.security_protocol,
        tls: options.tls.as_ref(),
        sasl: options.sasl.as_ref(),
        librdkafka_options: &options.librdkafka_options,
        refused: &[("acks", "delivery is promised")],
    };
    access.config(&context(), |_| {})
}

fn slip(toml: &str) -> (String, String) {
    let error = config_of(toml).unwrap_err().downcast::<OptionError>().unwrap();
    (error.option, error.message)
}

#[test]
fn a_setting_that_carries_the_promise_is_refused_where_it_stands() {
    let (option, message) = slip(r#"{ "librdkafka_options": { "acks": 0 } }"#);
    assert_eq!(option, "librdkafka_options.acks");
    assert!(message.contains("delivery is promised"), "{message}");
}

#[test]
fn a_setting_that_the_library_does_not_know_is_found_without_a_connection() {
    let (option, message) = slip(r#"{ "librdkafka_options": { "linger.mss": 5 } }"#);
    assert_eq!(option, "librdkafka_options.linger.mss");
    assert!(message.contains("No such configuration property"), "{message}");
}

#[test]
fn all_settings_that_are_refused_are_named_at_once() {
    let settings = r#"{ "librdkafka_options": { "acks": 0, "check.crcs": true, "linger.ms": "soon", "linger.mss": 5 } }"#;
    let errors = config_of(settings).unwrap_err().downcast::<OptionErrors>().unwrap();
    let options: Vec<&str> =
        errors.iter().map(|error| &*error.downcast_ref::<OptionError>().unwrap().option).collect();
    let refused = ["acks", "linger.ms", "linger.mss"].map(|name| format!("librdkafka_options.{name}"));
    assert_eq!(options, refused);
}

#[test]
fn settings_are_written_as_toml_has_them() {
    let config = config_of(r#"{ "librdkafka_options": { "linger.ms": 0.5, "check.crcs": true } }"#).unwrap();
    assert_eq!((config.get("linger.ms"), config.get("check.crcs")), (Some("0.5"), Some("true")));
}

#[test]
fn empty_credentials_are_as_good_as_none() {
    let sasl = r#""sasl": { "mechanism": "", "username": "", "password": "" }"#;
    config_of(&format!("{{ {sasl} }}")).unwrap();
    let (option, _) = slip(&format!(r#"{{ "security_protocol": "sasl_plaintext", {sasl} }}"#));
    assert_eq!(option, "sasl.mechanism");
}

#[test]
fn credentials_without_authentication_are_not_dropped_in_silence() {
    assert_eq!(slip(r#"{ "sasl": { "username": "me" } }"#).0, "sasl");
    assert_eq!(slip(r#"{ "tls": { "ca_file": "ca.pem" } }"#).0, "tls");
}

#[cfg(not(feature = "kafka-tls"))]
#[test]
fn a_build_without_tls_says_so() {
    let plain = r#""sasl": { "mechanism": "PLAIN", "username": "me", "password": "secret" }"#;
    for asks in [
        r#"{ "security_protocol": "ssl" }"#.to_owned(),
        format!(r#"{{ "security_protocol": "sasl_plaintext", {plain} }}"#),
    ] {
        let (option, message) = slip(&asks);
        assert_eq!(option, "security_protocol");
        assert!(message.contains("--features kafka-tls"), "{message}");
    }
}

#[test]
fn a_pattern_is_not_a_topic() {
    assert!(check_topic("topics", "^stock.*").is_err());
    assert!(check_topic("topic", "a topic").is_err());
    check_topic("topic", "stock_market").unwrap();
}
