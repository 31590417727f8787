//! Transforms.

mod dedupe;
mod filter;
mod limit;
mod remap;
mod route;
mod sample;
mod select;
#[cfg(test)]
mod test_rows;
mod throttle;
mod to_json;
