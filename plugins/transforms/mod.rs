//! Transforms.

mod limit;
mod sample;
mod throttle;
mod to_json;
