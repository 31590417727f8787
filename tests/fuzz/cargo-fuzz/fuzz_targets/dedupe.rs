//! `runner_fuzz::dedupe` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runner_fuzz::dedupe(data));
