//! What is wrong at a place of a pipeline file, shown with its lines and without its secrets.

mod diagnostic;
mod masked;
mod similar;

pub use diagnostic::{Diagnostic, Diagnostics, OtherFile};
pub(crate) use masked::MASK;
pub use similar::similar;
