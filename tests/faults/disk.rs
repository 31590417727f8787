//! A full disk under checkpoints, files and dead letters.

use std::time::Duration;

use runner_needs::needs;

use crate::support::disk::SmallDisk;
use crate::support::{Running, Scene, report, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// Numbers at a pace into a file, and a small disk.
struct Numbers {
    scene: Scene,
    disk: SmallDisk,
}

const N_ROWS: usize = 2_000;

impl Numbers {
    /// `top` stands at the top of the pipeline file; `out` is the file to write to. Every tenth row is
    /// bad where `is_flawed`.
    fn new(top: &str, out: &str, is_flawed: bool) -> Numbers {
        let scene = Scene::new();
        let disk = SmallDisk::mount(&scene.path("small"));
        let row = |n| if is_flawed && n % 10 == 9 { format!("{n},too,many\n") } else { format!("{n}\n") };
        scene.write("numbers.csv", format!("n\n{}", (0..N_ROWS).map(row).collect::<String>()));
        scene.write(
            "p.toml",
            format!(
                "{top}\nretry = {{ initial = \"20ms\", max = \"200ms\" }}\n\
                 [sources.numbers]\ntype = \"csv\"\npath = \"numbers.csv\"\n\
                 [transforms.pace]\ntype = \"throttle\"\ninputs = [\"numbers\"]\nrate = 300\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"{out}\"\n"
            ),
        );
        Numbers { scene, disk }
    }

    fn start(&self) -> Running {
        let path = |name| self.scene.path(name).display().to_string();
        self.scene.start_by(&self.disk.entrance(), ["run", &path("p.toml"), "--report", &path("report.json")])
    }
}

fn numbers(text: &str) -> Vec<usize> {
    text.lines().map(|line| line.parse().expect("a whole number on every line")).collect()
}

#[test]
#[needs(mount)]
fn full_disk_under_checkpoint_ends_run_and_next_run_resumes() {
    let it = Numbers::new("data_dir = \"small/state\"", "out.txt", false);
    let running = it.start();
    wait_until("the first checkpoint", SOON, || !it.disk.read("state/p/numbers.json").is_empty());
    it.disk.fill_but(0);
    let full = running.wait(SOON);
    full.assert_code(1).assert_says(&["writing the checkpoint", "No space left"]);
    assert_eq!(report(it.scene.path("report.json"))["pipelines"][0]["status"], "failed");
    let n_before = numbers(&it.scene.read("out.txt")).len();
    assert!(n_before < N_ROWS, "the run was still under way");

    let still_full = it.start().wait(SOON);
    still_full.assert_code(1).assert_says(&["No space left"]);
    it.disk.free();
    it.start().wait(SOON).assert_code(0);
    let mut all = numbers(&it.scene.read("out.txt"));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..N_ROWS).collect::<Vec<_>>());
}

#[test]
#[needs(mount)]
fn full_disk_under_file_sink_is_retried_and_each_line_written_once() {
    let it = Numbers::new("", "small/out.txt", false);
    // The first page takes a part of what is written, which has to be undone.
    it.disk.fill_but(1);
    let running = it.start();
    wait_until("a word of it", SOON, || running.has_said("there is no room for more lines in"));
    it.disk.free();
    running.wait(SOON).assert_code(0);
    assert_eq!(numbers(&it.disk.read("out.txt")), (0..N_ROWS).collect::<Vec<_>>());
}

#[test]
#[needs(mount)]
fn full_disk_under_dead_letters_is_retried_and_none_dropped() {
    let dead_letter = "dead_letter = { type = \"file\", path = \"small/dead.jsonl\" }";
    let it = Numbers::new(dead_letter, "out.txt", true);
    it.disk.fill_but(1);
    let running = it.start();
    wait_until("a word of it", SOON, || running.has_said("there is no room for more lines in"));
    it.disk.free();
    running.wait(SOON).assert_code(0);
    let (bad, good): (Vec<usize>, Vec<usize>) = (0..N_ROWS).partition(|n| n % 10 == 9);
    assert_eq!(numbers(&it.scene.read("out.txt")), good);
    let letters = it.disk.read("dead.jsonl");
    let entry = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["entry"].as_u64();
    let entries: Vec<usize> = letters.lines().map(|line| entry(line).expect("a number") as usize).collect();
    assert_eq!(entries, bad);
}
