//! Statements that are no queries: what the catalogue holds, and databases and tables that come and go.

use std::sync::LazyLock;

use regex::Regex;

use crate::Catalogue;
use crate::catalogue::{Column, Database, Shelf, Table};

/// A statement that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    ShowDatabases { like: Option<String> },
    ShowTables { database: Option<String>, like: Option<String> },
    ShowColumns { table: String },
    ShowPartitions { table: String },
    ShowCreateTable { table: String },
    Describe { table: String },
    CreateDatabase { name: String, if_not_exists: bool },
    DropDatabase { name: String, if_exists: bool, cascade: bool },
    DropTable { table: String, if_exists: bool },
}

/// What a statement answers with.
pub(super) struct Lines {
    pub(super) name: &'static str,
    pub(super) lines: Vec<String>,
}

/// A name of one or more parts, quoted or not.
const NAME: &str = r#"((?:[`"]?[\w$ -]+?[`"]?\.){0,2}[`"]?[\w$ -]+?[`"]?)"#;

type Make = fn(&[Option<String>]) -> Statement;

static FORMS: LazyLock<Vec<(Regex, Make)>> = LazyLock::new(|| {
    let forms: [(&str, Make); 10] = [
        (r"show\s+(?:databases|schemas)(?:\s+like\s+'(.*)')?", |it| Statement::ShowDatabases {
            like: it[0].clone(),
        }),
        (r"show\s+tables(?:\s+(?:in|from)\s+NAME)?(?:\s+(?:like\s+)?'(.*)')?", |it| Statement::ShowTables {
            database: it[0].clone(),
            like: it[1].clone(),
        }),
        (r"show\s+columns\s+(?:in|from)\s+NAME\s+(?:in|from)\s+NAME", |it| Statement::ShowColumns {
            table: format!("{}.{}", word(it, 1), word(it, 0)),
        }),
        (r"show\s+columns\s+(?:in|from)\s+NAME", |it| Statement::ShowColumns { table: word(it, 0) }),
        (r"show\s+partitions\s+NAME", |it| Statement::ShowPartitions { table: word(it, 0) }),
        (r"show\s+create\s+table\s+NAME", |it| Statement::ShowCreateTable { table: word(it, 0) }),
        (r"(?:describe|desc)\s+(?:formatted\s+|extended\s+)?NAME", |it| Statement::Describe {
            table: word(it, 0),
        }),
        (
            r"create\s+(?:database|schema)\s+(if\s+not\s+exists\s+)?NAME(?:\s+(?:comment|location|with)\s.*)?",
            |it| Statement::CreateDatabase { name: word(it, 1), if_not_exists: it[0].is_some() },
        ),
        (r"drop\s+(?:database|schema)\s+(if\s+exists\s+)?NAME(\s+cascade|\s+restrict)?", |it| {
            let cascade = word(it, 2).trim().eq_ignore_ascii_case("cascade");
            Statement::DropDatabase { name: word(it, 1), if_exists: it[0].is_some(), cascade }
        }),
        (r"drop\s+table\s+(if\s+exists\s+)?NAME", |it| Statement::DropTable {
            table: word(it, 1),
            if_exists: it[0].is_some(),
        }),
    ];
    let compile = |(form, make): (&str, Make)| {
        let form = format!(r"(?is)^\s*{}\s*$", form.replace("NAME", NAME));
        Regex::new(&form).ok().map(|form| (form, make))
    };
    forms.into_iter().filter_map(compile).collect()
});

fn word(words: &[Option<String>], at: usize) -> String {
    words.get(at).cloned().flatten().unwrap_or_default()
}

impl Statement {
    pub(super) fn parse(sql: &str) -> Option<Statement> {
        FORMS.iter().find_map(|(form, make)| {
            let found = form.captures(sql)?;
            let words: Vec<Option<String>> =
                found.iter().skip(1).map(|word| word.map(|word| word.as_str().trim().to_owned())).collect();
            Some(make(&words))
        })
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Statement::CreateDatabase { .. }
            | Statement::DropDatabase { .. }
            | Statement::DropTable { .. } => "DDL",
            _ => "UTILITY",
        }
    }
}

