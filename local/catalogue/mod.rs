//! The catalogue: databases, tables, partitions and crawlers, shared by Glue and Athena.

mod entry;
mod folder;
pub(crate) mod hive;
mod location;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub(crate) use self::entry::{Column, Crawler, Database, Description, Partition, Table, Target, now};
pub(crate) use self::folder::Folder;
pub(crate) use self::location::Location;
use crate::Fault;

/// The state that Glue and Athena share, stored in a file.
pub struct Catalogue {
    entries: RwLock<Entries>,
    folder: PathBuf,
}

/// The entries of the catalogue. The names of databases and tables are in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) databases: BTreeMap<String, Database>,
    pub(crate) crawlers: BTreeMap<String, Crawler>,
}

impl Catalogue {
    /// Reads the catalogue in `folder`.
    pub fn open(folder: &Path) -> Result<Arc<Catalogue>> {
        let entries = RwLock::new(store::read(folder)?);
        Ok(Arc::new(Catalogue { entries, folder: folder.to_owned() }))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the catalogue completely or not at all: after a refusal or a failed write it is as before.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Entries) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = entries.clone();
        let outcome = change(&mut changed)?;
        store::write(&self.folder, &changed)
            .map_err(|error| Fault::new("InternalServiceException", format!("{error:#}")))?;
        *entries = changed;
        Ok(outcome)
    }
}

impl Entries {
    pub(crate) fn database(&self, name: &str) -> Result<&Database, Fault> {
        let found = self.databases.get(&name.to_lowercase());
        found.ok_or_else(|| missing(format!("Database {name} not found.")))
    }

    pub(crate) fn table(&self, database: &str, name: &str) -> Result<&Table, Fault> {
        let found = self.database(database)?.tables.get(&name.to_lowercase());
        found.ok_or_else(|| missing(format!("Table {name} not found in database {database}.")))
    }

    pub(crate) fn crawler(&self, name: &str) -> Result<&Crawler, Fault> {
        self.crawlers.get(name).ok_or_else(|| no_crawler(name))
    }

    pub(crate) fn crawler_mut(&mut self, name: &str) -> Result<&mut Crawler, Fault> {
        self.crawlers.get_mut(name).ok_or_else(|| no_crawler(name))
    }
}

fn no_crawler(name: &str) -> Fault {
    missing(format!("Crawler with name {name} does not exist"))
}

fn missing(message: String) -> Fault {
    Fault::new("EntityNotFoundException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_survives_a_restart_and_refused_one_has_no_effect() {
        let folder = tempfile::tempdir().unwrap();
        let insert = |name: &str, outcome| {
            let catalogue = Catalogue::open(folder.path()).unwrap();
            let changed = catalogue.change(|entries| {
                entries.databases.insert(name.into(), Database::new(name, Description::new()));
                outcome
            });
            (changed.is_ok(), catalogue.read(|entries| entries.database(name).is_ok()))
        };
        assert_eq!(insert("lake", Ok(())), (true, true));
        assert_eq!(insert("sea", Err(Fault::new("InvalidInputException", "no"))), (false, false));
        let again = Catalogue::open(folder.path()).unwrap();
        assert!(again.read(|entries| entries.database("LAKE").is_ok() && entries.database("sea").is_err()));
    }
}
