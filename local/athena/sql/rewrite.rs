//! Rewriting: functions of Trino in `DataFusion`'s words; one that is in neither is refused by name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Spanned as _, Statement, VisitMut as _, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::locate::place;
use crate::athena::functions::{HALF_UP, LIKE_SECOND, is_ours};

pub(super) fn functions(ast: &mut Statement) -> Result<(), String> {
    match ast.visit(&mut Rewrite) {
        ControlFlow::Break(message) => Err(message),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Functions that mean the same in both.
const SAME: &[&str] = &[
    "approx_distinct",
    "array_agg",
    "array_distinct",
    "array_except",
    "array_intersect",
    "array_max",
    "array_min",
    "array_position",
    "array_remove",
    "array_sort",
    "array_union",
    "avg",
    "bool_and",
    "bool_or",
    "cardinality",
    "chr",
    "coalesce",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "dense_rank",
    "first_value",
    "flatten",
    "greatest",
    "lag",
    "last_value",
    "lead",
    "least",
    "lower",
    "lpad",
    "ltrim",
    "max",
    "min",
    "now",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "rank",
    "regexp_like",
    "repeat",
    "replace",
    "reverse",
    "row_number",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "strpos",
    "substr",
    "substring",
    "sum",
    "translate",
    "trim",
    "unnest",
    "upper",
    "var_pop",
    "var_samp",
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "regr_slope",
    "regr_intercept",
    "grouping",
    "date_bin",
];

/// Functions that have another name there.
const RENAMED: &[(&str, &str)] = &[
    ("length", "character_length"),
    ("split", "string_to_array"),
    ("element_at", "array_element"),
    ("contains", "array_has"),
    ("array_join", "array_to_string"),
    ("sequence", "generate_series"),
    ("every", "bool_and"),
    ("variance", "var_samp"),
    ("codepoint", "ascii"),
];

/// Functions that Trino has and we have not.
const MISSING: &[&str] = &[
    "all_match",
    "any_match",
    "approx_most_frequent",
    "array_frequency",
    "at_timezone",
    "bitwise_and",
    "bitwise_or",
    "cast",
    "checksum",
    "concat_ws",
    "filter",
    "format",
    "from_base64",
    "from_hex",
    "geometric_mean",
    "hamming_distance",
    "histogram",
    "human_readable_seconds",
    "kurtosis",
    "levenshtein_distance",
    "listagg",
    "map",
    "map_agg",
    "map_from_entries",
    "map_keys",
    "map_values",
    "md5",
    "multimap_agg",
    "ngrams",
    "none_match",
    "parse_duration",
    "reduce",
    "reduce_agg",
    "regexp_count",
    "regexp_extract_all",
    "regexp_split",
    "row",
    "sha1",
    "sha256",
    "shuffle",
    "skewness",
    "slice",
    "split_to_map",
    "to_base64",
    "to_hex",
    "transform",
    "url_decode",
    "url_encode",
    "url_extract_host",
    "url_extract_parameter",
    "url_extract_path",
    "uuid",
    "width_bucket",
    "with_timezone",
    "word_stem",
    "zip",
    "zip_with",
    "is_finite",
    "is_infinite",
    "json_array_get",
    "json_size",
];

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let rewritten = match expr {
            Expr::Function(function) => rewrite(function),
            Expr::Extract { field, expr, .. } => {
                let part = field.to_string().to_lowercase();
                if is_ours(&part) {
                    parse(&format!("{part}({expr})"))
                } else {
                    Err(format!("Invalid EXTRACT field: {field}"))
                }
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                let is_whole = matches!(
                    data_type,
                    DataType::BigInt(_)
                        | DataType::Integer(_)
                        | DataType::Int(_)
                        | DataType::SmallInt(_)
                        | DataType::TinyInt(_)
                );
                match parse(&format!("\"{HALF_UP}\"({inner})")) {
                    Ok(Some(rounded)) if is_whole => {
                        **inner = rounded;
                        Ok(None)
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        };
        match rewritten {
            Ok(Some(rewritten)) => {
                *expr = rewritten;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(message) => ControlFlow::Break(format!("{}{message}", place(Some(expr.span().start)))),
        }
        .map_break(|message| {
            // The code stands in front of the place.
            match message.split_once(": ").and_then(|(at, rest)| Some((at, rest.split_once(": ")?))) {
                Some((at, (code, rest)))
                    if at.starts_with("line")
                        && code.chars().all(|it| it.is_ascii_uppercase() || it == '_') =>
                {
                    format!("{code}: {at}: {rest}")
                }
                _ => message,
            }
        })
    }
}

fn rewrite(function: &mut Function) -> Result<Option<Expr>, String> {
    let name = function.name.to_string().to_lowercase();
    let args = args(function);
    let arg = |at: usize| args.get(at).map(String::as_str).unwrap_or_default();
    let expects = |n: usize| {
        if args.len() == n {
            Ok(())
        } else {
            Err(format!("FUNCTION_NOT_FOUND: {name} takes {n} arguments, not {}", args.len()))
        }
    };
    let text = match name.as_str() {
        "if" => {
            let otherwise = if args.len() > 2 { format!(" ELSE {}", arg(2)) } else { String::new() };
            format!("(CASE WHEN {} THEN {}{otherwise} END)", arg(0), arg(1))
        }
        "mod" => expects(2).map(|()| format!("({}) % ({})", arg(0), arg(1)))?,
        "pi" => "3.141592653589793".into(),
        "e" => "2.718281828459045".into(),
        "nan" => "CAST('NaN' AS DOUBLE)".into(),
        "infinity" => "CAST('Infinity' AS DOUBLE)".into(),
        // DataFusion's passes over NULL.
        "concat" => args.iter().map(|arg| format!("({arg})")).collect::<Vec<_>>().join(" || "),
        "count_if" => return expects(1).and_then(|()| aggregate(function, "count(*)", arg(0))),
        "arbitrary" | "any_value" => {
            return expects(1).and_then(|()| {
                aggregate(function, &format!("first_value({})", arg(0)), &format!("{} IS NOT NULL", arg(0)))
            });
        }
        "max_by" => {
            let (pick, by) = (expects(2).map(|()| arg(0))?, arg(1));
            return aggregate(
                function,
                &format!("first_value({pick} ORDER BY {by} DESC NULLS LAST)"),
                &format!("{by} IS NOT NULL"),
            );
        }
        "min_by" => {
            let (pick, by) = (expects(2).map(|()| arg(0))?, arg(1));
            return aggregate(
                function,
                &format!("first_value({pick} ORDER BY {by} ASC NULLS LAST)"),
                &format!("{by} IS NOT NULL"),
            );
        }
        "approx_percentile" => {
            return expects(2).and_then(|()| {
                let text = format!("approx_percentile_cont({}) WITHIN GROUP (ORDER BY {})", arg(1), arg(0));
                let percentile = aggregate(function, &text, "")?;
                let like = aggregate(function, &format!("min({})", arg(0)), "")?;
                let texts: Vec<String> = percentile.iter().chain(&like).map(ToString::to_string).collect();
                parse(&format!("\"{LIKE_SECOND}\"({})", texts.join(", ")))
            });
        }
        // Trino replaces every match.
        "regexp_replace" => {
            let with = if args.len() > 2 { arg(2) } else { "''" };
            return renamed(function, &format!("regexp_replace({}, {}, {with}, 'g')", arg(0), arg(1)));
        }
        "try" => return expects(1).and_then(|()| parse(arg(0))).map(|it| it.map(forgive)),
        "rand" | "random" => return Err("NOT_SUPPORTED: the offline Athena has no function random".into()),
        _ if is_ours(&name) || SAME.contains(&name.as_str()) => return Ok(None),
        _ => match RENAMED.iter().find(|(trino, _)| *trino == name) {
            Some((_, other)) => return renamed(function, &format!("{other}({})", args.join(", "))),
            None if MISSING.contains(&name.as_str()) => {
                return Err(format!(
                    "NOT_SUPPORTED: the offline Athena has no function {name}, though Athena has"
                ));
            }
            None => return Err(format!("FUNCTION_NOT_FOUND: Function '{name}' not registered")),
        },
    };
    parse(&text)
}

fn args(function: &Function) -> Vec<String> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.to_string()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn parse(text: &str) -> Result<Option<Expr>, String> {
    let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
    let expr = parser.and_then(|mut parser| parser.parse_expr());
    expr.map(Some).map_err(|error| format!("SYNTAX_ERROR: {error}"))
}

/// Another call in the place of this one, with all that stands behind it.
fn renamed(function: &Function, text: &str) -> Result<Option<Expr>, String> {
    let Some(Expr::Function(other)) = parse(text)? else { return Err(format!("SYNTAX_ERROR: {text}")) };
    let other = Function { over: function.over.clone(), filter: function.filter.clone(), ..other };
    Ok(Some(Expr::Function(other)))
}

/// An aggregate over those rows of its group that `only` lets through.
fn aggregate(function: &Function, text: &str, only: &str) -> Result<Option<Expr>, String> {
    let Some(Expr::Function(mut other)) = parse(text)? else { return Err(format!("SYNTAX_ERROR: {text}")) };
    let only = if only.is_empty() { None } else { parse(only)? };
    other.filter = match (function.filter.clone(), only) {
        (Some(filter), Some(only)) => Some(Box::new(Expr::BinaryOp {
            left: Box::new(Expr::Nested(filter)),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(only))),
        })),
        (filter, only) => filter.or(only.map(Box::new)),
    };
    other.over.clone_from(&function.over);
    Ok(Some(Expr::Function(other)))
}

/// What fails in `try` is NULL: casts are tried, and nothing is divided by zero.
fn forgive(mut expr: Expr) -> Expr {
    let _ = visit_expressions_mut(&mut expr, |expr| {
        match expr {
            Expr::Cast { kind, .. } => *kind = CastKind::TryCast,
            Expr::BinaryOp { op: BinaryOperator::Divide | BinaryOperator::Modulo, right, .. } => {
                if let Ok(Some(safe)) = parse(&format!("nullif({right}, 0)")) {
                    **right = safe;
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}
