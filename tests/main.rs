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

/// The producers in `pipelines/apis` against servers that answer like their APIs.
mod apis;
/// The policies in docs/aws against the calls of the plugins.
mod aws_policies;
/// Bad records: exit code and log.
mod bad_records;
/// The kill campaign.
mod campaign;
/// Independent clients of the offline cloud.
mod clients;
/// The offline cloud: `demo`, `local`, `query`.
mod cloud;
/// Validation of pipeline files, and how errors are shown.
mod config;
/// The plugin contract of the plugins that need a server.
mod conformance;
/// The `csv` source: rows, types, resuming, bad rows.
mod csv;
mod csv_advice;
/// The transform `dedupe`.
mod dedupe;
/// Every record arrives once, also under kills.
mod delivery;
/// Dead letters: envelopes, `dlq list`, `show` and `replay`.
mod dlq;
/// `runner test` and `run --dry-run`.
mod dry_run;
/// Differences between the embedded broker and Apache Kafka.
mod embedded_broker;
/// From topic to topic in transactions, under kills.
mod exactly_once;
/// The fault matrix, one test per cell.
mod faults;
/// The `glue_crawl` sink against moto.
mod glue;
/// The `kafka` source as a member of a consumer group.
mod group;
/// The `http` source: responses, pagination, authentication, errors.
mod http;
/// The `kafka` source and sink against Apache Kafka.
mod kafka;
/// Permissions that a broker denies.
mod kafka_permissions;
/// A broker with TLS and SASL.
mod kafka_tls;
/// What Athena could not read is refused before it is stored.
mod lake;
/// Tests of the oracle that the delivery tests use.
mod oracle;
/// Records of other programs in the topic of the stock consumer.
mod other_producers;
/// The `run` verb: reports, exit codes, limits.
mod run;
/// Several files in one `run`.
mod run_many;
/// The `s3` sink against the store of the offline cloud, with errors on demand.
mod s3;
/// The committed schemas match the plugins.
mod schemas;
/// The transform `select`.
mod select;
/// The transforms `remap`, `filter` and `route`.
mod shaping;
/// Signals, deadlines, releasing records.
mod shutdown;
/// Sustained load with flat memory.
mod soak;
/// Pairs of a source and a sink, killed repeatedly.
mod source_sink_pairs;
/// Where checkpoints are kept, and who may read them.
mod state;
/// Licences and origins of the dependencies.
mod supply_chain;
/// Output on a terminal.
mod terminal;
/// The layout rules of the source tree.
mod tidy;
