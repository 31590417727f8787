//! How a client is set up: who asks, where, and how long it waits.

use std::borrow::Cow;
use std::env;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_types::service_config::ServiceConfigKey;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A service of AWS, by the names that its configuration uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// For people.
    pub(crate) name: &'static str,
    /// The service's section in the `services` part of a profile.
    id: &'static str,
}

impl Service {
    pub(crate) const S3: Service = Service { name: "S3", id: "S3" };
    pub(crate) const GLUE: Service = Service { name: "Glue", id: "Glue" };
    pub(crate) const ATHENA: Service = Service { name: "Athena", id: "Athena" };
}

/// As whom and where a service is asked: what the environment, the profile and the options say together.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) config: SdkConfig,
    /// The address in force, if it is not AWS's own; wherever it came from.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
}

impl Access {
    /// Reads the environment and the profile, and may ask the machine's metadata for a region.
    pub(crate) async fn load(
        service: Service,
        region: Option<&str>,
        endpoint: Option<&Endpoint>,
    ) -> Result<Access> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client()?)
            .retry_config(retries())
            .timeout_config(timeouts(0))
            // Its upload check mistakes many small uploads that wait for their turn for a stall.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().upload_enabled(false).build(),
            );
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(Endpoint(url)) = endpoint {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let endpoint = match endpoint {
            Some(Endpoint(url)) => Some(url.clone()),
            None => service_endpoint(&config, service).or_else(|| config.endpoint_url().map(Into::into)),
        };
        // An empty variable is as good as none.
        let endpoint = endpoint.filter(|url| !url.is_empty());
        if endpoint.as_deref().is_some_and(names_user) {
            bail!("AWS_ENDPOINT_URL, or `endpoint_url` of the profile, for {}: {NO_USER}", service.name);
        }
        if let Some(region) = config.region().filter(|region| !region.as_ref().is_empty()) {
            let region = region.to_string();
            return Ok(Access { config, endpoint, region });
        }
        if endpoint.is_none() {
            bail!(
                "no AWS region is set for {}: run `aws configure`, or set AWS_REGION, or the option `region`",
                service.name
            );
        }
        // Servers that are not AWS seldom care, but a signature has to name one.
        let region = "us-east-1".to_owned();
        let config = config.into_builder().region(Region::new(region.clone())).build();
        Ok(Access { config, endpoint, region })
    }

    /// To a server of a test, without a look at the environment.
    #[cfg(test)]
    pub(crate) fn to(url: &str) -> Access {
        let region = "eu-central-1".to_owned();
        let keys = aws_credential_types::Credentials::new("key", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(keys))
            .http_client(http_client().expect("a client"))
            .retry_config(RetryConfig::disabled())
            .region(Region::new(region.clone()))
            .build();
        Access { config, endpoint: Some(url.to_owned()), region }
    }

    /// Where the service is, for messages: "at http://…" or "in region …".
    pub(crate) fn place(&self) -> String {
        match &self.endpoint {
            Some(url) => format!("at {url}"),
            None => format!("in region {}", self.region),
        }
    }
}

/// `AWS_ENDPOINT_URL_S3` and its kin, and the same in a profile; the SDK adds the service's name.
fn service_endpoint(config: &SdkConfig, service: Service) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service.id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    config.service_config()?.load_config(key.ok()?)
}

/// Servers and what stands before them drop idle connections silently, S3 after about 20 s.
const IDLE: Duration = Duration::from_secs(15);

fn http_client() -> Result<SharedHttpClient> {
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let client = aws_smithy_http_client::Builder::new();
    let Some(proxy) = proxy()? else {
        return Ok(client.pool_idle_timeout(IDLE).tls_provider(tls).build_https());
    };
    Ok(client.build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().pool_idle_timeout(IDLE).proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(tls.clone()).build()
    }))
}

/// The way to `https://` addresses that the environment tells: everything on this machine, and its metadata,
/// is `http://` and is reached without it.
#[expect(
    clippy::disallowed_methods,
    reason = "these names are the same for all programs, and the SDK reads the environment too"
)]
fn proxy() -> Result<Option<ProxyConfig>> {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let Some((name, url)) = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .find_map(|name| Some((name, given(name)?)))
    else {
        return Ok(None);
    };
    let proxy = ProxyConfig::https(url.as_str()).with_context(|| {
        // Without the address: it may hold a password.
        format!("{name} is not the address of a proxy: write it as `http://host:port`")
    })?;
    Ok(Some(match given("NO_PROXY").or_else(|| given("no_proxy")) {
        Some(hosts) => proxy.no_proxy(hosts),
        None => proxy,
    }))
}

/// A few quick attempts for what a second connection cures. Patience is the
/// engine's part: it tries again for `retry.timeout`, loudly.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1))
}

/// The slowest way on which a body still arrives, in bytes a second: many share the line, and each
/// has only its part of it.
const SLOWEST: usize = 16 << 10;

/// How long to wait for a request with a body of so many bytes. An attempt that is broken off has sent
/// them for nothing, and so would the next.
pub(crate) fn timeouts(n_bytes: usize) -> TimeoutConfig {
    let attempt = Duration::from_secs(30 + (n_bytes / SLOWEST) as u64);
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2)
        .build()
}

/// The address of a service that is not AWS's own, `http://` or `https://`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Endpoint(String);

const NO_USER: &str = "an address of a service holds no user and no password: write it as \"http://host:port\"; \
                       the keys of AWS come from the environment or a profile";

/// Whether a URL has a part in front of its host.
fn names_user(url: &str) -> bool {
    let host = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| host.contains('@'))
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        // Addresses are shown in messages.
        if names_user(&url) {
            return Err(NO_USER.into());
        }
        match host {
            Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(Endpoint(url)),
            _ => Err(format!("`{url}` is not the address of a service: write it as \"http://host:port\"")),
        }
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^https?://[^/]|\$\{" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_body_is_given_more_time() {
        assert_eq!(timeouts(0).operation_attempt_timeout(), Some(Duration::from_secs(30)));
        assert_eq!(timeouts(1 << 20).operation_attempt_timeout(), Some(Duration::from_secs(94)));
        assert_eq!(timeouts(1 << 20).operation_timeout(), Some(Duration::from_secs(188)));
    }

    #[test]
    fn an_endpoint_needs_its_scheme() {
        assert!(Endpoint::try_from("http://127.0.0.1:9000".to_owned()).is_ok());
        for url in ["127.0.0.1:9000", "s3://bucket", "http://", "https:///x"] {
            let error = Endpoint::try_from(url.to_owned()).unwrap_err();
            assert!(error.contains("http://host:port"), "{error}");
        }
    }

    #[test]
    fn an_endpoint_with_a_password_is_refused_without_showing_it() {
        for url in ["http://ada:hush@h:9000", "https://hush@h/p?q", "http://ada:hush@"] {
            let error = Endpoint::try_from(url.to_owned()).unwrap_err();
            assert!(error.contains("no password") && !error.contains("hush"), "{error}");
        }
        assert!(Endpoint::try_from("http://h/p@q".to_owned()).is_ok());
    }
}
