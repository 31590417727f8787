//! Transforms.

mod limit;
mod sample;
mod select;
mod throttle;
mod to_json;
