//! The catalogue: what Glue knows of databases, tables, partitions and crawlers, and Athena of workgroups.

mod entry;
pub(crate) mod hive;
mod place;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub(crate) use self::entry::{
    Column, Crawl, Crawler, Database, Partition, Schedule, SerDe, Storage, Table, Target, Targets, Workgroup,
    now,
};
pub(crate) use self::place::Place;
use self::store::Store;
use crate::Fault;

/// What Glue and Athena share, kept in a file where there is a folder for it.
pub struct Catalogue {
    shelf: RwLock<Shelf>,
    store: Option<Store>,
}

/// Everything the catalogue holds. Databases and tables are found by their names in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    #[serde(default)]
    pub(crate) databases: BTreeMap<String, Database>,
    #[serde(default)]
    pub(crate) crawlers: BTreeMap<String, Crawler>,
    #[serde(default)]
    pub(crate) workgroups: BTreeMap<String, Workgroup>,
}

impl Catalogue {
    /// Reads what an earlier process has left in `folder`; without one, nothing outlives the process.
    pub fn open(folder: Option<&Path>) -> Result<Arc<Catalogue>> {
        let store = folder.map(Store::open).transpose()?;
        let shelf = store.as_ref().map(Store::read).transpose()?.unwrap_or_default();
        Ok(Arc::new(Catalogue { shelf: RwLock::new(shelf), store }))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Shelf) -> T) -> T {
        look(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the catalogue as a whole or not at all: a change that is refused, or that the disk
    /// does not take, leaves what was there.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Shelf) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = shelf.clone();
        let outcome = change(&mut changed)?;
        if let Some(store) = &self.store {
            store
                .write(&changed)
                .map_err(|error| Fault::new("InternalServiceException", format!("{error:#}")))?;
        }
        *shelf = changed;
        Ok(outcome)
    }
}

impl Shelf {
    pub(crate) fn database(&self, name: &str) -> Result<&Database, Fault> {
        self.databases.get(&name.to_lowercase()).ok_or_else(|| no_database(name))
    }

    pub(crate) fn database_mut(&mut self, name: &str) -> Result<&mut Database, Fault> {
        self.databases.get_mut(&name.to_lowercase()).ok_or_else(|| no_database(name))
    }

    pub(crate) fn table(&self, database: &str, name: &str) -> Result<&Table, Fault> {
        self.database(database)?.tables.get(&name.to_lowercase()).ok_or_else(|| no_table(database, name))
    }

    pub(crate) fn table_mut(&mut self, database: &str, name: &str) -> Result<&mut Table, Fault> {
        let tables = &mut self.database_mut(database)?.tables;
        tables.get_mut(&name.to_lowercase()).ok_or_else(|| no_table(database, name))
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
    fn what_was_changed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(Some(folder.path())).unwrap();
        catalogue
            .change(|shelf| {
                shelf.databases.insert("lake".into(), Database::new("lake"));
                Ok(())
            })
            .unwrap();
        drop(catalogue);
        let again = Catalogue::open(Some(folder.path())).unwrap();
        assert!(again.read(|shelf| shelf.database("LAKE").is_ok()));
    }

    #[test]
    fn a_refused_change_leaves_what_was_there() {
        let catalogue = Catalogue::open(None).unwrap();
        let refused = catalogue.change(|shelf| {
            shelf.databases.insert("lake".into(), Database::new("lake"));
            Err::<(), _>(Fault::new("InvalidInputException", "no"))
        });
        assert!(refused.is_err());
        assert!(catalogue.read(|shelf| shelf.databases.is_empty()));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = format!("{:#}", Catalogue::open(Some(&file)).err().unwrap());
        assert!(error.contains("file") && error.contains("catalogue"), "{error}");
    }
}
