//! Linker options of the binary, and the commit that it is built from.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "Cargo passes the target to a build script in variables and reads its output from stdout"
)]

fn main() {
    println!("cargo::rerun-if-changed=cli/build.rs");
    println!("cargo::rerun-if-env-changed=RUNNER_COMMIT");
    println!("cargo::rustc-env=RUNNER_COMMIT={}", commit());
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // The binary has hundreds of thousands of relative relocations. Packed, their table takes some
    // hundred kilobytes of memory instead of seven megabytes.
    if variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The commit, from `RUNNER_COMMIT` or from git; a source archive has none.
fn commit() -> String {
    // git writes to this file whenever the commit changes. Cargo would always build again for a missing file.
    let log = std::path::Path::new(".git/logs/HEAD");
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    let given = std::env::var("RUNNER_COMMIT").ok().filter(|commit| !commit.is_empty());
    let from_git = || {
        let git =
            std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        let commit = String::from_utf8(git.stdout).ok().filter(|_| git.status.success())?;
        Some(commit.trim().to_owned())
    };
    given.or_else(from_git).unwrap_or_else(|| "unknown".to_owned())
}
