//! The fault matrix: faults between a source and a sink, one test per cell (docs/reliability.md).

/// An API under an `http` source.
mod api;
/// The Kafka broker and the connection to it.
mod broker;
/// The bucket, the connection to it, and its credentials.
mod bucket;
/// The disk under checkpoints, dead letters and files.
mod disk;
/// The members of a consumer group.
mod group;
