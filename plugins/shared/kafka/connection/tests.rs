//! Invalid options, and the settings of valid ones.

use super::*;
use runner_core::testing::context;

with_connection_options! {
    struct Options {}
    librdkafka_options
}

fn config_of(json: &str) -> Result<ClientConfig> {
    let mut options: Value = serde_json::from_str(json).unwrap();
    options["bootstrap_servers"] = "broker:9092".into();
    let options: Options = serde_json::from_value(options).unwrap();
    options.connection(&[("acks", "the delivery guarantee")]).client_config(&context(), |_| {})
}

/// The option and the message of an error.
fn error_of(json: &str) -> (String, String) {
    let error = config_of(json).unwrap_err().downcast::<OptionError>().unwrap();
    (error.option, error.message)
}

#[test]
fn librdkafka_options_reject_a_setting_of_the_delivery_guarantee() {
    let (option, message) = error_of(r#"{ "librdkafka_options": { "acks": 0 } }"#);
    assert_eq!(option, "librdkafka_options.acks");
    assert!(message.contains("the delivery guarantee"), "{message}");
}

#[test]
fn librdkafka_options_reject_an_unknown_setting_without_a_connection() {
    let (option, message) = error_of(r#"{ "librdkafka_options": { "linger.mss": 5 } }"#);
    assert_eq!(option, "librdkafka_options.linger.mss");
    assert!(message.contains("No such configuration property"), "{message}");
}

#[test]
fn librdkafka_options_report_all_errors_at_once() {
    let settings = r#"{ "librdkafka_options": { "acks": 0, "check.crcs": true, "linger.ms": "soon", "linger.mss": 5 } }"#;
    let errors = config_of(settings).unwrap_err().downcast::<OptionErrors>().unwrap();
    let options: Vec<&str> =
        errors.iter().map(|error| &*error.downcast_ref::<OptionError>().unwrap().option).collect();
    let reserved = ["acks", "linger.ms", "linger.mss"].map(|name| format!("librdkafka_options.{name}"));
    assert_eq!(options, reserved);
}

#[test]
fn librdkafka_options_accept_numbers_and_booleans() {
    let config = config_of(r#"{ "librdkafka_options": { "linger.ms": 0.5, "check.crcs": true } }"#).unwrap();
    assert_eq!((config.get("linger.ms"), config.get("check.crcs")), (Some("0.5"), Some("true")));
}

#[test]
fn sasl_ignores_empty_credentials() {
    let sasl = r#""sasl": { "mechanism": "", "username": "", "password": "" }"#;
    config_of(&format!("{{ {sasl} }}")).unwrap();
    let (option, _) = error_of(&format!(r#"{{ "security_protocol": "sasl_plaintext", {sasl} }}"#));
    assert_eq!(option, "sasl.mechanism");
}

#[test]
fn sasl_and_tls_without_their_protocol_are_errors() {
    assert_eq!(error_of(r#"{ "sasl": { "username": "me" } }"#).0, "sasl");
    assert_eq!(error_of(r#"{ "tls": { "ca_file": "ca.pem" } }"#).0, "tls");
}

#[cfg(not(feature = "kafka-tls"))]
#[test]
fn security_protocol_without_a_tls_build_is_an_error() {
    let plain = r#""sasl": { "mechanism": "PLAIN", "username": "me", "password": "secret" }"#;
    for options in [
        r#"{ "security_protocol": "ssl" }"#.to_owned(),
        format!(r#"{{ "security_protocol": "sasl_plaintext", {plain} }}"#),
    ] {
        let (option, message) = error_of(&options);
        assert_eq!(option, "security_protocol");
        assert!(message.contains("--features kafka-tls"), "{message}");
    }
}

#[test]
fn check_topic_rejects_patterns_and_spaces() {
    assert!(check_topic("topics", "^stock.*").is_err());
    assert!(check_topic("topic", "a topic").is_err());
    check_topic("topic", "stock_market").unwrap();
}
