//! The `redirects` option: which hosts a redirect or a link may lead to.

use std::net::{IpAddr, Ipv6Addr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where redirects and links to the next page may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Redirects {
    /// To the host and port of `endpoint`, or from `http://` to `https://` of the same host.
    #[default]
    SameHost,
    /// To every host, except to loopback and link-local addresses, and never from `https://` to `http://`.
    Any,
    /// Redirects are errors; links lead to the host of `endpoint`.
    None,
}

/// Whether two URLs have the same host and port, or differ only in that the second one is `https://`
/// and both have the default port.
pub(super) fn is_same_host(home: &Url, url: &Url) -> bool {
    let is_same_port =
        url.scheme() == home.scheme() && url.port_or_known_default() == home.port_or_known_default();
    let is_upgrade = (home.scheme(), url.scheme()) == ("http", "https")
        && home.port_or_known_default() == Some(80)
        && url.port_or_known_default() == Some(443);
    url.host_str() == home.host_str() && (is_same_port || is_upgrade)
}

/// The same address over TLS, if `url` is on the host of an endpoint with `https://` and not encrypted: a server behind a
/// proxy may not know that the connection is encrypted. As in a browser with HSTS (RFC 6797, 8.3).
pub(super) fn over_tls(home: &Url, url: &Url) -> Option<Url> {
    if (home.scheme(), url.scheme()) != ("https", "http") {
        return None;
    }
    let mut secure = url.clone();
    secure.set_scheme("https").ok()?;
    is_same_host(home, &secure).then_some(secure)
}

impl Redirects {
    /// Checks a redirect or a link from `from` to `to`; `home` is the endpoint. The error is the reason
    /// and what to do, to be added to a sentence that names both URLs.
    pub(crate) fn check(self, home: &Url, from: &Url, to: &Url) -> Result<(), &'static str> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err("only http:// and https:// are followed");
        }
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err("an encrypted connection is never left for an unencrypted one");
        }
        if is_same_host(home, to) {
            return Ok(());
        }
        if self != Redirects::Any {
            return Err("which is another host than that of `endpoint`; set `endpoint` to the new address, \
                 or allow other hosts with `redirects = \"any\"` (they receive no credentials, no `headers` and no `body`)");
        }
        if is_local(to) && !(is_local(home) && home.host_str() == to.host_str()) {
            return Err(
                "which is a loopback or link-local address; these are followed only from the same address",
            );
        }
        Ok(())
    }
}

/// Whether a URL leads to this machine, or to the services of a cloud for one machine.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => is_local_address(address.into()),
        Some(url::Host::Ipv6(address)) => is_local_address(address.into()),
        Some(url::Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn is_local_address(address: IpAddr) -> bool {
    /// The metadata service of EC2 over IPv6.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.octets()[0] == 0,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_local_address(mapped.into()),
            None => {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unicast_link_local()
                    || address == METADATA
            }
        },
    }
}

/// Resolves names; only those of the pipeline file may have a local address.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) trusted: Vec<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_trusted = self.trusted.iter().any(|it| name.as_str().eq_ignore_ascii_case(it));
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !is_trusted && found.iter().any(|address| is_local_address(address.ip())) {
                let why =
                    "the name has a loopback or link-local address, which is allowed only for `endpoint`";
                return Err(why.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: Redirects, from: &str, to: &str) -> bool {
        let from = Url::parse(from).unwrap();
        policy.check(&from, &from, &Url::parse(to).unwrap()).is_ok()
    }

    #[test]
    fn same_host_is_the_same_port_or_the_upgrade_to_tls() {
        for (from, to) in [
            ("http://a/x", "http://a/y?z"),
            ("http://a/", "https://a/"),
            ("http://a:8080/", "http://a:8080/"),
        ] {
            assert!(check(Redirects::SameHost, from, to), "{to}");
        }
        for to in ["http://b/", "http://a:8080/", "https://a:8443/", "http://a.b/", "ftp://a/"] {
            assert!(!check(Redirects::SameHost, "http://a/", to), "{to}");
        }
        assert!(!check(Redirects::SameHost, "https://a/", "http://a/"));
    }

    #[test]
    fn unencrypted_address_of_the_endpoint_is_asked_over_tls() {
        for (home, url, secure) in [
            ("https://a/x", "http://a/y?z=1", Some("https://a/y?z=1")),
            ("https://a/x", "http://a:80/y", Some("https://a/y")),
            ("https://a/x", "http://a:443/y", Some("https://a/y")),
            ("https://a:8443/x", "http://a:8443/y", Some("https://a:8443/y")),
            ("https://a/x", "http://b/y", None),
            ("https://a/x", "http://a:8080/y", None),
            ("https://a:8443/x", "http://a/y", None),
            ("http://a/x", "http://a/y", None),
            ("https://a/x", "https://a/y", None),
        ] {
            let found = over_tls(&Url::parse(home).unwrap(), &Url::parse(url).unwrap());
            assert_eq!(found.as_ref().map(Url::as_str), secure, "{home} {url}");
        }
    }

    #[test]
    fn any_host_excludes_local_addresses_and_downgrades() {
        let any = |from, to| check(Redirects::Any, from, to);
        assert!(any("https://a/", "https://b:8443/"));
        assert!(any("http://127.0.0.1:1/", "http://127.0.0.1:2/"));
        assert!(!any("https://a/", "http://b/"));
        for to in [
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://0.0.0.0/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://localhost/",
            "http://x.localhost/",
            "http://localhost./",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(!any("http://a/", to), "{to}");
            assert!(!any("http://127.0.0.2/", to), "{to}");
        }
    }

    #[tokio::test]
    async fn only_names_of_the_pipeline_file_resolve_to_local_addresses() {
        let resolve = |home: &str| {
            let resolver = GuardedResolver { trusted: vec!["b".into(), home.into()] };
            resolver.resolve("localhost".parse().unwrap())
        };
        assert!(resolve("localhost").await.is_ok());
        let error = resolve("api.example.com").await.err().expect("an error");
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}
