//! `to_json`
