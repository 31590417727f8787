//! Shared by the `kafka` source and the `kafka` sink.

mod client_errors;
mod connection;
mod error_codes;
mod probe;
mod transaction;

pub(crate) use client_errors::ClientErrors;
pub(crate) use connection::{
    Connection, LibrdkafkaOptions, Sasl, SecurityProtocol, Tls, check_topic, servers_of,
    with_connection_options,
};
pub(crate) use error_codes::{is_denied, is_outage};
pub(crate) use probe::{Probe, RefusedTopic, misadvertised, request_timeout, unreachable};
pub(crate) use transaction::Transactions;

/// What a source and a sink call the system where they find the same topics.
pub(crate) const SYSTEM: &str = "kafka";
/// The header with the entry number, in ASCII decimal.
pub(crate) const ENTRY_HEADER: &str = "runner-entry";
/// The header with the source that gave the entry number: `pipeline/component`.
pub(crate) const SOURCE_HEADER: &str = "runner-source";
/// The header with the state in which that source has counted, in hexadecimal.
pub(crate) const INCARNATION_HEADER: &str = "runner-incarnation";

/// Whether a header of this name belongs to the entry number of a record.
pub(crate) fn is_entry_header(name: &str) -> bool {
    matches!(name, ENTRY_HEADER | SOURCE_HEADER | INCARNATION_HEADER)
}
