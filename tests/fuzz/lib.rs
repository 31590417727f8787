//! What people and machines hand to `runner`, at random.
//!
//! Each target takes any bytes, makes a pipeline of them and runs it through the real engine. It must
//! not panic and not hang, and what comes out must be what went in. `cargo test` tries each seed and
//! some thousand changes of it; `cargo fuzz` goes on from there for as long as it is let:
//!
//!     mkdir --parents target/corpus/csv
//!     cargo +nightly fuzz run --sanitizer none --fuzz-dir tests/fuzz/cargo-fuzz csv target/corpus/csv tests/fuzz/seeds/csv
//!
//! Without the sanitizer of addresses: there is no unsafe code to look into, and the C libraries do not link with it.
//!
//! What it finds belongs into `seeds/TARGET/` together with the cure.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a target tells of a fault by a panic, and has no users"
)]

#[cfg(test)]
mod change;
mod scene;
#[cfg(test)]
mod tests;
mod targets {
    pub(crate) mod answer;
    pub(crate) mod checkpoint;
    pub(crate) mod csv;
    pub(crate) mod dead_letter;
    pub(crate) mod json;
    pub(crate) mod key;
    pub(crate) mod pipeline_file;
}

pub use targets::answer::answer;
pub use targets::checkpoint::checkpoint;
pub use targets::csv::csv;
pub use targets::dead_letter::dead_letter;
pub use targets::json::json;
pub use targets::key::key;
pub use targets::pipeline_file::pipeline_file;
