//! Explaining: an error of `DataFusion` in the words of Athena.

use std::sync::LazyLock;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::Statement;
use regex::Regex;

use super::locate::{self, Source, place};
use crate::athena::engine::MEMORY;

/// A message that is in Athena's words already.
static CODE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+): (.*)").ok());
static FUNCTION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"for function (\w+)\.").ok());
static CAST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)Cannot cast (?:string|value) '(.*)' to (?:value of )?(\w+)(?: type)?").ok()
});
static RANGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"Can't cast value (\S+) to type (\w+)").ok());
static OPERATOR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"Cannot (?:coerce arithmetic expression|infer common argument type for comparison operation) (\w+)\S* (\S+) (\w+)").ok()
});
static ARGUMENTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"No function matches the given name and argument types '(\w+)\((.*?)\)'").ok()
});
static UNGROUPED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?s)column "(?:[^"]*\.)?"?([^"]+?)"?" must appear in the GROUP BY"#).ok());

pub(super) fn explain(error: &DataFusionError, ast: &Statement, source: &Source) -> String {
    if let DataFusionError::ResourcesExhausted(_) = error.find_root() {
        return format!(
            "Query exhausted resources at this scale factor: the offline Athena gives a query {} MiB of memory; read \
             fewer rows or columns, or group and join less at once",
            MEMORY >> 20
        );
    }
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            explain(inner, ast, source)
        }
        DataFusionError::Shared(inner) => explain(inner, ast, source),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => explain(first, ast, source),
            None => "GENERIC_INTERNAL_ERROR".into(),
        },
        DataFusionError::SchemaError(error, _) => schema_error(error, ast),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => "DIVISION_BY_ZERO: Division by zero".into(),
            other => plain(&other.to_string(), ast, source),
        },
        other => plain(&other.strip_backtrace(), ast, source),
    }
}

fn schema_error(error: &SchemaError, ast: &Statement) -> String {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            let (location, written) =
                locate::column(ast, field.relation.as_ref().map(|it| it.table()), &field.name);
            format!("COLUMN_NOT_FOUND: {}Column '{written}' cannot be resolved", place(location))
        }
        SchemaError::AmbiguousReference { field } => {
            let (location, written) =
                locate::column(ast, field.relation.as_ref().map(|it| it.table()), &field.name);
            format!("AMBIGUOUS_NAME: {}Column '{written}' is ambiguous", place(location))
        }
        other => format!("SYNTAX_ERROR: {other}"),
    }
}

fn plain(text: &str, ast: &Statement, source: &Source) -> String {
    let find = |regex: &Option<Regex>| {
        regex.as_ref().and_then(|regex| {
            regex.captures(text).map(|it| {
                let part = |at: usize| it.get(at).map(|it| it.as_str().to_owned()).unwrap_or_default();
                (part(1), part(2))
            })
        })
    };
    if let Some((code, rest)) = find(&CODE) {
        let rest = rest.split(" No function matches the given name").next().unwrap_or_default().trim_end();
        let function =
            FUNCTION.as_ref().and_then(|regex| Some(regex.captures(rest)?.get(1)?.as_str().to_owned()));
        let at =
            function.filter(|_| code == "FUNCTION_NOT_FOUND").and_then(|name| locate::function(ast, &name));
        return format!("{code}: {}{rest}", place(at));
    }
    if let Some(found) = OPERATOR.as_ref().and_then(|regex| regex.captures(text)) {
        let (left, operator, right) = (trino(&found[1]), &found[2], trino(&found[3]));
        let at = place(locate::operator(ast, source, operator, &[], &[]));
        return format!("TYPE_MISMATCH: {at}Cannot apply operator: {left} {operator} {right}");
    }
    if let Some((function, given)) = find(&ARGUMENTS) {
        let function = written(&function);
        let at = place(locate::function(ast, function));
        let given: Vec<String> = given.split(", ").map(trino).collect();
        return format!(
            "FUNCTION_NOT_FOUND: {at}Unexpected parameters ({}) for function {function}",
            given.join(", ")
        );
    }
    if let Some((column, _)) = find(&UNGROUPED) {
        let (location, written) = locate::column(ast, None, &column);
        return format!(
            "EXPRESSION_NOT_AGGREGATE: {}'{written}' must be an aggregate expression or appear in GROUP BY clause",
            place(location)
        );
    }
    if let Some((value, kind)) = find(&CAST) {
        return format!("INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {}", trino(&kind).to_uppercase());
    }
    if let Some((value, kind)) = find(&RANGE) {
        return format!("NUMERIC_VALUE_OUT_OF_RANGE: Out of range for {}: {value}", trino(&kind));
    }
    let text = text.split(". This was likely caused by a bug").next().unwrap_or(text);
    if text.contains("Error parsing") && text.contains("timestamp") {
        return format!("INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: {text}");
    }
    if text.contains("ivide by zero") {
        return "DIVISION_BY_ZERO: Division by zero".into();
    }
    if text.contains("OuterReferenceColumn") {
        return "NOT_SUPPORTED: the offline Athena cannot take this subquery or UNNEST, which uses columns of the tables \
                around it: write a join, or unnest in a subquery of its own"
            .into();
    }
    if text.contains("not implemented") {
        return format!("NOT_SUPPORTED: {text}");
    }
    // What DataFusion proposes are its own functions.
    let text = text.split("\n\tCandidate functions").next().unwrap_or(text).trim_end();
    let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
    if text.contains("Cannot infer common")
        || text.contains("coerce")
        || text.contains("requires a boolean")
        || text.contains("Cannot create filter")
    {
        return format!("TYPE_MISMATCH: {text}");
    }
    format!("SYNTAX_ERROR: {text}")
}

/// The name that a function of `DataFusion` has in Trino.
fn written(function: &str) -> &str {
    match function {
        "array_element" => "element_at",
        "array_has" => "contains",
        "array_remove_all" => "array_remove",
        "array_repeat" => "repeat",
        "generate_series" => "sequence",
        "approx_percentile_cont" => "approx_percentile",
        "var" | "var_samp" => "variance",
        other => other,
    }
}

/// What Trino calls a type that `DataFusion` names.
fn trino(kind: &str) -> String {
    let kind = match kind {
        "Utf8" | "Utf8View" | "LargeUtf8" => "varchar",
        "Float64" => "double",
        "Float32" => "real",
        "Int64" => "bigint",
        "Int32" => "integer",
        "Int16" => "smallint",
        "Int8" => "tinyint",
        "Date32" => "date",
        "Boolean" => "boolean",
        "Null" => "unknown",
        other if other.starts_with("List(") => return array(other),
        other if other.starts_with("Timestamp") => "timestamp",
        other if other.starts_with("Interval") => "interval day to second",
        other => return other.to_lowercase(),
    };
    kind.to_owned()
}

/// `List(Float64)` is an array.
fn array(kind: &str) -> String {
    let item = kind.strip_prefix("List(").and_then(|it| it.strip_suffix(')')).unwrap_or_default();
    format!("array({})", trino(item.strip_prefix("nullable ").unwrap_or(item)))
}
