//! Options for the connection to a cluster: addresses, encryption, credentials, and settings of
//! the client library.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use runner_core::{BuildContext, Error, OptionError, OptionErrors, Result, Secret};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shared::text::scalar_text;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    #[default]
    #[serde(alias = "PLAINTEXT")]
    Plaintext,
    /// Encrypted.
    #[serde(alias = "SSL")]
    Ssl,
    /// Authenticated with `sasl`, not encrypted.
    #[serde(alias = "SASL_PLAINTEXT")]
    SaslPlaintext,
    /// Authenticated with `sasl` and encrypted.
    #[serde(alias = "SASL_SSL")]
    SaslSsl,
}

impl SecurityProtocol {
    fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "plaintext",
            SecurityProtocol::Ssl => "ssl",
            SecurityProtocol::SaslPlaintext => "sasl_plaintext",
            SecurityProtocol::SaslSsl => "sasl_ssl",
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }

    fn is_authenticated(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }
}

/// Certificates and keys for an encrypted connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The trusted CA certificates, a PEM file. Default: those of the system.
    ca_file: Option<String>,
    /// The client certificate, a PEM file.
    crt_file: Option<String>,
    /// The private key of `crt_file`, a PEM file.
    key_file: Option<String>,
    /// The password of `key_file`.
    key_pass: Option<Secret>,
    /// Whether the certificate of the broker must contain its host name.
    #[serde(default = "crate::shared::default_true")]
    verify_hostname: bool,
}

/// Credentials of the user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    mechanism: Option<String>,
    /// The name of the user.
    username: Option<String>,
    /// The password of the user.
    password: Option<Secret>,
}

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Settings of the client library under its own names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct LibrdkafkaOptions(#[schemars(schema_with = "settings_schema")] BTreeMap<String, Setting>);

impl LibrdkafkaOptions {
    /// A setting, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.0.as_str())
    }

    /// All settings, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, setting)| (name.as_str(), setting.0.as_str()))
    }
}

/// A value in its natural TOML type, as text for the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Setting(String);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = scalar_text(Value::deserialize(deserializer)?);
        text.map(Setting).ok_or_else(|| D::Error::custom("expected a string, a number or a boolean"))
    }
}

/// Parts of the names of settings whose values are secrets, or may be: errors do not show them. They include names that
/// the library does not know, such as those of Java clients.
const SECRETS: [&str; 10] =
    ["sasl.", "ssl.", "pass", "pasw", "secret", "token", "credential", "jaas", "auth", "pem"];

fn settings_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-secrets": SECRETS,
        "additionalProperties": { "type": ["string", "integer", "number", "boolean"] }
    })
}

/// Defines the configuration of a plugin with the connection options, which the source and the sink share.
///
/// `#[serde(flatten)]` would lose the position of an error in the pipeline file.
macro_rules! with_connection_options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($fields:tt)* }
        $(#[$librdkafka_options:meta])*
        librdkafka_options
    ) => {
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            /// Addresses of brokers, separated by commas: `"broker-1:9092,broker-2:9092"`.
            pub(super) bootstrap_servers: String,
            $($fields)*
            /// Encryption and authentication of the connection.
            #[serde(default)]
            security_protocol: $crate::shared::kafka::SecurityProtocol,
            /// Certificates and keys, for `security_protocol` `ssl` and `sasl_ssl`.
            tls: Option<$crate::shared::kafka::Tls>,
            /// Credentials of the user, for `security_protocol` `sasl_plaintext` and `sasl_ssl`.
            sasl: Option<$crate::shared::kafka::Sasl>,
            $(#[$librdkafka_options])*
            #[serde(default)]
            pub(super) librdkafka_options: $crate::shared::kafka::LibrdkafkaOptions,
        }

        impl $name {
            /// The connection options. `reserved` holds settings that `librdkafka_options` must not contain.
            fn connection<'a>(&'a self, reserved: &'a [(&'a str, &'a str)]) -> $crate::shared::kafka::Connection<'a> {
                $crate::shared::kafka::Connection {
                    bootstrap_servers: &self.bootstrap_servers,
                    security_protocol: self.security_protocol,
                    tls: self.tls.as_ref(),
                    sasl: self.sasl.as_ref(),
                    librdkafka_options: &self.librdkafka_options,
                    reserved,
                }
            }
        }
    };
}
pub(crate) use with_connection_options;

