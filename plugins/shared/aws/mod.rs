//! What the plugins for AWS share: access to a service, its errors, and options with the same form.

mod access;
mod bucket_name;
mod endpoint;
mod error;

pub(crate) use access::{Access, timeouts};
pub(crate) use bucket_name::check_bucket_name;
pub(crate) use endpoint::Endpoint;
pub(crate) use error::{AwsError, Cause};
