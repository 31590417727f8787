//! Transforms.

mod dedupe;
mod filter;
mod limit;
mod remap;
mod route;
mod sample;
mod select;
mod throttle;
mod to_json;
