//! Where records come from.

mod athena;
mod csv;
mod http;
mod kafka;
