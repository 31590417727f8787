//! Statements other than SELECT: SHOW and DESCRIBE.

use regex::Regex;

use crate::Catalogue;
use crate::catalogue::{Column, Table};

/// A parsed statement. Names are in lower case, those of tables with or without their database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    ShowDatabases { like: Option<String> },
    ShowTables { database: Option<String>, like: Option<String> },
    ShowColumns(String),
    ShowPartitions(String),
    Describe(String),
}

/// The result of a statement: one column of text.
pub(super) struct Lines {
    pub(super) name: &'static str,
    pub(super) lines: Vec<String>,
}

impl Statement {
    pub(super) fn parse(sql: &str) -> Option<Statement> {
        let sql = sql.to_lowercase();
        let words: Vec<&str> = sql.split_whitespace().collect();
        let like = |rest: &[&str]| {
            let pattern = rest.last().filter(|word| word.starts_with('\''));
            pattern.map(|word| word.trim_matches('\'').to_owned())
        };
        Some(match &*words {
            ["show", "databases" | "schemas", rest @ ..] => Statement::ShowDatabases { like: like(rest) },
            ["show", "tables", "in" | "from", database, rest @ ..] => {
                Statement::ShowTables { database: Some(plain(database)), like: like(rest) }
            }
            ["show", "tables", rest @ ..] => Statement::ShowTables { database: None, like: like(rest) },
            ["show", "columns", "in" | "from", table] => Statement::ShowColumns((*table).to_owned()),
            ["show", "partitions", table] => Statement::ShowPartitions((*table).to_owned()),
            ["describe" | "desc", .., table] => Statement::Describe((*table).to_owned()),
            _ => return None,
        })
    }
}

pub(super) fn run(catalogue: &Catalogue, statement: &Statement, database: &str) -> Result<Lines, String> {
    let table = |name: &str| {
        let (database, name) = name.split_once('.').unwrap_or((database, name));
        let (database, name) = (plain(database), plain(name));
        let missing =
            |_| format!("FAILED: SemanticException [Error 10001]: Table not found {database}.{name}");
        catalogue.read(|entries| entries.table(&database, &name).cloned()).map_err(missing)
    };
    let (name, lines) = match statement {
        Statement::ShowDatabases { like } => {
            let names = catalogue.read(|entries| entries.databases.keys().cloned().collect());
            ("database_name", matching(names, like.as_deref()))
        }
        Statement::ShowTables { database: wanted, like } => {
            let wanted = wanted.as_deref().unwrap_or(database);
            let names = catalogue.read(|entries| {
                entries.database(wanted).map(|it| it.tables.keys().cloned().collect::<Vec<_>>())
            });
            let missing =
                |_| format!("FAILED: SemanticException [Error 10072]: Database does not exist: {wanted}");
            ("tab_name", matching(names.map_err(missing)?, like.as_deref()))
        }
        Statement::ShowColumns(name) => {
            ("field", table(name)?.columns().map(|column| column.name.clone()).collect())
        }
        Statement::Describe(name) => ("col_name", describe(&table(name)?)),
        Statement::ShowPartitions(name) => {
            let table = table(name)?;
            let show = |values: &[String]| {
                let pairs = table.partition_keys.iter().zip(values);
                pairs.map(|(key, value)| format!("{}={value}", key.name)).collect::<Vec<_>>().join("/")
            };
            ("partition", table.partitions.values().map(|it| show(&it.values)).collect())
        }
    };
    Ok(Lines { name, lines })
}

fn plain(name: &str) -> String {
    name.trim_matches(['`', '"']).to_owned()
}

/// Hive's patterns: `*` is any text, `|` separates alternatives.
fn matching(names: Vec<String>, pattern: Option<&str>) -> Vec<String> {
    let Some(pattern) = pattern else { return names };
    let pattern = regex::escape(&pattern.replace('%', "*")).replace(r"\*", ".*").replace(r"\|", "|");
    let Ok(pattern) = Regex::new(&format!("^(?:{pattern})$")) else { return Vec::new() };
    names.into_iter().filter(|name| pattern.is_match(name)).collect()
}

fn describe(table: &Table) -> Vec<String> {
    let row = |column: &Column| {
        let comment = column.comment.as_deref().unwrap_or_default();
        format!("{:<20}\t{:<20}\t{comment:<20}", column.name, column.kind)
    };
    let mut lines: Vec<String> = table.columns().map(row).collect();
    if !table.partition_keys.is_empty() {
        let heads = ["", "# Partition Information", "# col_name", ""];
        lines.extend(heads.map(|head| format!("{head:<20}\t{:<20}\t{:<20}", "", "")));
        lines.extend(table.partition_keys.iter().map(row));
    }
    lines
}
