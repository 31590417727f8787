//! The test environment: a folder, the binary, real servers.

pub mod api;
pub mod cloud;
pub mod disk;
mod env;
pub mod flow;
pub mod kafka;
pub mod moto;
pub mod oracle;
pub mod proxy;
pub mod s3;
pub mod stocks;

#[allow(unused_imports, reason = "the benchmarks take only some")]
pub use api::Api;
#[allow(unused_imports, reason = "the benchmarks take only some")]
pub use env::{Outcome, Running, SOON, TestEnv, amount, number, numbers, report, wait_until};
