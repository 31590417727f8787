//! The option `assume_role`: the role with which a component calls AWS.

use std::error::Error as StdError;
use std::fmt;

use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use runner_core::{OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The ARN of a role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^arn:[^:]+:iam::[0-9]{12}:role/.|\$\{"))]
pub(crate) struct RoleArn(String);

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: RoleArn,
    pub(crate) external_id: Option<String>,
}

impl Role {
    /// The role of the options `assume_role` and `external_id`.
    pub(crate) fn of(arn: Option<RoleArn>, external_id: Option<String>) -> Result<Option<Role>> {
        match (arn, external_id.filter(|id| !id.is_empty())) {
            (Some(arn), external_id) => Ok(Some(Role { arn, external_id })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(OptionError::new(
                "external_id",
                "it belongs to a role: add `assume_role`, or leave it out",
            )),
        }
    }
}

impl RoleArn {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Assumes the role; its errors name the role and STS.
#[derive(Debug)]
pub(super) struct RoleProvider {
    pub(super) inner: AssumeRoleProvider,
    pub(super) role: Role,
    /// Where STS is: `STS in region …`.
    pub(super) sts: String,
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let provided = self.inner.provide_credentials().await;
            provided.map_err(|source| {
                let (role, sts) = (self.role.clone(), self.sts.clone());
                CredentialsError::provider_error(RoleError { role, sts, source })
            })
        })
    }
}

/// A role could not be assumed.
#[derive(Debug)]
pub(super) struct RoleError {
    pub(super) role: Role,
    pub(super) sts: String,
    source: CredentialsError,
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the role {} could not be assumed", self.role.arn.as_str())
    }
}

impl StdError for RoleError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

impl RoleError {
    /// What is wrong, and what to do, if STS has responded. `code` is that of its error, and `cause` says the rest.
    pub(super) fn explain(&self, code: &str, cause: &str) -> String {
        let (arn, sts) = (self.role.arn.as_str(), &self.sts);
        let advice = match code {
            _ if cause.contains("no credentials found") => {
                return format!(
                    "the role {arn} (`assume_role`) cannot be assumed without AWS credentials, and none were \
                     found: run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                );
            }
            "" => {
                "that is not a response of STS. AWS_ENDPOINT_URL also counts for STS: set AWS_ENDPOINT_URL_STS to a server \
                 with STS, or leave out `assume_role`"
            }
            "AccessDenied" if self.role.external_id.is_none() => {
                "the role must exist and trust this identity, which needs sts:AssumeRole on it; if the role demands an \
                 external ID, set `external_id`"
            }
            "AccessDenied" => {
                "the role must exist and trust this identity with this `external_id`, and the identity needs \
                 sts:AssumeRole on it"
            }
            "RegionDisabledException" => "activate STS in this region, or set `region` to another one",
            _ => {
                "these are the credentials that `assume_role` starts from: check them with `aws sts get-caller-identity`"
            }
        };
        format!("the role {arn} (`assume_role`) cannot be assumed ({sts}): {cause}; {advice}")
    }
}

impl TryFrom<String> for RoleArn {
    type Error = String;

    fn try_from(arn: String) -> std::result::Result<Self, String> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_role = matches!(*parts, ["arn", partition, "iam", "", account, name]
            if partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && name.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.ends_with('/')));
        if is_role {
            return Ok(RoleArn(arn));
        }
        Err(format!("`{arn}` is not the ARN of a role: write it as \"arn:aws:iam::123456789012:role/NAME\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_named_by_its_arn() {
        for arn in ["arn:aws:iam::123456789012:role/lake", "arn:aws-cn:iam::123456789012:role/path/lake"] {
            assert_eq!(RoleArn::try_from(arn.to_owned()).unwrap().as_str(), arn);
        }
        for arn in [
            "lake",
            "arn:aws:iam::123456789012:user/ada",
            "arn:aws:iam::12:role/x",
            "arn:aws:iam::123456789012:role/",
        ] {
            assert!(RoleArn::try_from(arn.to_owned()).unwrap_err().contains("ARN of a role"), "{arn}");
        }
    }
}
