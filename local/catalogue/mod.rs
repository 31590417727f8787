//! The catalogue: databases, tables, partitions and crawlers, shared by Glue and Athena.

mod entry;
mod folder;
pub(crate) mod hive;
mod location;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub(crate) use self::entry::{
    Column, Crawl, Crawler, Database, Partition, Schedule, SerDe, Storage, Table, Target, Targets, now,
};
pub(crate) use self::folder::Folder;
pub(crate) use self::location::Location;
use self::store::Store;
use crate::Fault;

/// The state that Glue and Athena share, stored in a file if there is a folder for it.
pub struct Catalogue {
    entries: RwLock<Entries>,
    store: Option<Store>,
}

/// The entries of the catalogue. The names of databases and tables are in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entries {
    #[serde(default)]
    pub(crate) databases: BTreeMap<String, Database>,
    #[serde(default)]
    pub(crate) crawlers: BTreeMap<String, Crawler>,
}

impl Catalogue {
    /// Reads the catalogue in `folder`; without a folder it is in memory only.
    pub fn open(folder: Option<&Path>) -> Result<Arc<Catalogue>> {
        let store = folder.map(Store::open).transpose()?;
        let entries = store.as_ref().map(Store::read).transpose()?.unwrap_or_default();
        Ok(Arc::new(Catalogue { entries: RwLock::new(entries), store }))
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
        if let Some(store) = &self.store {
            store
                .write(&changed)
                .map_err(|error| Fault::new("InternalServiceException", format!("{error:#}")))?;
        }
        *entries = changed;
        Ok(outcome)
    }
}

impl Entries {
    pub(crate) fn database(&self, name: &str) -> Result<&Database, Fault> {
        self.databases.get(&name.to_lowercase()).ok_or_else(|| no_database(name))
    }

    pub(crate) fn database_mut(&mut self, name: &str) -> Result<&mut Database, Fault> {
        self.databases.get_mut(&name.to_lowercase()).ok_or_else(|| no_database(name))
    }

    pub(crate) fn table(&self, database: &str, name: &str) -> Result<&Table, Fault> {
        self.database(database)?.tables.get(&name.to_lowercase()).ok_or_else(|| no_table(database, name))
    }

    pub(crate) fn crawler(&self, name: &str) -> Result<&Crawler, Fault> {
        self.crawlers.get(name).ok_or_else(|| no_crawler(name))
    }

    pub(crate) fn crawler_mut(&mut self, name: &str) -> Result<&mut Crawler, Fault> {
        self.crawlers.get_mut(name).ok_or_else(|| no_crawler(name))
    }
}

fn no_database(name: &str) -> Fault {
    Fault::new("EntityNotFoundException", format!("Database {name} not found."))
}

fn no_table(database: &str, name: &str) -> Fault {
    Fault::new("EntityNotFoundException", format!("Table {name} not found in database {database}."))
}

fn no_crawler(name: &str) -> Fault {
    Fault::new("EntityNotFoundException", format!("Crawler with name {name} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(Some(folder.path())).unwrap();
        catalogue
            .change(|entries| {
                entries.databases.insert("lake".into(), Database::new("lake"));
                Ok(())
            })
            .unwrap();
        drop(catalogue);
        let again = Catalogue::open(Some(folder.path())).unwrap();
        assert!(again.read(|entries| entries.database("LAKE").is_ok()));
    }

    #[test]
    fn refused_change_has_no_effect() {
        let catalogue = Catalogue::open(None).unwrap();
        let refused = catalogue.change(|entries| {
            entries.databases.insert("lake".into(), Database::new("lake"));
            Err::<(), _>(Fault::new("InvalidInputException", "no"))
        });
        assert!(refused.is_err());
        assert!(catalogue.read(|entries| entries.databases.is_empty()));
    }
}
