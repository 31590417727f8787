//! What several plugins need of the same outside world.

pub(crate) mod athena;
pub(crate) mod aws;
pub(crate) mod csv;
pub(crate) mod kafka;
pub(crate) mod key_template;
pub(crate) mod packing;
