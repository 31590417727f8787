//! Tables that a crawler has made, in words.

use anyhow::{Result, anyhow};
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, Table};

use super::plan::Plan;
use crate::shared::aws::Trouble;

/// The tables over the plan's target, each in a line: its name, its place, its columns and their types.
pub(super) async fn find(client: &Client, plan: &Plan) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut pages = client.get_tables().database_name(&plan.database).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| anyhow!(Trouble::of(&error)))?;
        let ours = page.table_list().iter().filter(|table| is_ours(table, plan));
        lines.extend(ours.map(|table| describe(table, plan)));
    }
    Ok(lines)
}

/// Over the target, and not made by another crawler.
fn is_ours(table: &Table, plan: &Plan) -> bool {
    let location = table.storage_descriptor().and_then(|storage| storage.location()).unwrap_or_default();
    let crawler = table.parameters().and_then(|parameters| parameters.get("UPDATED_BY_CRAWLER"));
    plan.target.holds(location) && crawler.is_none_or(|crawler| *crawler == plan.name)
}

fn describe(table: &Table, plan: &Plan) -> String {
    let storage = table.storage_descriptor();
    let location = storage.and_then(|storage| storage.location()).unwrap_or_default();
    let columns = storage.map(aws_sdk_glue::types::StorageDescriptor::columns).unwrap_or_default();
    let columns: Vec<String> = columns
        .iter()
        .map(column)
        .chain(table.partition_keys().iter().map(|key| format!("{} (partition)", column(key))))
        .collect();
    format!("table `{}.{}` over {location}: {}", plan.database, table.name(), columns.join(", "))
}

fn column(column: &Column) -> String {
    format!("{} {}", column.name(), column.r#type().unwrap_or("?"))
}
