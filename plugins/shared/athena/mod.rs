//! Queries in Athena: a client and the conversion of rows to JSON.

mod cell;
mod client;
mod column_names;

pub use cell::write_object;
pub use client::{Client, Column, CompletedQuery, Page, Query, QueryState};
pub(crate) use client::{POLL_MAX, POLL_MIN, RequestToken};
pub use column_names::rename_repeated;
