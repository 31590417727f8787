//! What the `kafka` source and the `kafka` sink have in common.

mod access;
mod contact;
mod heard;
mod transaction;

pub(crate) use access::{Access, LibrdkafkaOptions, Sasl, SecurityProtocol, Tls, check_topic};
pub(crate) use contact::{Contact, is_denied, is_outage, misadvertised};
pub(crate) use heard::Heard;
pub(crate) use transaction::Transactions;
