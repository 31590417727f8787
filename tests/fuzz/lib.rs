//! Random input for everything that `runner` parses.
//!
//! Each target takes any bytes, makes a pipeline from them and runs it in the real engine. It must
//! not panic and not hang, and the output must match the input. `cargo test` tries each seed and
//! some thousand changes of it; `cargo fuzz` continues from there:
//!
//!     mkdir --parents target/corpus/csv
//!     cargo +nightly fuzz run --sanitizer none --fuzz-dir tests/fuzz/cargo-fuzz csv target/corpus/csv tests/fuzz/seeds/csv
//!
//! Without the address sanitizer: there is no unsafe code to check, and the C libraries do not link with it.
//!
//! Commit an input that fails to `seeds/TARGET/` together with its fix.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a target reports a failure by a panic, and has no users"
)]

#[cfg(test)]
mod change;
mod env;
#[cfg(test)]
mod tests;
mod targets {
    pub(crate) mod answer;
    pub(crate) mod checkpoint;
    pub(crate) mod csv;
    pub(crate) mod dead_letter;
    pub(crate) mod dedupe;
    pub(crate) mod json;
    pub(crate) mod key;
    pub(crate) mod pipeline_file;
    pub(crate) mod program;
    pub(crate) mod select;
}

pub use targets::answer::answer;
pub use targets::checkpoint::checkpoint;
pub use targets::csv::csv;
pub use targets::dead_letter::dead_letter;
pub use targets::dedupe::dedupe;
pub use targets::json::json;
pub use targets::key::key;
pub use targets::pipeline_file::pipeline_file;
pub use targets::program::program;
pub use targets::select::select;
