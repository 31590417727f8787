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

/// The domains of AWS's own hosts. The names of VPC endpoints, such as
/// `bucket.vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com`, are among them.
const AWS_DOMAINS: [&str; 5] = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws", "c2s.ic.gov"];

/// Whether the host of a URL belongs to AWS.
pub(crate) fn is_aws(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.split_once(':').map_or(host, |(host, _)| host).trim_end_matches('.').to_ascii_lowercase();
    AWS_DOMAINS.iter().any(|domain| host.strip_suffix(domain).is_some_and(|name| name.ends_with('.')))
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
    fn vpc_endpoint_belongs_to_aws_and_a_similar_name_does_not() {
        for url in [
            "https://bucket.vpce-0a1b-2c3d.s3.eu-west-1.vpce.amazonaws.com",
            "https://vpce-0a1b.glue.eu-west-1.vpce.amazonaws.com:443/",
            "https://s3.dualstack.us-west-2.amazonaws.com",
            "https://S3.CN-NORTH-1.AMAZONAWS.COM.CN",
            "https://athena.eu-west-1.api.aws",
        ] {
            assert!(is_aws(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:9000",
            "https://amazonaws.com.example.org",
            "https://notamazonaws.com",
            "https://minio/amazonaws.com",
        ] {
            assert!(!is_aws(url), "{url}");
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
