//! Drives the real binary: a pipeline file in, bytes out.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::doc_markdown,
    clippy::print_stderr,
    clippy::unused_self,
    reason = "a test crate has no users"
)]

#[allow(dead_code, reason = "the benchmarks share it")]
mod support;

/// A campaign of kills.
mod campaign;
/// Foreign clients of the offline cloud.
mod clients;
/// The offline cloud: `demo`, `local`, `query`.
mod cloud;
/// What a pipeline file may say, and how its slips are shown.
mod config;
/// The `csv` source: rows, types, resuming, bad rows.
mod csv;
/// Every record arrives once, whatever is killed.
mod delivery;
/// What brokers deny.
mod denied;
/// Where the embedded broker is not Apache Kafka.
mod differences;
/// Dead letters: envelopes, `dlq list`, `show` and `replay`.
mod dlq;
/// From topic to topic in transactions, whoever is killed.
mod exactly_once;
/// The fault matrix: what may fail, one test a cell.
mod faults;
/// The `glue_crawl` sink against an independent Glue.
mod glue;
/// The `kafka` source as a member of a group: slow sinks, ends, denials.
mod group;
/// The `http` source: answers, pages, cursors, denials.
mod http;
/// The `kafka` source and sink against a real broker.
mod kafka;
/// The judge of the delivery tests is tested itself.
mod oracle;
/// Pairs of a source and a sink, killed again and again.
mod pairs;
/// The `run` verb: reports, exit codes, limits.
mod run;
/// The `s3` sink against the store of the offline cloud, and what it does with refusals.
mod s3;
/// The committed schemas are what the plugins say.
mod schemas;
/// A broker that encrypts and wants to know who comes.
mod secure;
/// Signals, deadlines, giving back.
mod shutdown;
/// Full load for a while, and memory that stays flat.
mod soak;
/// What is shown on a terminal.
mod terminal;
/// The rules of the tree.
mod tidy;
/// Several files in one `run`.
mod together;
