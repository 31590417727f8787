//! The elements of `for_each`, each of which has a walk of its own.
//!
//! `for_each` is the option, and `used_fields` refuses elements that make the same request. At the
//! beginning of a poll `load` lists the elements, in a file or by a request, and `identity` finds their saved positions.

mod for_each;
mod identity;
mod load;
pub(crate) mod used_fields;

pub(crate) use self::for_each::{Element, ForEach};
