//! The engine runs a pipeline.

pub(crate) mod in_flight;
pub(crate) mod ledger;
