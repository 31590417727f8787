//! The HTTP client of AWS services: proxy and timeouts.

use std::env;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};

/// Servers and load balancers close idle connections silently, S3 after about 20 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn http_client() -> Result<SharedHttpClient> {
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
