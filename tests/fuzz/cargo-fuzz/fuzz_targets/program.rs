//! `runner_fuzz::program` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runner_fuzz::program(data));
