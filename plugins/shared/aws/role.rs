//! The option `assume_role`: the role with which a component calls AWS.

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
