//! A crawl: the folders of a target read, and tables made of what lies in them.

mod grouping;
mod shape;
mod update;
mod walk;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use self::grouping::Grouping;
use crate::catalogue::{Catalogue, Crawler, Place};

/// How a crawl ended, and the tables it has touched.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: &'static str,
    pub(super) message: Option<String>,
    pub(super) created: Vec<String>,
    pub(super) updated: Vec<String>,
    pub(super) deleted: Vec<String>,
}

impl Outcome {
    pub(super) fn failed(message: String) -> Outcome {
        Outcome { status: "FAILED", message: Some(message), ..Outcome::default() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { status, message, created, updated, deleted } = self;
        match message {
            Some(message) => write!(f, "{status}: {message}"),
            None => {
                write!(f, "{status}, tables created {created:?}, updated {updated:?}, deleted {deleted:?}")
            }
        }
    }
}

/// Why a crawl does not go on.
enum Halt {
    Cancelled,
    Failed(String),
}

/// Says whether somebody has stopped the crawl.
struct Watch<'a>(&'a AtomicBool);

impl Watch<'_> {
    fn go_on(&self) -> Result<(), Halt> {
        if self.0.load(Ordering::Relaxed) { Err(Halt::Cancelled) } else { Ok(()) }
    }
}

/// Crawls all targets, then changes the catalogue at once.
pub(super) fn run(
    catalogue: &Catalogue,
    root: &Path,
    crawler: &Crawler,
    is_cancelled: &AtomicBool,
) -> Outcome {
    match crawl(catalogue, root, crawler, &Watch(is_cancelled)) {
        Ok(outcome) => outcome,
        Err(Halt::Cancelled) => Outcome { status: "CANCELLED", ..Outcome::default() },
        Err(Halt::Failed(message)) => Outcome::failed(message),
    }
}

fn crawl(catalogue: &Catalogue, root: &Path, crawler: &Crawler, watch: &Watch) -> Result<Outcome, Halt> {
    let grouping = Grouping::of(crawler.configuration.as_deref());
    let mut found = Vec::new();
    for target in &crawler.targets.s3 {
        let place = Place::parse(&target.path).map_err(Halt::Failed)?;
        let folder = walk::folder(root, &place, watch)?;
        found.extend(grouping.tables(folder, target.sample_size.unwrap_or(usize::MAX), watch)?);
    }
    watch.go_on()?;
    update::apply(catalogue, crawler, found).map_err(|fault| Halt::Failed(fault.to_string()))
}
