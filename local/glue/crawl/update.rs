//! Updating the catalogue: creates and updates the tables of a crawl.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use datafusion::arrow::datatypes::{Field, Fields};

use super::found::Found;
use crate::Fault;
use crate::catalogue::{
    Catalogue, Column, Crawler, Database, Description, Location, Partition, Table, hive, now,
};

pub(super) fn apply(catalogue: &Catalogue, crawler: &Crawler, found: Vec<Found>) -> Result<(), Fault> {
    let database = crawler.text("DatabaseName").unwrap_or("default");
    let prefix = crawler.text("TablePrefix").unwrap_or_default();
    catalogue.change(|entries| {
        let new = || Database::new(database, Description::new());
        let database = entries.databases.entry(database.to_owned()).or_insert_with(new);
        for found in found {
            let name = name_of(database, prefix, &found.location);
            let (new, database) = (new_table(&name, &database.name, &found), &mut *database);
            update(database.tables.entry(name).or_insert(new), found, &crawler.name);
        }
        Ok(())
    })
}

/// The name of the last folder with the characters of SQL names, and a hash if another table has that name.
fn name_of(database: &Database, prefix: &str, location: &Location) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' };
    let name: String = format!("{prefix}{}", location.name()).to_lowercase().chars().map(plain).collect();
    if database.tables.get(&name).is_none_or(|table| table.location == *location) {
        return name;
    }
    let mut hasher = DefaultHasher::new();
    location.url().hash(&mut hasher);
    format!("{name}_{:016x}", hasher.finish())
}

fn new_table(name: &str, database: &str, found: &Found) -> Table {
    let key = |name: &String| Column { name: name.clone(), kind: "string".into() };
    Table {
        name: name.to_owned(),
        database: database.to_owned(),
        crawler: String::new(),
        location: found.location.clone(),
        columns: Vec::new(),
        partition_keys: found.keys.iter().map(key).collect(),
        partitions: BTreeMap::new(),
        created: now(),
        updated: now(),
    }
}

fn update(table: &mut Table, found: Found, crawler: &str) {
    let known = table.columns.iter().map(|column| Field::new(&column.name, hive::parse(&column.kind), true));
    // A sample may lack columns of an earlier one. A field may have the name of a partition key: Glue makes both of
    // them columns, and Athena refuses the table.
    let fields = hive::merge_fields(&known.collect::<Fields>(), &found.columns);
    let column = |field: &Field| Column { name: field.name().clone(), kind: hive::name(field.data_type()) };
    table.columns = fields.iter().map(|field| column(field)).collect();
    crawler.clone_into(&mut table.crawler);
    table.updated = now();
    let n_keys = table.partition_keys.len();
    for (values, location) in found.partitions.into_iter().filter(|(values, _)| values.len() == n_keys) {
        table.partitions.insert(values.join("/"), Partition { values, location, created: now() });
    }
}
