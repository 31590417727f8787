//! What the plugins for AWS share: how a client is set up, and what its errors mean.

mod setup;
mod trouble;

pub(crate) use setup::{Access, Endpoint, Service};
pub(crate) use trouble::{Kind, Trouble};
