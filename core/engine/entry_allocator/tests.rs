//! No number is ever given to two records, whatever happens to the file that says which were given.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::*;

/// A folder whose checkpoint can be kept from being written.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Disk(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn obstacle(&self) -> PathBuf {
        self.path().join("in.json.new")
    }

    /// Nothing can be written until it is freed.
    fn fill(&self) {
        // What a crash has left there goes first.
        let _ = std::fs::remove_file(self.obstacle());
        std::fs::create_dir_all(self.obstacle()).unwrap();
    }

    fn free(&self) {
        let _ = std::fs::remove_dir(self.obstacle());
    }

    fn resume(&self, numbering: Replay) -> (EntryAllocator, Start) {
        self.resume_from("a", numbering)
    }

    fn resume_from(&self, what: &str, numbering: Replay) -> (EntryAllocator, Start) {
        let folder = Arc::new(Folder::open(self.path()).unwrap());
        let fresh = Checkpoint::new("p", "in", "test", what.into());
        EntryAllocator::resume(folder, fresh, |old| old, numbering, false).unwrap()
    }

    fn reserved(&self) -> u64 {
        let all = crate::checkpoints(self.path()).unwrap();
        all.first().map_or(0, |checkpoint| checkpoint.reserved)
    }
}

fn progress(n_items: u64, position: u64) -> Progress {
    Progress { position: Some(Position(json!(position))), n_items }
}

#[tokio::test]
async fn a_reservation_that_another_write_has_failed_to_keep_is_not_taken_for_kept() {
    let disk = Disk::new();
    let (numbers, _) = disk.resume(Replay::NonDeterministic);
    numbers.reserve(10).await.unwrap();
    // Somebody writes; behind him the commit loop queues, and behind him the source.
    let writing = numbers.writing.lock().await;
    numbers.delivered(progress(10, 10));
    disk.fill();
    let release = async { drop(writing) };
    let (kept, reserved, ()) = tokio::join!(numbers.write(), numbers.reserve(5_000), release);
    assert!(kept.is_err());
    assert!(reserved.is_err(), "no file holds the numbers up to 5000");
    assert!(disk.reserved() < 5_000);
    assert!(numbers.reserve(5_000).await.is_err(), "nor does one now");
    disk.free();
    numbers.reserve(5_000).await.unwrap();
    assert!(disk.reserved() >= 5_000);
}

#[tokio::test]
async fn what_could_not_be_written_is_written_with_the_next_try() {
    let disk = Disk::new();
    let (numbers, _) = disk.resume(Replay::Deterministic);
    numbers.delivered(progress(3, 3));
    disk.fill();
    numbers.write().await.unwrap_err();
    disk.free();
    numbers.write().await.unwrap();
    drop(numbers);
    assert_eq!(disk.resume(Replay::Deterministic).1.position, Some(Position(json!(3))));
}

/// What happens to a source that counts.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It reads so many and numbers them; the commit loop may write meanwhile.
    Read { n: u64, beside_keeper: bool },
    /// Of what it has numbered in this run, this share has been delivered (in 255ths).
    Delivered(u8),
    /// The commit loop writes.
    Kept,
    /// The disk is full, or is not any more.
    Disk { is_full: bool },
    /// It dies: at once, or with both of them writing and polled so often.
    Crashed { n_polls: u8 },
    /// It ends in order; this share of what it has numbered left for the outside world.
    Ended(u8),
    /// From the next run on it reads something else.
    Edited,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u64..3_000, any::<bool>()).prop_map(|(n, beside_keeper)| Event::Read { n, beside_keeper }),
        2 => any::<u8>().prop_map(Event::Delivered),
        2 => Just(Event::Kept),
        1 => any::<bool>().prop_map(|is_full| Event::Disk { is_full }),
        2 => (0_u8..4).prop_map(|n_polls| Event::Crashed { n_polls }),
        2 => any::<u8>().prop_map(Event::Ended),
        1 => Just(Event::Edited),
    ]
}

