//! Access to a service of AWS: credentials, region and endpoint, HTTP client, retries and timeouts.

use std::env;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_types::service_config::ServiceConfigKey;

use super::endpoint::{Endpoint, check_no_password};

/// Access to one service: what the environment, the profile and the options configure together.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The service id of AWS, such as `S3`: in the `services` part of a profile, and in messages.
    pub(crate) service: &'static str,
    pub(crate) config: SdkConfig,
    /// The endpoint, unless it is AWS's own; from an option, a variable or the profile.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
}

impl Access {
    /// Reads the environment and the profile, and may request the region from the metadata service of the machine.
    pub(crate) async fn load(
        service: &'static str,
        region: Option<&str>,
        endpoint: Option<&Endpoint>,
    ) -> Result<Access> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client()?)
            .retry_config(retries())
            .timeout_config(timeouts(0))
            // The upload check takes many small uploads that wait for a connection for a stalled one.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().upload_enabled(false).build(),
            );
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint.as_str());
        }
        let config = loader.load().await;
        let endpoint = match endpoint {
            Some(endpoint) => Some(endpoint.as_str().to_owned()),
            None => service_endpoint(&config, service).or_else(|| config.endpoint_url().map(Into::into)),
        };
        // An empty variable counts as unset.
        let endpoint = endpoint.filter(|url| !url.is_empty());
        if let Some(url) = &endpoint {
            check_no_password(url).map_err(Error::msg).with_context(|| {
                format!("AWS_ENDPOINT_URL or `endpoint_url` of the profile for {service} is not valid")
            })?;
        }
        if let Some(region) = config.region().filter(|region| !region.as_ref().is_empty()) {
            let region = region.to_string();
            return Ok(Access { service, config, endpoint, region });
        }
        if endpoint.is_none() {
            bail!(
                "no AWS region is set for {service}: run `aws configure`, or set AWS_REGION or the option `region`"
            );
        }
        // Other servers seldom check the region, but a signature has to contain one.
        let region = "us-east-1".to_owned();
        let config = config.into_builder().region(Region::new(region.clone())).build();
        Ok(Access { service, config, endpoint, region })
    }

    /// Access to a test server at `url`, independent of the environment.
    #[cfg(test)]
    pub(crate) fn to_test_server(service: &'static str, url: String) -> Access {
        let region = "eu-central-1".to_owned();
        let keys = aws_credential_types::Credentials::new("key", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(keys))
            .http_client(http_client().expect("a client"))
            .retry_config(RetryConfig::disabled())
            .region(Region::new(region.clone()))
            .build();
        Access { service, config, endpoint: Some(url), region }
    }

    /// The service and its location, for messages: `S3 at http://…` or `S3 in region …`.
    pub(crate) fn location(&self) -> String {
        match &self.endpoint {
            Some(url) => format!("{} at {url}", self.service),
            None => format!("{} in region {}", self.service, self.region),
        }
    }
}

/// `AWS_ENDPOINT_URL_S3` and the like, and the same in a profile; the SDK derives the names from the service id.
fn service_endpoint(config: &SdkConfig, service: &'static str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    config.service_config()?.load_config(key.ok()?)
}

/// Servers and load balancers close idle connections silently, S3 after about 20 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

fn http_client() -> Result<SharedHttpClient> {
    let proxy = proxy()?;
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().pool_idle_timeout(IDLE_TIMEOUT).proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build()
    }))
}

/// The proxy for `https://` URLs that the environment configures.
///
/// Not `ProxyConfig::from_env`: it ignores an invalid value and connects directly, and it sends `http://`
/// requests through the proxy too. Those go to the metadata service of the machine or to a local server.
#[expect(
    clippy::disallowed_methods,
    reason = "these names are the same for all programs, and the SDK reads the environment too"
)]
fn proxy() -> Result<ProxyConfig> {
    let first_set = |names: &[&'static str]| {
        names.iter().find_map(|name| Some((*name, env::var(name).ok().filter(|value| !value.is_empty())?)))
    };
    let Some((name, url)) = first_set(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) else {
        return Ok(ProxyConfig::disabled());
    };
    let proxy = ProxyConfig::https(url.as_str()).with_context(|| {
        // Without the URL: it may contain a password.
        format!("{name} is not the address of a proxy: write it as `http://host:port`")
    })?;
    Ok(match first_set(&["NO_PROXY", "no_proxy"]) {
        Some((_, hosts)) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

/// A few quick attempts, enough for a broken connection. The engine retries longer
/// outages until `retry.timeout`, with a warning.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1))
}

/// The lowest upload rate of one request that does not time out, in bytes a second: many requests
/// share the line.
const MIN_UPLOAD_RATE: usize = 16 << 10;

/// The timeouts of a request with a body of `n_bytes`. An upload that times out is sent again from
/// its first byte, so a larger body gets more time.
pub(crate) fn timeouts(n_bytes: usize) -> TimeoutConfig {
    let attempt = Duration::from_secs(30 + (n_bytes / MIN_UPLOAD_RATE) as u64);
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_timeout_grows_with_the_body() {
        assert_eq!(timeouts(0).operation_attempt_timeout(), Some(Duration::from_secs(30)));
        assert_eq!(timeouts(1 << 20).operation_attempt_timeout(), Some(Duration::from_secs(94)));
        assert_eq!(timeouts(1 << 20).operation_timeout(), Some(Duration::from_secs(188)));
    }
}
