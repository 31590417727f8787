//! Programs that a test may use where they are installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether a program can be used here; where it cannot the test says so by its
/// name and is left out, and in CI it fails.
pub fn has(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    if output.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let missing = format!("`{program} {}` does not run here", arguments.join(" "));
    assert!(std::env::var_os("CI").is_none(), "{test} cannot run: {missing}");
    let _ = writeln!(std::io::stderr(), "{test} is left out: {missing}");
    false
}
