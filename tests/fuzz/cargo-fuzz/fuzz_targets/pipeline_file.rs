//! `runner_fuzz::pipeline_file` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runner_fuzz::pipeline_file(data));
