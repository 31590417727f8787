//! The stock binary: the command line with the stock plugins linked in.

use std::process::ExitCode;

use runner_plugins as _;

/// Records are made by one thread and dropped by another, in C libraries too;
/// the allocator of the C library is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runner::main()
}