/// One run of the source, and what the test knows of it.
struct Life {
    numbers: EntryAllocator,
    runtime: Runtime,
    /// The place in the source at which this run began to read.
    start: u64,
    n_given: u64,
    n_delivered: u64,
}

/// What a record is: what was read, and where in it.
type Known = (String, u64);

impl Life {
    fn begin(disk: &Disk, what: &str, numbering: Replay) -> Self {
        let (numbers, start) = disk.resume_from(what, numbering);
        let start = start.position.map_or(0, |position| position.0.as_u64().unwrap());
        let runtime = Builder::new_current_thread().build().unwrap();
        Life { numbers, runtime, start, n_given: 0, n_delivered: 0 }
    }

    /// Answers with the numbers and the places of what was read.
    fn read(&mut self, n: u64, beside_keeper: bool) -> Vec<(u64, u64)> {
        let reserve = self.numbers.reserve(self.n_given + n);
        let reserved = self.runtime.block_on(async {
            if beside_keeper { tokio::join!(self.numbers.write(), reserve).1 } else { reserve.await }
        });
        if reserved.is_err() {
            return Vec::new();
        }
        let items = self.n_given..self.n_given + n;
        self.n_given += n;
        items.map(|item| (self.numbers.entry(item).number, self.start + item)).collect()
    }

    fn crash(self, n_polls: u8) {
        self.runtime.block_on(async {
            let reserve = self.numbers.reserve(self.n_given + 5_000);
            let both = async { tokio::join!(self.numbers.write(), reserve) };
            tokio::pin!(both);
            for _ in 0..n_polls {
                if futures_util::poll!(&mut both).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        // A write that is under way ends before the file is looked at again.
        drop(self.runtime);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_number_is_given_twice_and_none_to_another_record(
        events in proptest::collection::vec(event(), 1..20),
    ) {
        for numbering in [Replay::NonDeterministic, Replay::Deterministic] {
            let disk = Disk::new();
            let (mut n_edits, mut what) = (0, "0".to_owned());
            // What may have been stored, by the runs before and by this one.
            let mut outside: HashMap<u64, Known> = HashMap::new();
            let mut given: Vec<(u64, Known)> = Vec::new();
            let mut life = Life::begin(&disk, &what, numbering);
            for &event in &events {
                match event {
                    Event::Read { n, beside_keeper } => {
                        for (number, place) in life.read(n, beside_keeper) {
                            let record = (what.clone(), place);
                            if let Some(other) = outside.get(&number) {
                                prop_assert_eq!(numbering, Replay::Deterministic, "{} is given twice", number);
                                prop_assert_eq!(other, &record, "{} is given to another", number);
                            }
                            given.push((number, record));
                        }
                    }
                    Event::Delivered(share) => {
                        life.n_delivered = life.n_delivered.max(life.n_given * u64::from(share) / 255);
                        life.numbers.delivered(progress(life.n_delivered, life.start + life.n_delivered));
                    }
                    Event::Kept => drop(life.runtime.block_on(life.numbers.write())),
                    Event::Disk { is_full: true } => disk.fill(),
                    Event::Disk { is_full: false } => disk.free(),
                    Event::Edited => n_edits += 1,
                    Event::Crashed { n_polls } => {
                        life.crash(n_polls);
                        outside.extend(given.drain(..));
                        what = n_edits.to_string();
                        life = Life::begin(&disk, &what, numbering);
                    }
                    Event::Ended(share) => {
                        let n_tried = life.n_delivered.max(life.n_given * u64::from(share) / 255);
                        if life.runtime.block_on(life.numbers.write_last(n_tried)).is_ok() {
                            // Nobody outside has seen the rest.
                            given.truncate(n_tried as usize);
                        }
                        drop(life);
                        outside.extend(given.drain(..));
                        what = n_edits.to_string();
                        life = Life::begin(&disk, &what, numbering);
                    }
                }
            }
        }
    }
}
