//! The stock binary: the command line with the stock plugins linked in.

use std::process::ExitCode;

use runner_plugins as _;

/// Allocates for Rust and for C: one thread allocates a batch, and another frees it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runner::main()
}
