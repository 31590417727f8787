//! Tables of rows: a row that matches the columns is added, any other is rejected.
//!
//! `layout` knows the columns and builds the tables. `mismatch` says why a row does not match, and which option reads it;
//! `date_pattern` guesses the pattern of a date for this advice.

mod date_pattern;
mod layout;
mod mismatch;

pub(crate) use layout::{RowLayout, TableBuilder, reject};