/// The options for the connection to a cluster.
pub(crate) struct Connection<'a> {
    pub(crate) bootstrap_servers: &'a str,
    pub(crate) security_protocol: SecurityProtocol,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) sasl: Option<&'a Sasl>,
    pub(crate) librdkafka_options: &'a LibrdkafkaOptions,
    /// Settings that `librdkafka_options` must not contain, and the reasons.
    pub(crate) reserved: &'a [(&'a str, &'a str)],
}

/// Settings that have their own option in both plugins.
const RESERVED: [(&str, &str); 13] = [
    ("bootstrap.servers", "use the option `bootstrap_servers`"),
    ("metadata.broker.list", "use the option `bootstrap_servers`"),
    ("security.protocol", "use the option `security_protocol`"),
    ("sasl.mechanism", "use the option `sasl.mechanism`"),
    ("sasl.mechanisms", "use the option `sasl.mechanism`"),
    ("sasl.username", "use the option `sasl.username`"),
    ("sasl.password", "use the option `sasl.password`, which is redacted"),
    ("ssl.ca.location", "use the option `tls.ca_file`"),
    ("ssl.certificate.location", "use the option `tls.crt_file`"),
    ("ssl.key.location", "use the option `tls.key_file`"),
    ("ssl.key.password", "use the option `tls.key_pass`, which is redacted"),
    ("ssl.endpoint.identification.algorithm", "use the option `tls.verify_hostname`"),
    ("log.queue", "the log of the client library depends on it"),
];

