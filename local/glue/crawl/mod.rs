//! A crawl: the folders of a target read, and tables made of what lies in them.

mod grouping;
mod shape;
mod update;
mod walk;

use std::cell::RefCell;
use std::collections::BTreeMap;
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
    /// What no table was made of, if there is something like that.
    pub(super) unread: Option<String>,
}

impl Outcome {
    pub(super) fn failed(message: String) -> Outcome {
        Outcome { status: "FAILED", message: Some(message), ..Outcome::default() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { status, message, created, updated, deleted, .. } = self;
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

/// Says whether somebody has stopped the crawl, and hears what it could not read.
struct Watch<'a> {
    is_cancelled: &'a AtomicBool,
    /// How many objects, by the address of the first in their folder: a folder may be looked at twice.
    unread: RefCell<BTreeMap<String, usize>>,
}

impl Watch<'_> {
    fn go_on(&self) -> Result<(), Halt> {
        if self.is_cancelled.load(Ordering::Relaxed) { Err(Halt::Cancelled) } else { Ok(()) }
    }

    fn cannot_read(&self, first: String, n_objects: usize) {
        self.unread.borrow_mut().insert(first, n_objects);
    }

    fn unread(&self) -> Option<String> {
        let unread = self.unread.borrow();
        let (first, _) = unread.first_key_value()?;
        let n: usize = unread.values().sum();
        let objects = if n == 1 { "1 object is".into() } else { format!("{n} objects are") };
        Some(format!(
            "{objects} neither JSON lines nor CSV of several columns, e.g. {first}: no table is made of them (what is \
             compressed, arrays of JSON and records over several lines are not read)"
        ))
    }
}

/// Crawls all targets, then changes the catalogue at once.
pub(super) fn run(
    catalogue: &Catalogue,
    root: &Path,
    crawler: &Crawler,
    is_cancelled: &AtomicBool,
) -> Outcome {
    let watch = Watch { is_cancelled, unread: RefCell::default() };
    match crawl(catalogue, root, crawler, &watch) {
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
    let outcome =
        update::apply(catalogue, crawler, found).map_err(|fault| Halt::Failed(fault.to_string()))?;
    Ok(Outcome { unread: watch.unread(), ..outcome })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn objects_that_no_table_can_be_made_of_are_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lake/t/below");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.json"), r#"[{"n":1}]"#).unwrap();
        fs::write(folder.join("b.json.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
        fs::write(folder.join("empty"), "").unwrap();
        let input = json!({
            "Name": "c", "Role": "r", "DatabaseName": "db", "Targets": { "S3Targets": [{ "Path": "s3://lake/t/" }] },
        });
        let crawler: Crawler = serde_json::from_value(input).unwrap();
        let catalogue = Catalogue::open(None).unwrap();
        let outcome = run(&catalogue, root.path(), &crawler, &AtomicBool::new(false));
        assert_eq!(outcome.status, "SUCCEEDED", "{outcome}");
        let unread = outcome.unread.unwrap();
        assert!(unread.starts_with("2 objects are neither JSON lines nor CSV"), "{unread}");
        assert!(unread.contains("e.g. s3://lake/t/below/a.json"), "{unread}");

        fs::write(folder.join("a.json"), r#"{"n":1}"#).unwrap();
        assert_eq!(run(&catalogue, root.path(), &crawler, &AtomicBool::new(false)).unread, None);
    }
}
