//! What the plugins for AWS share: access to a service, its errors, and options with the same form.

mod access;
mod bucket_name;
mod endpoint;
mod error;
mod http;
mod reloading;
mod role;

pub(crate) use access::{Access, AccessOptions};
pub(crate) use bucket_name::{arn_needs_aws, check_bucket_name};
pub(crate) use endpoint::{Endpoint, is_aws};
pub(crate) use error::{AwsError, Cause};
pub(crate) use http::timeouts;
pub(crate) use reloading::ReloadingClient;
pub(crate) use role::{Role, RoleArn};
