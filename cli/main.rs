//! The `runner` binary: the command line with the built-in plugins.

use std::process::ExitCode;

use runner_plugins as _;

/// Used by Rust and C code alike. It is fast where one thread allocates a batch and another frees it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    runner::main()
}
