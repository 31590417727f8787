//! The columns of the files: their names from the headers or the options, their types inferred once.
//!
//! `header` opens a file and reads what stands before its first row. `sample` observes the first rows, from which `infer`
//! takes the types. `known` has all columns so far, and lays out the rows of each file in them. `changed_options` compares
//! the rows that an earlier run has read with what other options make of them.

mod changed_options;
mod header;
mod infer;
mod known;
mod sample;

pub(super) use self::changed_options::check_changed_options;
pub(super) use self::header::{EmptyFile, FileWithHeader, open_with_header, read_header};
pub(super) use self::infer::{infer, infer_from_stream};
pub(super) use self::known::{Columns, from_position};
