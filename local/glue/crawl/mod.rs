//! A crawl: reads the folders of the targets and creates tables for them.

mod found;
mod shape;
mod update;

use std::fmt;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::catalogue::{Catalogue, Crawler, Folder, Location};

/// The outcome of a crawl and the tables it has changed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: &'static str,
    pub(super) message: Option<String>,
    created: Vec<String>,
    updated: Vec<String>,
}

impl Outcome {
    pub(super) fn failed(message: String) -> Outcome {
        Outcome { status: "FAILED", message: Some(message), ..Outcome::default() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { status, message, created, updated } = self;
        match message {
            Some(message) => write!(f, "{status}: {message}"),
            None => write!(f, "{status}, tables created {created:?}, updated {updated:?}"),
        }
    }
}

/// Why a crawl ended early.
enum Halt {
    Cancelled,
    Failed(String),
}

fn check(stop: &CancellationToken) -> Result<(), Halt> {
    if stop.is_cancelled() { Err(Halt::Cancelled) } else { Ok(()) }
}

/// Crawls all targets, then changes the catalogue in one step.
pub(super) fn run(
    catalogue: &Catalogue,
    root: &Path,
    crawler: &Crawler,
    stop: &CancellationToken,
) -> Outcome {
    match crawl(catalogue, root, crawler, stop) {
        Ok(outcome) => outcome,
        Err(Halt::Cancelled) => Outcome { status: "CANCELLED", ..Outcome::default() },
        Err(Halt::Failed(message)) => Outcome::failed(message),
    }
}

fn crawl(
    catalogue: &Catalogue,
    root: &Path,
    crawler: &Crawler,
    stop: &CancellationToken,
) -> Result<Outcome, Halt> {
    let level = found::table_level(crawler.configuration.as_deref()).unwrap_or_default();
    let mut tables = Vec::new();
    for target in &crawler.targets.s3 {
        let location = Location::parse(&target.path).map_err(Halt::Failed)?;
        let folder = Folder::read(root, &location).map_err(Halt::Failed)?;
        tables.extend(found::tables(folder, level, target.sample_size.unwrap_or(usize::MAX), stop)?);
    }
    check(stop)?;
    update::apply(catalogue, crawler, tables).map_err(|fault| Halt::Failed(fault.to_string()))
}
