//! SQL: from the text of a query to a plan of `DataFusion`.

mod names;
mod rewrite;
mod types;
mod unnest;

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Planned;
use datafusion::sql::sqlparser::ast::{Expr, Statement as Ast};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::statements::is_statement;
use super::table::PATH;

/// A query, parsed without the catalogue.
pub(super) enum Query {
    Select(Box<Select>),
    /// SHOW or DESCRIBE.
    Statement(String),
}

/// A query that returns rows.
pub(super) struct Select {
    ast: Ast,
    /// Whether the query uses the hidden column with the object of a row.
    pub(super) has_path: bool,
}

impl Query {
    pub(super) fn parse(sql: &str) -> Result<Query, String> {
        let sql = sql.trim_end().trim_end_matches(';');
        if sql.trim().is_empty() {
            return Err("line 1:1: the query is empty".into());
        }
        if is_statement(sql) {
            return Ok(Query::Statement(sql.to_owned()));
        }
        check_identifiers(sql)?;
        let mut statements =
            Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| syntax_error(&error))?;
        let statement = statements.pop();
        match statement {
            Some(ast @ Ast::Query(_)) if statements.is_empty() => {
                Ok(Query::Select(Box::new(Select { ast, has_path: sql.contains(PATH) })))
            }
            Some(Ast::Delete(_) | Ast::Update { .. } | Ast::Merge { .. }) => {
                Err("NOT_SUPPORTED: Modifying Hive table rows is only supported for transactional tables"
                    .into())
            }
            _ => Err("NOT_SUPPORTED: the offline Athena runs one SELECT, SHOW or DESCRIBE at a time".into()),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Query::Select(_) => "DML",
            Query::Statement(_) => "UTILITY",
        }
    }
}

impl Select {
    pub(super) async fn plan(self, context: &SessionContext) -> Result<LogicalPlan> {
        let mut ast = self.ast;
        names::prepare(&mut ast, self.has_path);
        unnest::inline(&mut ast)?;
        rewrite::functions(&mut ast)?;
        let state = context.state();
        // On the heap: these futures hold whole statements.
        let plan = Box::pin(state.statement_to_plan(Planned::Statement(Box::new(ast)))).await?;
        types::check(&plan)?;
        Ok(plan)
    }
}

/// Refuses identifiers that `DataFusion` reads and Athena does not: `52_weeks` would be the number 52 with an alias.
fn check_identifiers(sql: &str) -> Result<(), String> {
    // The parser has a better error for what has no tokens.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else { return Ok(()) };
    let mut number = None;
    for found in tokens {
        let problem = match &found.token {
            Token::Word(word) if word.quote_style == Some('`') => Some((
                found.span.start,
                "backquoted identifiers are not supported; use double quotes to quote identifiers",
            )),
            Token::Word(word) if word.quote_style.is_none() => number.map(|at| {
                (at, "identifiers must not start with a digit; surround the identifier with double quotes")
            }),
            _ => None,
        };
        if let Some((at, message)) = problem {
            return Err(format!("line {}:{}: {message}", at.line, at.column));
        }
        number = matches!(found.token, Token::Number(..)).then_some(found.span.start);
    }
    Ok(())
}

/// Puts the position in front, as Athena does.
fn syntax_error(error: &ParserError) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("sql parser error: ");
    match text.split_once(" at Line: ") {
        Some((message, place)) => format!("line {}: {message}", place.replacen(", Column: ", ":", 1)),
        None => format!("SYNTAX_ERROR: {text}"),
    }
}

/// Parses the text of one expression.
fn expression(text: &str) -> Result<Expr> {
    match Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_expr()) {
        Ok(expression) => Ok(expression),
        Err(error) => plan_err!("SYNTAX_ERROR: {error} in {text}"),
    }
}
