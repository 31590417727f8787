//! The stock plugins of `runner`, one file or folder each.
//!
//! A binary links them in with `use runner_plugins as _;`.

#[cfg(test)]
mod conformance_tests;
mod shared;
mod sinks;
mod sources;
mod transforms;

/// Reads and writes files that are plain, gzip or zstd.
pub mod compression {
    pub use crate::shared::compression::Compression;
}

/// Queries Athena outside of a pipeline, as `runner query` does.
pub mod athena {
    pub use crate::shared::athena::{
        Client, Column, CompletedQuery, Page, Query, QueryState, rename_repeated, write_object,
    };
}

/// The version of the Kafka client library that is linked in.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
