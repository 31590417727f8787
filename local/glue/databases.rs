//! Databases of the catalogue: create, get, delete.

use serde_json::{Value, json};

use super::{ACCOUNT, GLUE, Named, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Database, Description};
use crate::request::Page;

pub(super) fn create(catalogue: &Catalogue, description: Description) -> Result<Value, Fault> {
    let name = description.get("Name").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    if name.is_empty() || name.contains('/') {
        return Err(GLUE.invalid("a database needs a name of 1 to 255 characters without `/`"));
    }
    catalogue.change(|entries| {
        if entries.databases.contains_key(&name) {
            return Err(exists(format!("Database {name} already exists.")));
        }
        let database = Database::new(&name, description);
        entries.databases.insert(name, database);
        Ok(json!({}))
    })
}

pub(super) fn get(catalogue: &Catalogue, Named { name }: &Named) -> Result<Value, Fault> {
    catalogue.read(|entries| Ok(json!({ "Database": show(entries.database(name)?) })))
}

pub(super) fn list(catalogue: &Catalogue, page: &Page) -> Result<Value, Fault> {
    catalogue.read(|entries| GLUE.cut(page, "DatabaseList", entries.databases.values(), show))
}

pub(super) fn delete(catalogue: &Catalogue, Named { name }: &Named) -> Result<Value, Fault> {
    catalogue.change(|entries| {
        entries.database(name)?;
        entries.databases.remove(&name.to_lowercase());
        Ok(json!({}))
    })
}

fn show(database: &Database) -> Value {
    let mut shown = Value::Object(database.description.clone());
    shown["Name"] = json!(database.name);
    shown["CreateTime"] = json!(database.created);
    shown["CatalogId"] = json!(ACCOUNT);
    shown
}
