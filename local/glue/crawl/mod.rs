//! A crawl: reads the folders of the targets and creates tables for them.

mod columns;
mod found;
mod update;

use tokio_util::sync::CancellationToken;

use super::runs::Runs;
use crate::catalogue::{Crawler, Folder};

/// Why a crawl ended early.
pub(super) enum Halt {
    Cancelled,
    Failed(String),
}

fn check(stop: &CancellationToken) -> Result<(), Halt> {
    if stop.is_cancelled() { Err(Halt::Cancelled) } else { Ok(()) }
}

/// Crawls all targets, then changes the catalogue in one step.
pub(super) fn run(runs: &Runs, crawler: &Crawler, stop: &CancellationToken) -> Result<(), Halt> {
    let level = found::table_level(crawler.text("Configuration")).unwrap_or_default();
    let mut tables = Vec::new();
    for target in crawler.targets().map_err(Halt::Failed)? {
        let folders = Folder::read_all(&runs.objects_root, &target.location).map_err(Halt::Failed)?;
        tables.extend(found::tables(&target, &folders, level, stop)?);
    }
    check(stop)?;
    update::apply(&runs.catalogue, crawler, tables).map_err(|fault| Halt::Failed(fault.to_string()))
}
