//! A scene to act in: a folder, the binary, real servers.

mod api;
pub mod cloud;
pub mod disk;
pub mod flow;
pub mod kafka;
pub mod moto;
pub mod oracle;
pub mod proxy;
pub mod s3;
mod scene;
pub mod stocks;

#[allow(unused_imports, reason = "the benchmarks take only some")]
pub use api::Api;
#[allow(unused_imports, reason = "the benchmarks take only some")]
pub use scene::{Outcome, Running, Scene, amount, number, report, wait_until};
