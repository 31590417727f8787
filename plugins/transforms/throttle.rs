//! `throttle`
