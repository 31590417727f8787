//! The `runner` binary: the command line with the built-in plugins.

use std::process::ExitCode;

use runner_plugins as _;

/// Allocates for Rust and for C: one thread allocates a batch, and another frees it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runner::main()
}
