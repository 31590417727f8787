//! The offline cloud: a Kafka broker, S3, Glue, Athena and a stock API in one process on the loopback.
//!
//! It is for learning, demos and tests. The pipeline files that run against it are the ones that run
//! against a real cluster and a real AWS account: only environment variables differ.

#![cfg(feature = "cloud")]

mod athena;
mod catalogue;
mod cloud;
mod fault;
mod glue;
mod kafka;
mod keys;
mod listen;
mod request;
mod s3;
mod stocks;
pub mod web;

pub use athena::Athena;
pub use catalogue::Catalogue;
pub use cloud::{BUCKET, Bound, Cloud, Ports, RESULTS, Settings};
pub use fault::Fault;
pub use glue::Glue;
pub use kafka::Broker;
pub use keys::Keys;
pub use s3::Store;
