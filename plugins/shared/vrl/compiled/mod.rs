//! Compiles programs, and runs them.

mod append;
mod compile;
mod functions;
mod guards;
mod limits;
mod metadata;
mod multiply;
mod program;
mod reason;
mod rewrite;
mod syntax;
mod target;
#[cfg(test)]
mod tests;
mod value;

use super::{Input, ProgramResult, ProgramText};

pub(crate) use limits::on_large_stack;
pub(crate) use metadata::Metadata;
pub(crate) use program::Program;
