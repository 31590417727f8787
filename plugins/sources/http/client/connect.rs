//! Builds the HTTP client: timeouts, certificates, cookies, and which names it resolves.

use std::time::Duration;

use reqwest::Url;
use runner_core::Result;

use super::super::error::without_url;
use super::redirect::GuardedResolver;
use super::tls::{Tls, client_config};

/// Connect timeout, for hosts that drop packets.
const CONNECT: Duration = Duration::from_secs(10);

/// Builds the HTTP client for `home`; opens no connection.
pub(super) fn connect(
    home: &Url,
    token_url: Option<&Url>,
    timeout: Option<Duration>,
    tls: &Tls,
    keeps_cookies: bool,
) -> Result<reqwest::Client> {
    let hosts = [Some(home), token_url].into_iter().flatten().filter_map(Url::host_str);
    let trusted = hosts.map(str::to_owned).collect();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
        // `reqwest` removes only standard credential headers on a redirect to another host.
        // API keys in other headers and in the query would be lost or leaked.
        .redirect(reqwest::redirect::Policy::none())
        // It would decompress only the first member of a gzip body.
        .gzip(false)
        .cookie_store(keeps_cookies)
        .dns_resolver(GuardedResolver { trusted })
        .connect_timeout(timeout.map_or(CONNECT, |timeout| timeout.min(CONNECT)))
        .tls_backend_preconfigured(client_config(tls, home.scheme() == "https")?);
    let builder = match timeout {
        Some(timeout) => builder.timeout(timeout),
        None => builder,
    };
    builder.build().map_err(without_url)
}
