//! How the binary is linked.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "this is how a build script hears of the target, and tells the linker"
)]

fn main() {
    println!("cargo::rerun-if-changed=cli/build.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    // A binary of this size has hundreds of thousands of addresses to fill in when it starts. Packed,
    // their table takes some hundred kilobytes of memory instead of seven megabytes.
    if of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
