//! The columns of the files: their names from the headers or the options, their types inferred once.
//!
//! `header` opens a file and reads what stands before its first row. `sample` observes the first rows, from which `infer`
//! takes the types. `known` has all columns so far, and lays out the rows of each file in them.

mod header;
mod infer;
mod known;
mod sample;

pub(super) use self::header::{EmptyFile, FileWithHeader, open_with_header, read_header};
pub(super) use self::infer::{infer, infer_from_stream};
pub(super) use self::known::{Columns, from_position};
