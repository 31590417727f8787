//! A crawl: reads the folders of the targets and creates tables for them.

mod columns;
mod found;
mod update;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::catalogue::{Catalogue, Crawler, Folder};

/// Why a crawl ended early.
pub(super) enum Halt {
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
) -> Result<(), Halt> {
    let level = found::table_level(crawler.text("Configuration")).unwrap_or_default();
    let mut tables = Vec::new();
    for target in crawler.targets().map_err(Halt::Failed)? {
        let folders = Folder::read_all(root, &target.location).map_err(Halt::Failed)?;
        tables.extend(found::tables(&target.location, &folders, level, target.sample_size, stop)?);
    }
    check(stop)?;
    update::apply(catalogue, crawler, tables).map_err(|fault| Halt::Failed(fault.to_string()))
}