impl Connection<'_> {
    /// The settings of a client. `extend` adds those of the plugin; `librdkafka_options` override them.
    pub(crate) fn client_config(
        &self,
        context: &BuildContext,
        extend: impl FnOnce(&mut ClientConfig),
    ) -> Result<ClientConfig> {
        if self.bootstrap_servers.split(',').any(|server| server.trim().is_empty()) {
            return Err(OptionError::new(
                "bootstrap_servers",
                "write one or more addresses separated by commas, as in \"broker-1:9092,broker-2:9092\"",
            ));
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap_servers);
        config.set("client.id", format!("runner-{}-{}", context.pipeline, context.component));
        // Reconnects to a restarted broker within a second, instead of ten.
        config.set("reconnect.backoff.max.ms", "1000");
        self.secure(context, &mut config)?;
        if self.security_protocol != SecurityProtocol::Plaintext {
            needs_tls_build()?;
        }
        extend(&mut config);
        let mut errors = Vec::new();
        for (name, Setting(value)) in &self.librdkafka_options.0 {
            let option = || format!("librdkafka_options.{name}");
            let mut reserved = RESERVED.iter().chain(self.reserved);
            if let Some((_, why)) = reserved.find(|(reserved, _)| reserved == name) {
                errors.push(OptionError::new(option(), format!("`{name}` cannot be set here: {why}")));
                continue;
            }
            config.set(name, value);
            // The library validates a setting without a connection.
            if let Err(error) = config.create_native_config() {
                errors.push(OptionError::new(option(), reason(&error)));
                config.remove(name);
            }
        }
        OptionErrors::none_of(errors)?;
        config.create_native_config()?;
        Ok(config)
    }

    fn secure(&self, context: &BuildContext, config: &mut ClientConfig) -> Result<()> {
        let protocol = self.security_protocol;
        let given = |option: Option<&String>| option.filter(|text| !text.is_empty()).cloned();
        config.set("security.protocol", protocol.name());
        if protocol.is_encrypted() {
            let path =
                |path: Option<&String>| given(path).map(|it| context.resolve(&it).display().to_string());
            let ca_file = self.tls.and_then(|tls| path(tls.ca_file.as_ref()));
            config.set("ssl.ca.location", ca_file.unwrap_or_else(|| "probe".into()));
            if let Some(tls) = self.tls {
                let settings = [
                    ("ssl.certificate.location", path(tls.crt_file.as_ref())),
                    ("ssl.key.location", path(tls.key_file.as_ref())),
                    ("ssl.key.password", tls.key_pass.as_ref().map(|password| password.expose().to_owned())),
                ];
                for (name, value) in settings {
                    if let Some(value) = value {
                        config.set(name, value);
                    }
                }
                let check = if tls.verify_hostname { "https" } else { "none" };
                config.set("ssl.endpoint.identification.algorithm", check);
            }
        } else if self.tls.is_some() {
            let message = "certificates are not used without encryption: set `security_protocol` to \"ssl\" or \"sasl_ssl\"";
            return Err(OptionError::new("tls", message));
        }
        let username = self.sasl.and_then(|sasl| given(sasl.username.as_ref()));
        if !protocol.is_authenticated() {
            const UNUSED: &str = "credentials are not used without authentication: set `security_protocol` to \"sasl_ssl\" or \"sasl_plaintext\"";
            return if username.is_some() { Err(OptionError::new("sasl", UNUSED)) } else { Ok(()) };
        }
        let missing = |option| {
            let message =
                format!("`security_protocol` is \"{}\", which requires `{option}`", protocol.name());
            OptionError::new(option, message)
        };
        let mechanism = self.sasl.and_then(|sasl| given(sasl.mechanism.as_ref()));
        let mechanism = mechanism.ok_or_else(|| missing("sasl.mechanism"))?.to_ascii_uppercase();
        if !MECHANISMS.contains(&&*mechanism) {
            let message = format!("`{mechanism}` is not one of {}", MECHANISMS.join(", "));
            return Err(OptionError::new("sasl.mechanism", message));
        }
        let password = self.sasl.and_then(|sasl| sasl.password.as_ref());
        let password = password.filter(|password| !password.expose().is_empty());
        config.set("sasl.mechanism", mechanism);
        config.set("sasl.username", username.ok_or_else(|| missing("sasl.username"))?);
        config.set("sasl.password", password.ok_or_else(|| missing("sasl.password"))?.expose());
        Ok(())
    }
}

/// An error unless the client library was built with TLS. SASL needs that build too:
/// without it only PLAIN would work, which sends unencrypted passwords.
fn needs_tls_build() -> Result<()> {
    let features = ClientConfig::new().create_native_config()?.get("builtin.features")?;
    if features.split(',').any(|built| built == "ssl") {
        return Ok(());
    }
    Err(OptionError::new(
        "security_protocol",
        "this runner was built without TLS and SASL for Kafka: build one with them, `cargo build --release \
         --features kafka-tls`",
    ))
}

/// The addresses in `bootstrap_servers`, sorted.
pub(crate) fn servers_of(list: &str) -> Vec<String> {
    let mut servers: Vec<String> = list.split(',').map(|server| server.trim().to_owned()).collect();
    servers.sort();
    servers
}

/// Why the client library rejects a setting, without its value.
fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, reason, ..) => reason.clone(),
        other => other.to_string(),
    }
}

/// An error of `option` if `topic` is not a valid topic name (`org.apache.kafka.common.internals.Topic`).
pub(crate) fn check_topic(option: &str, topic: &str) -> Result<(), Error> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if matches!(topic, "" | "." | "..") || topic.len() > 249 || !topic.chars().all(is_allowed) {
        let message = format!(
            "`{topic}` is not a valid topic name: use up to 249 ASCII letters, digits, `.`, `_` and `-`"
        );
        return Err(OptionError::new(option, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
