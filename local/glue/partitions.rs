//! Partitions of a table: the folders that SQL reads, each with the values of its keys.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GLUE, exists, expression};
use crate::Fault;
use crate::catalogue::{Catalogue, Partition, Table, now};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    database_name: String,
    table_name: String,
    #[serde(default)]
    partition_input: Option<Partition>,
    #[serde(default)]
    partition_input_list: Vec<Partition>,
    #[serde(default)]
    partition_values: Vec<String>,
    #[serde(default)]
    expression: Option<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    let input: Input = GLUE.read(input)?;
    let (database, table) = (&input.database_name, &input.table_name);
    match operation {
        "CreatePartition" => {
            let partition = input.partition_input.ok_or_else(|| GLUE.invalid("PartitionInput is missing"))?;
            catalogue.change(|shelf| add(shelf.table_mut(database, table)?, partition).map(|()| json!({})))
        }
        "BatchCreatePartition" => catalogue.change(|shelf| {
            let table = shelf.table_mut(database, table)?;
            let mut errors = Vec::new();
            for partition in input.partition_input_list {
                let values = partition.values.clone();
                if let Err(fault) = add(table, partition) {
                    let detail = json!({ "ErrorCode": fault.code, "ErrorMessage": fault.message });
                    errors.push(json!({ "PartitionValues": values, "ErrorDetail": detail }));
                }
            }
            Ok(json!({ "Errors": errors }))
        }),
        "GetPartition" => catalogue.read(|shelf| {
            let found = shelf.table(database, table)?.partitions.get(&key(&input.partition_values));
            found.map(|it| json!({ "Partition": it })).ok_or_else(|| missing(&input.partition_values))
        }),
        "DeletePartition" => catalogue.change(|shelf| {
            let partitions = &mut shelf.table_mut(database, table)?.partitions;
            let taken = partitions.remove(&key(&input.partition_values));
            taken.map(|_| json!({})).ok_or_else(|| missing(&input.partition_values))
        }),
        _ => catalogue.read(|shelf| {
            let table = shelf.table(database, table)?;
            let expression = input.expression.as_deref().filter(|it| !it.trim().is_empty());
            let wanted = expression.map(|it| expression::wanted(table, it)).transpose()?;
            let partitions = table.partitions.iter();
            let partitions = partitions.filter(|(key, _)| wanted.as_ref().is_none_or(|it| it.contains(*key)));
            GLUE.cut(&input.page, "Partitions", partitions, |(_, partition)| json!(partition))
        }),
    }
}

pub(super) fn key(values: &[String]) -> String {
    values.join("/")
}

fn add(table: &mut Table, mut partition: Partition) -> Result<(), Fault> {
    let (n_keys, n_values) = (table.partition_keys.len(), partition.values.len());
    if n_keys != n_values {
        return Err(GLUE
            .invalid(format!("the table has {n_keys} partition keys, and the partition {n_values} values")));
    }
    let key = key(&partition.values);
    if table.partitions.contains_key(&key) {
        return Err(exists(format!("Partition {key} already exists.")));
    }
    partition.database_name.clone_from(&table.database_name);
    partition.table_name.clone_from(&table.name);
    partition.creation_time = now();
    table.partitions.insert(key, partition);
    Ok(())
}

fn missing(values: &[String]) -> Fault {
    Fault::new("EntityNotFoundException", format!("Partition {} not found.", key(values)))
}
