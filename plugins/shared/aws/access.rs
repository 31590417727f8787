//! Access to a service of AWS: credentials, region, endpoint and retries.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use aws_config::retry::{RetryConfig, RetryMode};
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::ServiceConfigKey;

use super::endpoint::{Endpoint, check_no_password, is_aws};
use super::http::{http_client, timeouts};
use super::role::{Role, RoleProvider};

/// The options that every AWS component has.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessOptions {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<Endpoint>,
    /// The role to assume with the credentials that were found.
    pub(crate) role: Option<Role>,
}

/// Access to one service: what the environment, the profile and the options configure together.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The service id of AWS, such as `S3`: in the `services` part of a profile, and in messages.
    pub(crate) service: &'static str,
    pub(crate) config: SdkConfig,
    /// The endpoint, unless it is that of the region; from an option, a variable or the profile.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
}

impl Access {
    /// Reads the environment and the profile, and may request the region from the metadata service of the machine.
    pub(crate) async fn load(service: &'static str, options: &AccessOptions) -> Result<Access> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client()?)
            // With a retry mode that it does not know, the SDK would panic.
            .retry_config(retries(None, None)?)
            .timeout_config(timeouts(0))
            // The upload check takes many small uploads that wait for a connection for a stalled one.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().upload_enabled(false).build(),
            );
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = loader.load().await;
        let endpoint = match &options.endpoint {
            Some(endpoint) => Some(endpoint.as_str().to_owned()),
            None => setting(&config, service, ("AWS_ENDPOINT_URL", "endpoint_url"))
                .or_else(|| config.endpoint_url().map(Into::into)),
        };
        // An empty variable counts as unset.
        let endpoint = endpoint.filter(|url| !url.is_empty());
        if let Some(url) = &endpoint {
            check_no_password(url).map_err(Error::msg).with_context(|| {
                format!("AWS_ENDPOINT_URL or `endpoint_url` of the profile for {service} is not valid")
            })?;
        }
        let retries = retries(
            setting(&config, service, ("AWS_MAX_ATTEMPTS", "max_attempts")).as_deref(),
            setting(&config, service, ("AWS_RETRY_MODE", "retry_mode")).as_deref(),
        )?;
        let region = match config.region().filter(|region| !region.as_ref().is_empty()) {
            Some(region) => region.clone(),
            // Other servers seldom check the region, but a signature has to contain one.
            None if endpoint.as_deref().is_some_and(|url| !is_aws(url)) => Region::from_static("us-east-1"),
            None => bail!(
                "no AWS region is set for {service}: run `aws configure`, or set AWS_REGION or the option `region`"
            ),
        };
        let config = config.into_builder().region(region.clone()).retry_config(retries).build();
        let config = match &options.role {
            Some(role) => assume(role, config).await,
            None => config,
        };
        Ok(Access { service, config, endpoint, region: region.to_string() })
    }

    /// Access to a test server at `url`, independent of the environment.
    #[cfg(test)]
    pub(crate) fn to_test_server(service: &'static str, url: String) -> Access {
        let region = "eu-central-1".to_owned();
        let keys = aws_credential_types::Credentials::new("key", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(SharedCredentialsProvider::new(keys))
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

    /// Whether the service is not AWS's own. A VPC endpoint is AWS's own.
    pub(crate) fn is_other_server(&self) -> bool {
        self.endpoint.as_deref().is_some_and(|url| !is_aws(url))
    }

    /// The value of a variable, or of a setting of the profile.
    pub(crate) fn setting(&self, variable: &'static str, profile: &'static str) -> Option<String> {
        setting(&self.config, self.service, (variable, profile))
    }
}

/// `config` with the credentials of a role instead of those that may assume it.
async fn assume(role: &Role, config: SdkConfig) -> SdkConfig {
    let mut provider =
        AssumeRoleProvider::builder(role.arn.as_str()).session_name("runner").configure(&config);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    let endpoint = setting(&config, "STS", ("AWS_ENDPOINT_URL", "endpoint_url"));
    let sts = match endpoint.as_deref().or(config.endpoint_url()).filter(|url| !url.is_empty()) {
        Some(url) => format!("STS at {url}"),
        None => format!("STS in region {}", config.region().map_or("unknown", AsRef::as_ref)),
    };
    let provider = RoleProvider { inner: provider.build().await, role: role.clone(), sts };
    config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

/// The value of a variable (also of `AWS_ENDPOINT_URL_S3` and the like), or of the setting of a profile.
fn setting(
    config: &SdkConfig,
    service: &'static str,
    (variable, profile): (&'static str, &'static str),
) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env(variable).profile(profile).build();
    config.service_config()?.load_config(key.ok()?).filter(|value| !value.is_empty())
}

/// A few quick attempts, enough for a broken connection, unless the user has set another number. The
/// engine retries longer outages until `retry.timeout`, with a warning.
fn retries(max_attempts: Option<&str>, mode: Option<&str>) -> Result<RetryConfig> {
    let mut retries = RetryConfig::standard()
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    if let Some(text) = max_attempts {
        match text.trim().parse() {
            Ok(n @ 1..) => retries = retries.with_max_attempts(n),
            _ => bail!("AWS_MAX_ATTEMPTS (`max_attempts` of the profile) is `{text}`: it is a number from 1"),
        }
    }
    match mode.map(|mode| mode.trim().to_ascii_lowercase()).as_deref() {
        // The SDK for Rust has never had the oldest mode, whose name is in many profiles.
        None | Some("standard" | "legacy") => {}
        Some("adaptive") => retries = retries.with_retry_mode(RetryMode::Adaptive),
        Some(other) => {
            bail!("AWS_RETRY_MODE (`retry_mode` of the profile) is `{other}`: it is `standard` or `adaptive`")
        }
    }
    Ok(retries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_mode_of_retries_are_those_that_the_user_sets() {
        let default = retries(None, None).unwrap();
        assert_eq!((default.max_attempts(), default.mode()), (3, RetryMode::Standard));
        let set = retries(Some("10"), Some("adaptive")).unwrap();
        assert_eq!((set.max_attempts(), set.mode()), (10, RetryMode::Adaptive));
        assert_eq!(retries(Some("1"), Some("legacy")).unwrap().mode(), RetryMode::Standard);
        for (max_attempts, mode) in [(Some("0"), None), (Some("many"), None), (None, Some("fast"))] {
            let error = retries(max_attempts, mode).unwrap_err().to_string();
            assert!(error.contains("AWS_"), "{error}");
        }
    }
}
