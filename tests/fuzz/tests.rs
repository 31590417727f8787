//! Each target with its seeds, and with changes of them for a moment.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::change::change;

/// How long each target is tried with changes, unless `RUNNER_FUZZ_SECONDS` says otherwise.
const A_MOMENT: u64 = 5;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Shows what a target has fallen over, so that it can be kept as a seed.
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
    let until = Instant::now() + Duration::from_secs(number("RUNNER_FUZZ_SECONDS").unwrap_or(A_MOMENT));
    let mut n_tried = 0;
    while Instant::now() < until {
        let seed = &seeds[random.usize(..seeds.len())];
        try_one(&change(seed, &seeds, &mut random), "a change of a seed");
        n_tried += 1;
    }
    eprintln!("{name}: {} seeds, {n_tried} changes of them", seeds.len());
}

#[test]
fn any_bytes_as_a_csv_file() {
    bounded("csv", crate::csv);
}

#[test]
fn any_bytes_as_a_pipeline_file() {
    bounded("pipeline_file", crate::pipeline_file);
}

#[test]
fn any_bytes_as_an_answer_of_an_api() {
    bounded("answer", crate::answer);
}

#[test]
fn any_text_as_the_key_of_objects() {
    bounded("key", crate::key);
}

#[test]
fn any_bytes_as_a_checkpoint() {
    bounded("checkpoint", crate::checkpoint);
}

#[test]
fn any_text_as_bodies_of_json() {
    bounded("json", crate::json);
}

#[test]
fn any_bytes_as_a_dead_letter() {
    bounded("dead_letter", crate::dead_letter);
}
