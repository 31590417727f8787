//! Drives sources, transforms and sinks in the tests of plugins, and checks what every plugin must
//! do ([`conformance`]).

mod acks;
mod build;
pub mod conformance;
mod drive_sink;
mod drive_source;
mod drive_transform;

use bytes::Bytes;

use crate::batch::Batch;
use crate::build_context::{BuildContext, Upstream};
use crate::pipeline_options::{BatchLimits, RetryLimits};
use crate::progress::Gauges;
use crate::record::{Body, Name, Origin, Record};
use crate::text_error::Warnings;

pub use acks::{Acks, track};
pub use build::{build_sink, build_source, build_transform};
pub use drive_sink::write;
pub use drive_source::{Read, SourceDriver, start_at};
pub use drive_transform::{Collected, apply};

/// A record with this body, read from the source `test` at `offset`.
pub fn record(body: impl Into<String>, offset: u64) -> Record {
    let origin = Origin { source: Name::new("test"), partition: 0, offset };
    Record::new(Body::Bytes(Bytes::from(body.into())), origin)
}

/// A batch of records with these bodies and the offsets 0, 1, …
pub fn records(bodies: impl IntoIterator<Item = impl Into<String>>) -> Batch {
    batch(bodies.into_iter().zip(0..).map(|(body, offset)| record(body, offset)))
}

/// A batch of these records; see [`track`] to find out what becomes of them.
pub fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    track(records).0
}

/// The context of a component called `test`, with the defaults of a pipeline file.
pub fn context() -> BuildContext {
    BuildContext {
        pipeline: "pipeline".into(),
        component: "test".into(),
        folder: std::env::temp_dir(),
        batch: BatchLimits::default(),
        retry: RetryLimits::default(),
        gauges: Gauges::default().into(),
        upstream: Upstream::default(),
        is_dead_letter: false,
        warnings: Warnings::default(),
    }
}
