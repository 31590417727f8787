//! The fault matrix: what may fail between a source and a sink, one test a cell (docs/reliability.md).

/// An API under an `http` source.
mod api;
/// The Kafka broker and the way to it.
mod broker;
/// The bucket, the way to it, and who may use it.
mod bucket;
/// The disk under checkpoints, dead letters and files.
mod disk;
/// The members of a consumer group.
mod group;
