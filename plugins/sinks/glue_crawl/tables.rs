//! The tables of a crawler, as text for the user.

use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table};

use super::spec::CrawlerSpec;
use crate::shared::aws::AwsError;

/// The tables over the crawler's target, one line each: name, location, columns and their types.
pub(super) async fn find(client: &Client, spec: &CrawlerSpec) -> Result<Vec<String>, AwsError> {
    let mut lines = Vec::new();
    let mut pages = client.get_tables().database_name(&spec.config.database).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page?;
        let tables = page.table_list().iter().filter(|table| is_of_crawler(table, spec));
        lines.extend(tables.map(|table| describe(table, spec)));
    }
    Ok(lines)
}

/// Whether the table is over the target and was not made by another crawler.
fn is_of_crawler(table: &Table, spec: &CrawlerSpec) -> bool {
    let crawler = table.parameters().and_then(|parameters| parameters.get("UPDATED_BY_CRAWLER"));
    spec.target.contains(location(table)) && crawler.is_none_or(|crawler| *crawler == spec.config.crawler)
}

fn location(table: &Table) -> &str {
    table.storage_descriptor().and_then(StorageDescriptor::location).unwrap_or_default()
}

fn describe(table: &Table, spec: &CrawlerSpec) -> String {
    let columns = table.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default();
    let columns: Vec<String> = columns
        .iter()
        .map(column)
        .chain(table.partition_keys().iter().map(|key| format!("{} (partition)", column(key))))
        .collect();
    let (database, columns) = (&spec.config.database, columns.join(", "));
    format!("table `{database}.{}` over {}: {columns}", table.name(), location(table))
}

fn column(column: &Column) -> String {
    format!("{} {}", column.name(), column.r#type().unwrap_or("?"))
}
