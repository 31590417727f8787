//! Where records come from.

mod csv;
mod http;
mod kafka;
