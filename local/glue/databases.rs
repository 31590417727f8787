//! Databases of the catalogue: made, shown, changed, taken away.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GLUE, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Database};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    database_input: Database,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateDatabase" => {
            let input: Input = GLUE.read(input)?;
            create(catalogue, &input.database_input)
        }
        "UpdateDatabase" => update(catalogue, GLUE.read(input)?),
        "GetDatabase" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.read(|shelf| Ok(json!({ "Database": show(shelf.database(&name)?) })))
        }
        "DeleteDatabase" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.change(|shelf| {
                shelf.database(&name)?;
                shelf.databases.remove(&name.to_lowercase());
                Ok(json!({}))
            })
        }
        _ => {
            let page: Page = GLUE.read(input)?;
            catalogue.read(|shelf| GLUE.cut(&page, "DatabaseList", shelf.databases.values(), show))
        }
    }
}

fn create(catalogue: &Catalogue, input: &Database) -> Result<Value, Fault> {
    let name = input.name.to_lowercase();
    if name.is_empty() || name.contains('/') {
        return Err(GLUE.invalid("a database needs a name of 1 to 255 characters without `/`"));
    }
    catalogue.change(|shelf| {
        if shelf.databases.contains_key(&name) {
            return Err(exists(format!("Database {name} already exists.")));
        }
        let database = Database { rest: input.rest.clone(), ..Database::new(&name) };
        shelf.databases.insert(name, database);
        Ok(json!({}))
    })
}

fn update(catalogue: &Catalogue, input: Input) -> Result<Value, Fault> {
    let name = input.name.unwrap_or(input.database_input.name);
    catalogue.change(|shelf| {
        shelf.database_mut(&name)?.rest = input.database_input.rest;
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
