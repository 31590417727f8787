//! No entry number is ever given to two records, whatever happens to the checkpoint that reserves them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::*;

/// A folder whose checkpoint can be made impossible to write.
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

    /// Nothing can be written until `free` is called.
    fn fill(&self) {
        // A crash may have left a file there.
        let _ = std::fs::remove_file(self.obstacle());
        std::fs::create_dir_all(self.obstacle()).unwrap();
    }

    fn free(&self) {
        let _ = std::fs::remove_dir(self.obstacle());
    }

    fn resume(&self, replay: Replay) -> (EntryAllocator, Start) {
        self.resume_from("a", replay)
    }

    fn resume_from(&self, what: &str, replay: Replay) -> (EntryAllocator, Start) {
        let folder = Arc::new(Folder::lock(self.path()).unwrap());
        let fresh = Checkpoint::new("p", "in", "test", what.into());
        EntryAllocator::resume(folder, fresh, |old| old, replay, false).unwrap()
    }

    fn reserved(&self) -> u64 {
        let all = crate::checkpoints(self.path()).unwrap();
        all.first().map_or(0, |checkpoint| checkpoint.reserved)
    }
}

fn progress(n_items: u64, position: u64) -> Progress {
    Progress { position: Some(Position::new(position)), n_items }
}

#[tokio::test]
async fn reservation_that_was_not_written_is_not_used() {
    let disk = Disk::new();
    let (entries, _) = disk.resume(Replay::NonDeterministic);
    entries.reserve(10).await.unwrap();
    // One caller writes; the commit loop waits for it, and the source waits for the commit loop.
    let writing = entries.writing.lock().await;
    entries.delivered(progress(10, 10));
    disk.fill();
    let release = async { drop(writing) };
    let (written, reserved, ()) = tokio::join!(entries.write(), entries.reserve(5_000), release);
    assert!(written.is_err());
    assert!(reserved.is_err(), "no file reserves the numbers up to 5000");
    assert!(disk.reserved() < 5_000);
    assert!(entries.reserve(5_000).await.is_err(), "and none does now");
    disk.free();
    entries.reserve(5_000).await.unwrap();
    assert!(disk.reserved() >= 5_000);
}

#[tokio::test]
async fn failed_write_is_repeated_by_the_next() {
    let disk = Disk::new();
    let (entries, _) = disk.resume(Replay::Deterministic);
    entries.delivered(progress(3, 3));
    disk.fill();
    entries.write().await.unwrap_err();
    disk.free();
    entries.write().await.unwrap();
    drop(entries);
    assert_eq!(disk.resume(Replay::Deterministic).1.position, Some(3.into()));
}

/// What happens to a source whose records the engine counts.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The source reads so many and entries them; the commit loop may write at the same time.
    Read { n: u64, during_write: bool },
    /// Of the records numbered in this run, this share has been delivered (in 255ths).
    Delivered(u8),
    /// The commit loop writes.
    Written,
    /// The disk becomes full, or has room again.
    Disk { is_full: bool },
    /// The process is killed: at once, or while both write, after so many polls.
    Crashed { n_polls: u8 },
    /// The run ends regularly; a sink was asked to write this share of the numbered records.
    Ended(u8),
    /// From the next run on the source reads something else.
    Edited,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u64..3_000, any::<bool>()).prop_map(|(n, during_write)| Event::Read { n, during_write }),
        2 => any::<u8>().prop_map(Event::Delivered),
        2 => Just(Event::Written),
        1 => any::<bool>().prop_map(|is_full| Event::Disk { is_full }),
        2 => (0_u8..4).prop_map(|n_polls| Event::Crashed { n_polls }),
        2 => any::<u8>().prop_map(Event::Ended),
        1 => Just(Event::Edited),
    ]
}

/// One run of the source, and what the test knows of it.
struct Run {
    entries: EntryAllocator,
    runtime: Runtime,
    /// The place in the source at which this run began to read.
    start: u64,
    n_given: u64,
    n_delivered: u64,
}

/// What a record is: what was read, and where in it.
type Known = (String, u64);

impl Run {
    fn begin(disk: &Disk, what: &str, replay: Replay) -> Self {
        let (entries, start) = disk.resume_from(what, replay);
        let start = start.position.map_or(0, |position| position.as_u64().unwrap());
        let runtime = Builder::new_current_thread().build().unwrap();
        Run { entries, runtime, start, n_given: 0, n_delivered: 0 }
    }

    /// Returns the numbers and the places of what was read.
    fn read(&mut self, n: u64, during_write: bool) -> Vec<(u64, u64)> {
        let reserve = self.entries.reserve(self.n_given + n);
        let reserved = self.runtime.block_on(async {
            if during_write { tokio::join!(self.entries.write(), reserve).1 } else { reserve.await }
        });
        if reserved.is_err() {
            return Vec::new();
        }
        let items = self.n_given..self.n_given + n;
        self.n_given += n;
        items.map(|item| (self.entries.entry(item).number, self.start + item)).collect()
    }

    fn crash(self, n_polls: u8) {
        self.runtime.block_on(async {
            let reserve = self.entries.reserve(self.n_given + 5_000);
            let both = async { tokio::join!(self.entries.write(), reserve) };
            tokio::pin!(both);
            for _ in 0..n_polls {
                if futures_util::poll!(&mut both).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        // A write that has begun ends before the file is read again.
        drop(self.runtime);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn entry_number_is_never_given_to_two_records(
        events in proptest::collection::vec(event(), 1..20),
    ) {
        for replay in [Replay::NonDeterministic, Replay::Deterministic] {
            let disk = Disk::new();
            let (mut n_edits, mut what) = (0, "0".to_owned());
            // What may have been stored, by earlier runs and by this one.
            let mut outside: HashMap<u64, Known> = HashMap::new();
            let mut given: Vec<(u64, Known)> = Vec::new();
            let mut run = Run::begin(&disk, &what, replay);
            for &event in &events {
                match event {
                    Event::Read { n, during_write } => {
                        for (number, place) in run.read(n, during_write) {
                            let record = (what.clone(), place);
                            if let Some(other) = outside.get(&number) {
                                prop_assert_eq!(replay, Replay::Deterministic, "{} is given twice", number);
                                prop_assert_eq!(other, &record, "{} is given to another", number);
                            }
                            given.push((number, record));
                        }
                    }
                    Event::Delivered(share) => {
                        run.n_delivered = run.n_delivered.max(run.n_given * u64::from(share) / 255);
                        run.entries.delivered(progress(run.n_delivered, run.start + run.n_delivered));
                    }
                    Event::Written => drop(run.runtime.block_on(run.entries.write())),
                    Event::Disk { is_full: true } => disk.fill(),
                    Event::Disk { is_full: false } => disk.free(),
                    Event::Edited => n_edits += 1,
                    Event::Crashed { n_polls } => {
                        run.crash(n_polls);
                        outside.extend(given.drain(..));
                        what = n_edits.to_string();
                        run = Run::begin(&disk, &what, replay);
                    }
                    Event::Ended(share) => {
                        let n_tried = run.n_delivered.max(run.n_given * u64::from(share) / 255);
                        if run.runtime.block_on(run.entries.write_last(n_tried)).is_ok() {
                            // No sink has seen the rest.
                            given.truncate(n_tried as usize);
                        }
                        drop(run);
                        outside.extend(given.drain(..));
                        what = n_edits.to_string();
                        run = Run::begin(&disk, &what, replay);
                    }
                }
            }
        }
    }
}
