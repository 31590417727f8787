//! Decides for each dead letter which component it is sent to, or why it cannot be replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail};
use runner_core::{DeadLetter, Kind, LetterId, Pipeline};

use super::locked_file::{LockedFile, Number};
use super::reader::Line;
use super::repeats::{RepeatFinder, Repeats, subject};
use super::store::Store;
use crate::exit::print_message;
use crate::summary::count;

/// How many of the dead letters that cannot be replayed are listed.
const MAX_LISTED: usize = 20;

pub(super) struct ReplayPlan {
    pub(super) letters: Letters,
    /// The number of dead letters for each component, without repeats.
    pub(super) components: BTreeMap<String, u64>,
    pub(super) repeats: Repeats,
    /// The number of dead letters that cannot be replayed.
    pub(super) n_kept: u64,
    /// The first of them: file, line and reason.
    listed: Vec<String>,
    /// Whether a source rejected one of them.
    has_source_rejects: bool,
}

/// Where the letters of a replay are.
pub(super) enum Letters {
    Files(Vec<LockedFile>),
    Store {
        store: Store,
        /// The letters to be replayed.
        numbers: BTreeMap<LetterId, Number>,
        /// Letters of this pipeline that cannot be replayed, and those that cannot be read.
        kept: BTreeSet<LetterId>,
    },
}

enum Decision {
    SendTo(String, Box<DeadLetter>),
    /// A source rejected it.
    KeepSourceReject(String),
    Keep(String),
    /// It is a letter of another pipeline.
    Ignore(String),
}

impl Letters {
    /// Where `n` letters stay, for messages.
    fn place(&self, n: u64) -> String {
        match self {
            Letters::Files(_) if n == 1 => "in the file".into(),
            Letters::Files(_) => "in their files".into(),
            Letters::Store { store, .. } => format!("in {}", store.location()),
        }
    }
}

impl ReplayPlan {
    /// Locks the files and reads all of their dead letters. With `into`, all of them are sent to that component.
    pub(super) fn new(paths: &[PathBuf], pipeline: &Pipeline, into: Option<&str>) -> Result<ReplayPlan> {
        let mut planner = Planner::new(pipeline, into);
        let mut files = Vec::new();
        for path in paths {
            let place = path.display().to_string();
            files.push(LockedFile::open(path, |line| planner.number(&place, line).ok())?);
        }
        Ok(planner.plan(Letters::Files(files)))
    }

    /// Reads all letters of a store.
    pub(super) fn of_store(store: Store, pipeline: &Pipeline, into: Option<&str>) -> Result<ReplayPlan> {
        let mut planner = Planner::new(pipeline, into);
        let (mut numbers, mut kept) = (BTreeMap::new(), BTreeSet::new());
        let place = store.location();
        let lines = store.lines()?;
        lines.notes().iter().for_each(|note| print_message(note));
        for line in lines {
            let (id, line) = line?;
            match planner.number(&place, &line) {
                Ok(number) => drop(numbers.insert(id, number)),
                Err(Unplanned::Kept) => drop(kept.insert(id)),
                Err(Unplanned::Ignored) => {}
            }
        }
        Ok(planner.plan(Letters::Store { store, numbers, kept }))
    }

    /// Prints which dead letters cannot be replayed, and why.
    pub(super) fn print_kept(&self) {
        if self.n_kept == 0 {
            return;
        }
        print_message(&match self.n_kept {
            1 => format!("1 dead letter cannot be replayed and stays {}:", self.letters.place(1)),
            n => format!("{} dead letters cannot be replayed and stay {}:", count(n), self.letters.place(n)),
        });
        self.listed.iter().for_each(|line| print_message(&format!("  {line}")));
        let n_more = self.n_kept - self.listed.len() as u64;
        if n_more > 0 {
            print_message(&format!("  and {} more; `runner dlq list` shows them", count(n_more)));
        }
        if self.has_source_rejects {
            print_message(
                "Records that a source rejected cannot be sent to a component: correct the data or the options of \
                 the source and read the data again. Rows of a CSV file can be read from a file of their own, as \
                 docs/dead-letters.md shows; a source that continues behind them, such as `http` with `incremental`, \
                 needs `runner run --from-start`, which delivers all other records again. \
                 `runner dlq show` with `--body` prints the rejected bytes.",
            );
        }
    }
}

