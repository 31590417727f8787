//! Linker options of the binary.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "Cargo passes the target to a build script in variables and reads its output from stdout"
)]

fn main() {
    println!("cargo::rerun-if-changed=cli/build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // The binary has hundreds of thousands of relative relocations. Packed, their table takes some
    // hundred kilobytes of memory instead of seven megabytes.
    if variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
