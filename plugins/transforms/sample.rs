//! `sample`
