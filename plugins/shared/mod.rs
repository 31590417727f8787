//! What several plugins share.

pub(crate) mod athena;
pub(crate) mod aws;
pub(crate) mod compression;
pub(crate) mod csv;
pub(crate) mod kafka;
pub(crate) mod key_template;
#[allow(dead_code, reason = "the transform `select` and the dates of `csv` are built on it")]
pub(crate) mod values;
