//! The dialect: Trino's letters and words, and what is refused while reading.

use std::any::TypeId;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use regex::Regex;

use super::{syntax, tokens};

#[derive(Debug)]
struct Trino;

impl Dialect for Trino {
    /// What the parser does for certain dialects only it does for the generic one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '"'
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_' || letter == '@'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        false
    }
}

static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)^(?:Expected: (.*?), found: (.*?)|(.*?))(?: at Line: (\d+), Column: (\d+).*)?$").ok()
});

/// Reads one query.
pub(super) fn parse(sql: &str) -> Result<Statement, String> {
    if let Some(reason) = refusal(sql) {
        return Err(reason);
    }
    let wrong = |error: ParserError| syntax_error(&error, sql);
    let tokens = Tokenizer::new(&Trino, sql).tokenize_with_location().map_err(|error| wrong(error.into()))?;
    let mut parser = Parser::new(&Trino).with_tokens_with_locations(tokens::prepare(tokens)?);
    let mut statements = parser.parse_statements().map_err(wrong)?;
    let statement = statements.pop();
    if !statements.is_empty() {
        return Err("Only one sql statement is allowed. Got: several".into());
    }
    let statement =
        statement.ok_or_else(|| "line 1:1: mismatched input '<EOF>'. Expecting: a statement".to_owned())?;
    if !matches!(statement, Statement::Query(_)) {
        return Err(format!("NOT_SUPPORTED: the offline Athena runs queries, and this is none: {statement}"));
    }
    syntax::check(&statement)?;
    Ok(statement)
}

fn syntax_error(error: &ParserError, sql: &str) -> String {
    let (ParserError::TokenizerError(text) | ParserError::ParserError(text)) = error else {
        return format!("SYNTAX_ERROR: {error}");
    };
    let Some(found) = PLACE.as_ref().and_then(|place| place.captures(text)) else {
        return format!("SYNTAX_ERROR: {text}");
    };
    let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
    // The end of the text comes without a place.
    let end = (sql.lines().count().max(1), sql.lines().last().map_or(0, |line| line.chars().count()) + 1);
    let place = match part(4) {
        "" => format!("line {}:{}", end.0, end.1),
        line => format!("line {line}:{}", part(5)),
    };
    match (part(1), part(2)) {
        ("", _) => format!("{place}: {}", part(3)),
        (expected, "EOF") => format!("{place}: mismatched input '<EOF>'. Expecting: {expected}"),
        (expected, found) => format!("{place}: mismatched input '{found}'. Expecting: {expected}"),
    }
}

/// What is SQL, but not for here.
fn refusal(sql: &str) -> Option<String> {
    let mut words = sql.split_whitespace().map(str::to_uppercase);
    let first = words.next()?;
    let two = format!("{first} {}", words.next().unwrap_or_default());
    match first.as_str() {
        "DELETE" | "UPDATE" | "MERGE" => Some(format!(
            "NOT_SUPPORTED: Modifying Hive table rows is only supported for transactional tables ({first})"
        )),
        "INSERT" => Some(
            "NOT_SUPPORTED: the offline Athena does not write tables (INSERT): store objects in the table's folder \
             instead"
                .into(),
        ),
        "CREATE" | "ALTER" | "DROP" | "MSCK" | "SHOW" | "DESCRIBE" | "EXPLAIN" | "UNLOAD" | "OPTIMIZE" | "VACUUM"
        | "PREPARE" | "EXECUTE" | "DEALLOCATE" | "GRANT" | "REVOKE" | "SET" | "TRUNCATE" | "USE" | "CALL" => {
            Some(format!("NOT_SUPPORTED: the offline Athena has no statement {}", two.trim_end()))
        }
        _ => None,
    }
}
