//! The option `endpoint`: the URL of a server other than AWS's own.

use schemars::JsonSchema;
use serde::Deserialize;

/// The URL of a service, `http://` or `https://`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^https?://[^/]|\$\{"))]
pub(crate) struct Endpoint(String);

impl Endpoint {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that a URL has no user and no password: messages show endpoints.
pub(super) fn check_no_password(url: &str) -> Result<(), String> {
    let host = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    if host.is_some_and(|host| host.contains('@')) {
        return Err(
            "an endpoint has no user and no password: write it as \"http://host:port\"; AWS credentials \
                    come from the environment or a profile"
                .into(),
        );
    }
    Ok(())
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        check_no_password(&url)?;
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        match host {
            Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(Endpoint(url)),
            _ => Err(format!("`{url}` is not the URL of a service: write it as \"http://host:port\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_without_scheme_or_host_is_rejected() {
        assert!(Endpoint::try_from("http://127.0.0.1:9000".to_owned()).is_ok());
        for url in ["127.0.0.1:9000", "s3://bucket", "http://", "https:///x"] {
            let error = Endpoint::try_from(url.to_owned()).unwrap_err();
            assert!(error.contains("http://host:port"), "{error}");
        }
    }

    #[test]
    fn endpoint_with_password_is_rejected_without_showing_it() {
        for url in ["http://ada:hush@h:9000", "https://hush@h/p?q", "http://ada:hush@"] {
            let error = Endpoint::try_from(url.to_owned()).unwrap_err();
            assert!(error.contains("no password") && !error.contains("hush"), "{error}");
        }
        assert!(Endpoint::try_from("http://h/p@q".to_owned()).is_ok());
    }
}
