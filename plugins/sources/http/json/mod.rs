//! JSON texts whose bytes stay as the API wrote them.
//!
//! `scan` finds values by their brackets, `pointer` finds the one at a place of a response, and `field` those of a
//! record. Everything else in this source depends on this folder, and it on nothing but the standard parsers.

mod field;
mod pointer;
pub(crate) mod scan;

pub(crate) use self::field::{ContentHash, Field, Fields, Members, json_text};
pub(crate) use self::pointer::{Located, Pointer, describe, holds_nothing};
pub(crate) use self::scan::{Children, ScanError, without_nan};
