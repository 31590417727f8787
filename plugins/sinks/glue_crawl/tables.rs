//! The tables of a crawler, as text for the user.

use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table};
use tracing::warn;

use super::spec::CrawlerSpec;
use crate::shared::aws::AwsError;

/// The tables over the crawler's target, one line each: name, location, columns and their types. Warns of columns that
/// Athena cannot read.
pub(super) async fn find(client: &Client, spec: &CrawlerSpec) -> Result<Vec<String>, AwsError> {
    let mut lines = Vec::new();
    let mut pages = client.get_tables().database_name(&spec.config.database).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page?;
        for table in page.table_list().iter().filter(|table| is_of_crawler(table, spec)) {
            lines.push(describe(table, spec));
            warn_of_unreadable(table, spec);
        }
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
    let columns: Vec<String> = columns(table)
        .iter()
        .map(column)
        .chain(table.partition_keys().iter().map(|key| format!("{} (partition)", column(key))))
        .collect();
    let (database, columns) = (&spec.config.database, columns.join(", "));
    format!("table `{database}.{}` over {}: {columns}", table.name(), location(table))
}

fn warn_of_unreadable(table: &Table, spec: &CrawlerSpec) {
    let mut types = columns(table).iter().map(|column| (column.name(), column.r#type().unwrap_or_default()));
    if let Some((column, kind)) = types.find(|(_, kind)| is_unreadable(kind)) {
        warn!(
            "Athena cannot read the table `{}.{}`: the crawler has given the column `{column}` a type that is not valid, \
             `{kind}`. This comes from objects that are always empty, or from keys inside of objects with other characters \
             than letters, digits, `_`, `.`, `$` and blanks. Leave the field out with `select`, or keep it as a text with \
             `encode_json` in a `remap`; then correct the type of the column in Glue, or write to a new folder",
            spec.config.database,
            table.name()
        );
    }
}

fn columns(table: &Table) -> &[Column] {
    table.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default()
}

/// Whether a type is not one that Athena can parse. A structure needs a field, and the names of fields are not quoted.
fn is_unreadable(kind: &str) -> bool {
    let is_allowed = |char: char| char.is_alphanumeric() || "_. $<>:,()".contains(char);
    let has_other_name = |part: &str| part.matches(':').count() > 1 || part.starts_with(':');
    kind.contains("struct<>")
        || !kind.chars().all(is_allowed)
        || kind.split(['<', '>', ',']).any(has_other_name)
}

fn column(column: &Column) -> String {
    format!("{} {}", column.name(), column.r#type().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_that_athena_cannot_parse_is_unreadable() {
        for kind in
            ["string", "decimal(10,2)", "struct<a_1:bigint,größe:array<struct<a.b:string,$c d:double>>>"]
        {
            assert!(!is_unreadable(kind), "{kind}");
        }
        for kind in [
            "struct<>",
            "array<struct<>>",
            "struct<user-agent:string>",
            "struct<a:bigint,aws:tag:string>",
            "struct<:bigint>",
            "struct<a/b:string>",
        ] {
            assert!(is_unreadable(kind), "{kind}");
        }
    }
}
