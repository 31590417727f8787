//! `runner_fuzz::dead_letter` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runner_fuzz::dead_letter(data));
