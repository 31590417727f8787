//! The functions that programs can call.

use std::sync::LazyLock;

use vrl::prelude::Function;

use super::append::Append;
use super::guards::guarded;
use super::multiply::Multiply;

/// Functions that are left out: a small record could make them fill the memory, or nest values
/// deeper than the stack allows.
const LEFT_OUT: [&str; 9] = [
    "decode_gzip",
    "decode_lz4",
    "decode_snappy",
    "decode_zlib",
    "decode_zstd",
    "parse_ruby_hash",
    "parse_xml",
    "sieve",
    "unflatten",
];

/// What programs can call.
pub(super) static FUNCTIONS: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(all);

/// The same, and the functions that stand in programs that were edited.
pub(super) static FUNCTIONS_OF_EDITED: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(|| {
    let mut functions = all();
    functions.push(Box::new(Append));
    functions.push(Box::new(Multiply));
    functions
});

fn all() -> Vec<Box<dyn Function>> {
    let mut functions = vrl::stdlib::all();
    functions.retain(|function| !is_left_out(function.identifier()));
    functions.into_iter().map(guarded).collect()
}

/// Whether VRL has a function of this name that programs cannot call here.
pub(super) fn is_left_out(name: &str) -> bool {
    LEFT_OUT.contains(&name)
}
