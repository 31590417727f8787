//! Statements other than SELECT: SHOW and DESCRIBE.

use regex::Regex;

use crate::Catalogue;
use crate::catalogue::{Column, Table};

/// Whether a query is one of these statements.
pub(super) fn is_statement(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
    matches!(&*first, "show" | "describe" | "desc")
}

/// The result of a statement: the name of its only column, and its lines.
pub(super) fn run(
    catalogue: &Catalogue,
    sql: &str,
    database: &str,
) -> Result<(&'static str, Vec<String>), String> {
    let table = |name: &str| {
        let (database, name) = name.split_once('.').unwrap_or((database, name));
        let (database, name) = (plain(database), plain(name));
        let missing =
            |_| format!("FAILED: SemanticException [Error 10001]: Table not found {database}.{name}");
        catalogue.read(|entries| entries.table(database, name).cloned()).map_err(missing)
    };
    let sql = sql.to_lowercase();
    let words: Vec<&str> = sql.split_whitespace().collect();
    Ok(match &*words {
        ["show", "databases" | "schemas", rest @ ..] => {
            let names = catalogue.read(|entries| entries.databases.keys().cloned().collect());
            ("database_name", matching(names, rest))
        }
        ["show", "tables", rest @ ..] => {
            let wanted = match rest {
                ["in" | "from", wanted, ..] => plain(wanted),
                _ => database,
            };
            let names = catalogue.read(|entries| {
                entries.database(wanted).map(|it| it.tables.keys().cloned().collect::<Vec<_>>())
            });
            let missing =
                |_| format!("FAILED: SemanticException [Error 10072]: Database does not exist: {wanted}");
            ("tab_name", matching(names.map_err(missing)?, rest))
        }
        ["show", "columns", "in" | "from", name] => {
            ("field", table(name)?.all_columns().map(|column| column.name.clone()).collect())
        }
        ["show", "partitions", name] => {
            let table = table(name)?;
            let show = |values: &[String]| {
                let pairs = table.partition_keys.iter().zip(values);
                pairs.map(|(key, value)| format!("{}={value}", key.name)).collect::<Vec<_>>().join("/")
            };
            ("partition", table.partitions.values().map(|it| show(&it.values)).collect())
        }
        ["describe" | "desc", .., name] => ("col_name", describe(&table(name)?)),
        _ => {
            let known = "SHOW DATABASES, TABLES, COLUMNS and PARTITIONS, and DESCRIBE";
            return Err(format!("NOT_SUPPORTED: the offline Athena has {known}"));
        }
    })
}

fn plain(name: &str) -> &str {
    name.trim_matches(['`', '"'])
}

/// The names that match a pattern at the end of a statement: `*` is any text, `|` separates alternatives.
fn matching(names: Vec<String>, words: &[&str]) -> Vec<String> {
    let Some(pattern) = words.last().filter(|word| word.starts_with('\'')) else { return names };
    let pattern = pattern.trim_matches('\'');
    let pattern = regex::escape(&pattern.replace('%', "*")).replace(r"\*", ".*").replace(r"\|", "|");
    let Ok(pattern) = Regex::new(&format!("^(?:{pattern})$")) else { return Vec::new() };
    names.into_iter().filter(|name| pattern.is_match(name)).collect()
}

fn describe(table: &Table) -> Vec<String> {
    let row = |column: &Column| format!("{:<20}\t{:<20}\t{:<20}", column.name, column.kind, "");
    let mut lines: Vec<String> = table.all_columns().map(row).collect();
    if !table.partition_keys.is_empty() {
        let heads = ["", "# Partition Information", "# col_name", ""];
        lines.extend(heads.map(|head| format!("{head:<20}\t{:<20}\t{:<20}", "", "")));
        lines.extend(table.partition_keys.iter().map(row));
    }
    lines
}
