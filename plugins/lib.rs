//! The stock plugins of `runner`, one file or folder each.
//!
//! A binary links them in with `use runner_plugins as _;`.

mod shared;
mod sinks;
mod sources;
mod transforms;
