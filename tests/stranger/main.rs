//! A stranger's binary: the stock one, and a plugin of their own linked in.

use std::process::ExitCode;

use acme_runner as _;
use runner_plugins as _;

fn main() -> ExitCode {
    runner::main()
}
