//! A full disk under checkpoints, files and dead letters.

use runner_needs::needs;

use crate::support::disk::SmallDisk;
use crate::support::{Running, SOON, TestEnv, report, wait_until};

/// A pipeline that writes numbers to a file at a fixed rate, and a small disk.
struct Numbers {
    env: TestEnv,
    disk: SmallDisk,
}

const N_ROWS: usize = 2_000;

impl Numbers {
    /// `top` is put at the top of the pipeline file; `out` is the output file. Every tenth row is
    /// bad if `is_flawed`.
    fn new(top: &str, out: &str, is_flawed: bool) -> Numbers {
        let env = TestEnv::new();
        let disk = SmallDisk::mount(&env.path("small"));
        let row = |n| if is_flawed && n % 10 == 9 { format!("{n},too,many\n") } else { format!("{n}\n") };
        env.write("numbers.csv", format!("n\n{}", (0..N_ROWS).map(row).collect::<String>()));
        env.write(
            "p.toml",
            format!(
                "{top}\nretry = {{ initial = \"20ms\", max = \"200ms\" }}\n\
                 [sources.numbers]\ntype = \"csv\"\npath = \"numbers.csv\"\n\
                 [transforms.pace]\ntype = \"throttle\"\ninputs = [\"numbers\"]\nrate = 300\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"{out}\"\n"
            ),
        );
        Numbers { env, disk }
    }

    fn start(&self) -> Running {
        let path = |name| self.env.path(name).display().to_string();
        self.env.start_via(
            &self.disk.nsenter_command(),
            ["run", &path("p.toml"), "--report", &path("report.json")],
        )
    }

    /// Runs on a full disk that has room again after the first retry.
    fn run_with_full_disk(&self) {
        // The first page holds part of the write, which the sink must undo.
        self.disk.fill_except(1);
        let running = self.start();
        wait_until("a warning about a retry", SOON, || {
            running.has_logged("there is no room for more lines in")
        });
        self.disk.free();
        running.wait(SOON).assert_code(0);
    }
}

fn numbers(text: &str) -> Vec<usize> {
    text.lines().map(|line| line.parse().expect("a whole number on every line")).collect()
}

#[needs(mount)]
#[test]
fn full_disk_under_checkpoint_ends_run_and_next_run_resumes() {
    let it = Numbers::new("data_dir = \"small/state\"", "out.txt", false);
    let running = it.start();
    wait_until("the first checkpoint", SOON, || !it.disk.read("state/p/numbers.json").is_empty());
    it.disk.fill_except(0);
    let full = running.wait(SOON);
    full.assert_code(1).assert_says(&["writing the checkpoint", "No space left"]);
    assert_eq!(report(it.env.path("report.json"))["pipelines"][0]["status"], "failed");
    let n_before = numbers(&it.env.read("out.txt")).len();
    assert!(n_before < N_ROWS, "the run must still be active");

    let still_full = it.start().wait(SOON);
    still_full.assert_code(1).assert_says(&["No space left"]);
    it.disk.free();
    it.start().wait(SOON).assert_code(0);
    let mut all = numbers(&it.env.read("out.txt"));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..N_ROWS).collect::<Vec<_>>());
}

#[needs(mount)]
#[test]
fn full_disk_under_file_sink_is_retried_and_each_line_written_once() {
    let it = Numbers::new("", "small/out.txt", false);
    it.run_with_full_disk();
    assert_eq!(numbers(&it.disk.read("out.txt")), (0..N_ROWS).collect::<Vec<_>>());
}

#[needs(mount)]
#[test]
fn full_disk_under_dead_letters_is_retried_and_none_dropped() {
    let dead_letter = "dead_letter = { type = \"file\", path = \"small/dead.jsonl\" }";
    let it = Numbers::new(dead_letter, "out.txt", true);
    it.run_with_full_disk();
    let (bad, good): (Vec<usize>, Vec<usize>) = (0..N_ROWS).partition(|n| n % 10 == 9);
    assert_eq!(numbers(&it.env.read("out.txt")), good);
    let letters = it.disk.read("dead.jsonl");
    let entry = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["entry"].as_u64();
    let entries: Vec<usize> = letters.lines().map(|line| entry(line).expect("a number") as usize).collect();
    assert_eq!(entries, bad);
}
