//! The tables of a crawler, as text for the user.

use std::collections::BTreeMap;

use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table};
use tracing::warn;

use super::settings::CrawlerSettings;
use crate::shared::aws::AwsError;

/// The types of columns, by their names: `database.table.column`.
pub(super) type Types = BTreeMap<String, String>;

/// The tables over the crawler's target.
#[derive(Default)]
pub(super) struct Tables {
    /// One line each: name, location, columns and their types.
    pub(super) lines: Vec<String>,
    pub(super) types: Types,
}

pub(super) async fn find(client: &Client, settings: &CrawlerSettings) -> Result<Tables, AwsError> {
    let mut found = Tables::default();
    let mut pages = client.get_tables().database_name(&settings.config.database).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page?;
        for table in page.table_list().iter().filter(|table| is_of_crawler(table, settings)) {
            found.lines.push(describe(table, settings));
            found.types.extend(columns(table).iter().map(|column| {
                let name = format!("{}.{}.{}", settings.config.database, table.name(), column.name());
                (name, column.r#type().unwrap_or_default().to_owned())
            }));
        }
    }
    Ok(found)
}

/// Warns of columns that Athena cannot read, and of columns with another type than before the crawl.
pub(super) fn warn_of_types(before: &Types, after: &Types) {
    if let Some((column, kind)) = after.iter().find(|(_, kind)| is_unreadable(kind)) {
        warn!(
            "Athena cannot read the table of the column `{column}`: the crawler has given it a type that is not valid, \
             `{kind}`. This comes from objects that are always empty, or from keys inside of objects with other characters \
             than letters, digits, `_`, `.`, `$` and blanks. Leave the field out with `select`, or keep it as a text with \
             `encode_json` in a `remap`; then correct the type of the column in Glue, or write to a new folder"
        );
    }
    for (column, (old, new)) in changes(before, after) {
        warn!(
            "the crawl has changed the type of the column `{column}` from `{old}` to `{new}`, since newer objects have other \
             values there: queries over the column may fail. Give the field one type with the transform `select`"
        );
    }
}

/// The columns whose values are of another type now. A structure with more fields, or a wider whole number, is none, nor
/// a text: a column without values is one until its first value.
fn changes<'a>(before: &'a Types, after: &'a Types) -> Vec<(&'a str, (&'a str, &'a str))> {
    let change = |(column, new): (&'a String, &'a String)| {
        let old = before.get(column).filter(|old| *old != "string")?;
        (base_of(old) != base_of(new)).then_some((column.as_str(), (old.as_str(), new.as_str())))
    };
    after.iter().filter_map(change).collect()
}

fn base_of(kind: &str) -> &str {
    match kind.split('<').next() {
        Some("int") => "bigint",
        base => base.unwrap_or_default(),
    }
}

/// Whether the table is over the target and was not made by another crawler.
fn is_of_crawler(table: &Table, settings: &CrawlerSettings) -> bool {
    let crawler = table.parameters().and_then(|parameters| parameters.get("UPDATED_BY_CRAWLER"));
    settings.target.contains(location(table))
        && crawler.is_none_or(|crawler| *crawler == settings.config.crawler)
}

fn location(table: &Table) -> &str {
    table.storage_descriptor().and_then(StorageDescriptor::location).unwrap_or_default()
}

fn describe(table: &Table, settings: &CrawlerSettings) -> String {
    let columns: Vec<String> = columns(table)
        .iter()
        .map(column)
        .chain(table.partition_keys().iter().map(|key| format!("{} (partition)", column(key))))
        .collect();
    let (database, columns) = (&settings.config.database, columns.join(", "));
    format!("table `{database}.{}` over {}: {columns}", table.name(), location(table))
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
    fn column_with_values_of_another_type_has_changed() {
        let types = |kinds: &[(&str, &str)]| -> Types {
            kinds.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
        };
        let before = types(&[
            ("a", "int"),
            ("b", "double"),
            ("c", "struct<x:int>"),
            ("d", "struct<x:int>"),
            ("f", "string"),
        ]);
        let after = types(&[
            ("a", "bigint"),
            ("b", "string"),
            ("c", "struct<x:int,y:int>"),
            ("d", "string"),
            ("e", "double"),
            ("f", "bigint"),
        ]);
        assert_eq!(
            changes(&before, &after),
            [("b", ("double", "string")), ("d", ("struct<x:int>", "string"))]
        );
    }

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
