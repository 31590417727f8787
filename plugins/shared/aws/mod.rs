//! What the plugins for AWS share: how a client is set up, and what its errors mean.

mod bucket_name;
mod setup;
mod trouble;

pub(crate) use bucket_name::check_bucket_name;
pub(crate) use setup::{Access, Endpoint, Service, timeouts};
pub(crate) use trouble::{Kind, Trouble};
