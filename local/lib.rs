//! The offline cloud: a Kafka broker, S3, Glue, Athena and a stock API in one process on the loopback.
//!
//! It is for learning, demos and tests. The pipeline files that run against it are the ones that run
//! against a real cluster and a real AWS account: only environment variables differ.

mod athena;
mod catalogue;
mod fault;
mod glue;
mod listen;

pub use athena::{Athena, AthenaSettings};
pub use catalogue::Catalogue;
pub use fault::Fault;
pub use glue::Glue;
