//! Runs each target with its seeds, then with random changes of them.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::change::change;

/// The seconds of random changes per target, unless `RUNNER_FUZZ_SECONDS` is set.
const SHORT: u64 = 5;
/// The same with `RUNNER_LONG` set.
const LONG: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs one target, and prints an input that fails, so that it can be kept as a seed.
fn bounded(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort_unstable();
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect();
    assert!(!seeds.is_empty());
    let try_one = |data: &[u8], what: &str| {
        let tried = catch_unwind(|| target(data));
        assert!(tried.is_ok(), "{what} of `{name}`: b\"{}\"", data.escape_ascii());
    };
    for (path, seed) in paths.iter().zip(&seeds) {
        try_one(seed, &path.display().to_string());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let mut random = Rng::with_seed(number("RUNNER_SEED").unwrap_or(now));
    let usual = if std::env::var_os("RUNNER_LONG").is_some() { LONG } else { SHORT };
    let until = Instant::now() + Duration::from_secs(number("RUNNER_FUZZ_SECONDS").unwrap_or(usual));
    let mut n_tried = 0;
    while Instant::now() < until {
        let seed = &seeds[random.usize(..seeds.len())];
        try_one(&change(seed, &seeds, &mut random), "a changed seed");
        n_tried += 1;
    }
    eprintln!("{name}: {} seeds, {n_tried} changes of them", seeds.len());
}

#[test]
fn csv_file_of_any_bytes_is_read_or_rejected() {
    bounded("csv", crate::csv);
}

#[test]
fn pipeline_file_of_any_bytes_is_loaded_or_refused() {
    bounded("pipeline_file", crate::pipeline_file);
}

#[test]
fn http_response_of_any_bytes_is_read_or_rejected() {
    bounded("answer", crate::answer);
}

#[test]
fn s3_key_of_any_text_is_accepted_or_refused() {
    bounded("key", crate::key);
}

#[test]
fn checkpoint_of_any_bytes_is_resumed_or_refused() {
    bounded("checkpoint", crate::checkpoint);
}

#[test]
fn to_json_body_of_any_text_is_converted_or_rejected() {
    bounded("json", crate::json);
}

#[test]
fn dead_letter_of_any_bytes_is_read_or_refused() {
    bounded("dead_letter", crate::dead_letter);
}

#[test]
fn program_of_any_text_is_refused_or_runs_on_any_record() {
    bounded("program", crate::program);
}

#[test]
fn select_of_any_fields_is_refused_or_gives_the_declared_fields() {
    bounded("select", crate::select);
}

#[test]
fn dedupe_of_any_rows_passes_the_first_in_one_run_and_in_many() {
    bounded("dedupe", crate::dedupe);
}
