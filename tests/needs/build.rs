//! Looks for the programs that some tests need.
//!
//! With `CI` set all of them count as present: a test whose program is missing runs and fails.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build script reads the environment and prints to cargo"
)]

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["CI", "KAFKA_BOOTSTRAP_SERVERS", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // Installing a program changes the folder that it is installed in.
    for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()).filter(|it| it.is_dir()) {
        println!("cargo::rerun-if-changed={}", folder.display());
    }

    let in_ci = env::var_os("CI").is_some();
    let has_java = runs("java", &["-version"]) && runs("mvn", &["-version"]);
    let has_broker = env::var("KAFKA_BOOTSTRAP_SERVERS").is_ok_and(|servers| !servers.is_empty());
    let found = [
        ("java", in_ci || has_java),
        ("kafka", in_ci || has_java || has_broker),
        ("moto", in_ci || runs("moto_server", &["--help"])),
        ("aws", in_ci || runs("aws", &["--version"])),
        ("boto3", in_ci || runs("python3", &["-c", "import boto3"])),
        ("kcat", in_ci || runs("kcat", &["-V"])),
        // No program that can be installed gives this right, so a container without it skips these tests in CI too.
        ("mount", may_mount() && in_ci || can_mount()),
    ];
    for (need, is_there) in found {
        println!("cargo::rustc-check-cfg=cfg({need})");
        if is_there {
            println!("cargo::rustc-cfg={need}");
        }
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether this process has `CAP_SYS_ADMIN`: root has it, except in most containers.
fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & 1 << 21 != 0)
}

/// Mounts a disk in a mount namespace, which ends with the command.
fn can_mount() -> bool {
    let folder = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("disk");
    let folder = folder.to_string_lossy();
    let user: &[&str] = if may_mount() { &[] } else { &["--user", "--map-root-user"] };
    let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=4k tmpfs \"$0\" && touch \"$0/file\"";
    runs("unshare", &[user, &["--mount", "sh", "-c", script, &folder]].concat())
}
