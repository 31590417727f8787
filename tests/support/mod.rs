//! A scene to act in: a folder, the binary, real servers.

mod api;
pub mod kafka;
pub mod moto;
pub mod s3;
mod scene;
pub mod stocks;

pub use api::Api;
pub use scene::{Outcome, Running, Scene, report, wait_until};
