//! What becomes of records on their way.

mod limit;
mod sample;
mod throttle;
mod to_json;
