//! Formats of files other than CSV, known by the first bytes: `binary` ones, and those of `text`.

pub(crate) mod binary;
pub(crate) mod text;