/// Decides on letters one after another.
struct Planner<'a> {
    pipeline: &'a str,
    kinds: BTreeMap<String, Kind>,
    into: Option<&'a str>,
    n_letters: Number,
    repeats: RepeatFinder,
    components: BTreeMap<String, u64>,
    n_kept: u64,
    listed: Vec<String>,
    has_source_rejects: bool,
}

/// A letter that is not replayed.
enum Unplanned {
    /// It is of this pipeline, or of none that is known.
    Kept,
    Ignored,
}

impl<'a> Planner<'a> {
    fn new(pipeline: &'a Pipeline, into: Option<&'a str>) -> Self {
        Planner {
            pipeline: &pipeline.name,
            kinds: kinds_of(pipeline),
            into,
            n_letters: 0,
            repeats: RepeatFinder::default(),
            components: BTreeMap::new(),
            n_kept: 0,
            listed: Vec::new(),
            has_source_rejects: false,
        }
    }

    /// The number of a letter to be replayed.
    fn number(&mut self, place: &str, line: &Line) -> Result<Number, Unplanned> {
        if line.is_blank() {
            return Err(Unplanned::Ignored);
        }
        let (reason, unplanned) = match decide(line, self.pipeline, &self.kinds, self.into) {
            Decision::SendTo(component, letter) => {
                self.n_letters += 1;
                if !self.repeats.add(self.n_letters, subject(&letter)) {
                    *self.components.entry(component).or_default() += 1;
                }
                return Ok(self.n_letters);
            }
            Decision::KeepSourceReject(reason) => {
                self.has_source_rejects = true;
                (reason, Unplanned::Kept)
            }
            Decision::Keep(reason) => (reason, Unplanned::Kept),
            Decision::Ignore(reason) => (reason, Unplanned::Ignored),
        };
        self.n_kept += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(format!("{place}:{}: {reason}", line.number));
        }
        Err(unplanned)
    }

    fn plan(self, letters: Letters) -> ReplayPlan {
        let Planner { components, repeats, n_kept, listed, has_source_rejects, .. } = self;
        ReplayPlan { letters, components, repeats: repeats.finish(), n_kept, listed, has_source_rejects }
    }
}

/// The components of a pipeline, by name.
fn kinds_of(pipeline: &Pipeline) -> BTreeMap<String, Kind> {
    pipeline.monitors().into_iter().map(|it| (it.name, it.kind)).collect()
}

/// Fails unless `--into` names a transform or sink of the pipeline.
pub(super) fn check_into(into: &str, pipeline: &Pipeline) -> Result<()> {
    let mut kinds = kinds_of(pipeline);
    kinds.retain(|name, kind| *kind != Kind::Source && name != "dead_letter");
    if !kinds.contains_key(into) {
        let names: Vec<String> = kinds.into_keys().collect();
        let file = pipeline.file.display();
        bail!("--into {into}: {file} has no transform or sink of that name; it has: {}", names.join(", "));
    }
    Ok(())
}

fn decide(line: &Line, pipeline: &str, kinds: &BTreeMap<String, Kind>, into: Option<&str>) -> Decision {
    let foreign =
        |other: &str| Decision::Ignore(format!("it belongs to pipeline `{other}`, not to `{pipeline}`"));
    let letter = match line.letter() {
        Ok(letter) => Box::new(letter),
        Err(error) => {
            let other = line.pipeline().filter(|other| other != pipeline);
            return other.map_or_else(|| Decision::Keep(format!("{error:#}")), |other| foreign(&other));
        }
    };
    if letter.pipeline != pipeline {
        return foreign(&letter.pipeline);
    }
    let component = letter.component.clone();
    match (kinds.get(&component), into) {
        (Some(Kind::Source), _) => {
            Decision::KeepSourceReject(format!("rejected by source `{component}`: {}", letter.reason))
        }
        (_, Some(into)) => Decision::SendTo(into.to_owned(), letter),
        (Some(Kind::Transform | Kind::Sink), None) => Decision::SendTo(component, letter),
        (None, None) => Decision::Keep(format!(
            "the pipeline no longer has a component `{component}`; `--into` sends the record to another one"
        )),
    }
}