pub(super) fn run(catalogue: &Catalogue, statement: &Statement, database: &str) -> Result<Lines, String> {
    let table = |name: &str| {
        let (database, name) = split(name, database);
        let missing =
            || format!("FAILED: SemanticException [Error 10001]: Table not found {database}.{name}");
        catalogue.read(|shelf| shelf.table(&database, &name).cloned()).map_err(|_| missing())
    };
    let lines = |name, lines| Ok(Lines { name, lines });
    match statement {
        Statement::ShowDatabases { like } => {
            let names = catalogue.read(|shelf| shelf.databases.keys().cloned().collect());
            lines("database_name", fitting(names, like.as_deref()))
        }
        Statement::ShowTables { database: wanted, like } => {
            let wanted = wanted.as_ref().map_or_else(|| database.to_owned(), |name| plain(name));
            let names = |shelf: &Shelf| shelf.database(&wanted).map(|it| it.tables.keys().cloned().collect());
            let names = catalogue.read(names).map_err(|_| missing_database(&wanted))?;
            lines("tab_name", fitting(names, like.as_deref()))
        }
        Statement::ShowColumns { table: name } => {
            let table = table(name)?;
            lines("field", columns(&table).map(|column| column.name.clone()).collect())
        }
        Statement::Describe { table: name } => lines("col_name", describe(&table(name)?)),
        Statement::ShowPartitions { table: name } => {
            let table = table(name)?;
            let show = |values: &[String]| {
                let pairs = table.partition_keys.iter().zip(values);
                pairs.map(|(key, value)| format!("{}={value}", key.name)).collect::<Vec<_>>().join("/")
            };
            lines("partition", table.partitions.values().map(|partition| show(&partition.values)).collect())
        }
        Statement::ShowCreateTable { table: name } => lines("createtab_stmt", create_table(&table(name)?)),
        Statement::CreateDatabase { name, if_not_exists } => change(catalogue, |shelf| {
            let name = plain(name);
            if shelf.databases.contains_key(&name) && !if_not_exists {
                return Err(format!("FAILED: Database {name} already exists"));
            }
            shelf.databases.entry(name.clone()).or_insert_with(|| Database::new(&name));
            Ok(())
        }),
        Statement::DropDatabase { name, if_exists, cascade } => change(catalogue, |shelf| {
            let name = plain(name);
            match shelf.databases.get(&name) {
                None if *if_exists => Ok(()),
                None => Err(missing_database(&name)),
                Some(database) if !cascade && !database.tables.is_empty() => {
                    Err(format!("FAILED: Database {name} is not empty. One or more tables exist."))
                }
                Some(_) => {
                    shelf.databases.remove(&name);
                    Ok(())
                }
            }
        }),
        Statement::DropTable { table, if_exists } => change(catalogue, |shelf| {
            let (database, name) = split(table, database);
            let found = shelf.database_mut(&database).ok().and_then(|it| it.tables.remove(&name));
            match found {
                None if !if_exists => {
                    Err(format!("FAILED: SemanticException [Error 10001]: Table not found {database}.{name}"))
                }
                _ => Ok(()),
            }
        }),
    }
}

fn change(
    catalogue: &Catalogue,
    change: impl FnOnce(&mut Shelf) -> Result<(), String>,
) -> Result<Lines, String> {
    let changed = catalogue.change(|shelf| change(shelf).map_err(|reason| crate::Fault::new("", reason)));
    changed.map(|()| Lines { name: "result", lines: Vec::new() }).map_err(|fault| fault.message)
}

fn missing_database(name: &str) -> String {
    format!("FAILED: SemanticException [Error 10072]: Database does not exist: {name}")
}

fn plain(name: &str) -> String {
    name.trim_matches(['`', '"']).to_lowercase()
}

/// The database and the table; a catalog in front of them can only be the one.
fn split(name: &str, database: &str) -> (String, String) {
    let mut parts = name.rsplit('.').map(plain);
    let table = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_else(|| database.to_owned()), table)
}

/// Hive's patterns: `*` is anything, `|` one or the other.
fn fitting(names: Vec<String>, pattern: Option<&str>) -> Vec<String> {
    let Some(pattern) = pattern else { return names };
    let pattern = pattern.to_lowercase().replace('%', "*");
    let fits = |name: &str| {
        pattern.split('|').any(|one| {
            let one = regex::escape(one).replace(r"\*", ".*");
            Regex::new(&format!("^{one}$")).is_ok_and(|one| one.is_match(name))
        })
    };
    names.into_iter().filter(|name| fits(name)).collect()
}

fn columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.storage_descriptor.columns.iter().chain(&table.partition_keys)
}

fn describe(table: &Table) -> Vec<String> {
    let row = |column: &Column| {
        format!(
            "{:<20}\t{:<20}\t{:<20}",
            column.name,
            column.kind,
            column.comment.as_deref().unwrap_or_default()
        )
    };
    let mut lines: Vec<String> = columns(table).map(row).collect();
    if !table.partition_keys.is_empty() {
        let heads = [
            "",
            "# Partition Information",
            "# col_name            \tdata_type           \tcomment             ",
            "",
        ];
        lines.extend(heads.map(|head| format!("{head:<20}\t{:<20}\t{:<20}", "", "")));
        lines.extend(table.partition_keys.iter().map(row));
    }
    lines
}

fn create_table(table: &Table) -> Vec<String> {
    let list = |columns: &[Column]| {
        let columns: Vec<String> = columns.iter().map(|it| format!("  `{}` {}", it.name, it.kind)).collect();
        columns.join(", \n")
    };
    let storage = &table.storage_descriptor;
    let mut text = format!("CREATE EXTERNAL TABLE `{}`(\n{})\n", table.name, list(&storage.columns));
    if !table.partition_keys.is_empty() {
        text += &format!("PARTITIONED BY ( \n{})\n", list(&table.partition_keys));
    }
    if let Some(library) = storage.serde_info.as_ref().and_then(|serde| serde.serialization_library.as_ref())
    {
        text += &format!("ROW FORMAT SERDE \n  '{library}' \n");
    }
    text += &format!("LOCATION\n  '{}'\n", storage.location.as_deref().unwrap_or_default());
    let parameters: Vec<String> =
        table.parameters.iter().map(|(key, value)| format!("  '{key}'='{value}'")).collect();
    text += &format!("TBLPROPERTIES (\n{})", parameters.join(", \n"));
    text.lines().map(ToOwned::to_owned).collect()
}
