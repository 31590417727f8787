//! Databases of the catalogue: create, get, update, delete.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GLUE, Named, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Database};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    database_input: Database,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateDatabase" => {
            let input: Input = GLUE.read(input)?;
            create(catalogue, &input.database_input)
        }
        "GetDatabase" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.read(|entries| Ok(json!({ "Database": show(entries.database(&name)?) })))
        }
        "DeleteDatabase" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.change(|entries| {
                entries.database(&name)?;
                entries.databases.remove(&name.to_lowercase());
                Ok(json!({}))
            })
        }
        _ => {
            let page: Page = GLUE.read(input)?;
            catalogue.read(|entries| GLUE.cut(&page, "DatabaseList", entries.databases.values(), show))
        }
    }
}

fn create(catalogue: &Catalogue, input: &Database) -> Result<Value, Fault> {
    let name = input.name.to_lowercase();
    if name.is_empty() || name.contains('/') {
        return Err(GLUE.invalid("a database needs a name of 1 to 255 characters without `/`"));
    }
    catalogue.change(|entries| {
        if entries.databases.contains_key(&name) {
            return Err(exists(format!("Database {name} already exists.")));
        }
        let database = Database { rest: input.rest.clone(), ..Database::new(&name) };
        entries.databases.insert(name, database);
        Ok(json!({}))
    })
}

fn show(database: &Database) -> Value {
    let mut shown = Value::Object(database.rest.clone());
    shown["Name"] = json!(database.name);
    shown["CreateTime"] = json!(database.create_time);
    shown["CatalogId"] = json!(super::ACCOUNT);
    shown
}
