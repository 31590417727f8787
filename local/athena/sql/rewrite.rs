//! Rewriting: functions of Trino in `DataFusion`'s words; one that is in neither is refused by name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CharacterLength, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, ObjectName, Spanned as _, Statement, Subscript,
    TrimWhereField, Value, VisitMut as _, VisitorMut, visit_expressions, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::known::{self, COUNTS, MISSING, RENAMED};
use super::locate::place;
use crate::athena::functions::{
    HALF_UP, HAS_NULL, LIKE_PATTERN, LIKE_SECOND, NARROW, PLACE, SUBSCRIPT, SUBSTR, TIMES, TO_TEXT, TRUTH,
    TRY, WIDE, is_ours,
};

pub(super) fn functions(ast: &mut Statement) -> Result<(), String> {
    match ast.visit(&mut Rewrite) {
        ControlFlow::Break(message) => Err(message),
        ControlFlow::Continue(()) => Ok(()),
    }
}

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
            Expr::Cast { kind, expr, data_type, .. } => cast(kind, expr, data_type),
            Expr::CompoundFieldAccess { root, access_chain } => subscripts(root, access_chain),
            // In quotes, or the parser would read the same expression again.
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "trim",
                };
                let letters = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                parse(&format!(
                    "\"{name}\"({expr}{})",
                    letters.map(|it| format!(", {it}")).collect::<String>()
                ))
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.as_ref().map_or_else(|| "1".to_owned(), ToString::to_string);
                let length = substring_for.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
                parse(&format!("\"{SUBSTR}\"({expr}, {from}{length})"))
            }
            // By itself nothing escapes in Trino, and the backslash always does here.
            Expr::Like { pattern, escape_char, .. } => {
                let escape = escape_char.take().map(|it| format!(", {it}")).unwrap_or_default();
                parse(&format!("\"{LIKE_PATTERN}\"({pattern}{escape})")).map(|translated| {
                    if let Some(translated) = translated {
                        **pattern = translated;
                    }
                    None
                })
            }
            Expr::Position { expr, r#in } => parse(&format!("strpos({}, {expr})", *r#in)),
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
    // Those that only we write are quoted.
    let name = name.trim_matches('"').to_owned();
    let args = args(function);
    let arg = |at: usize| args.get(at).map(String::as_str).unwrap_or_default();
    let expects = |n: usize| {
        if args.len() == n {
            Ok(())
        } else {
            Err(format!("FUNCTION_NOT_FOUND: {name} takes {n} arguments, not {}", args.len()))
        }
    };
    known::check(&name, args.len(), function.over.is_some())?;
    let text = match name.as_str() {
        "if" => {
            let otherwise = if args.len() > 2 { format!(" ELSE {}", arg(2)) } else { String::new() };
            format!("(CASE WHEN {} THEN {}{otherwise} END)", arg(0), arg(1))
        }
        "mod" => expects(2).map(|()| format!("({}) % ({})", arg(0), arg(1)))?,
        "current_timestamp" | "localtimestamp" => "now()".into(),
        "substr" | "substring" => format!("\"{SUBSTR}\"({})", args.join(", ")),
        "greatest" | "least" => {
            let is_null = args.iter().map(|arg| format!("({arg}) IS NULL")).collect::<Vec<_>>().join(" OR ");
            format!("(CASE WHEN {is_null} THEN NULL ELSE {name}({}) END)", args.join(", "))
        }
        "array_max" | "array_min" => expects(1).map(|()| {
            format!("(CASE WHEN \"{HAS_NULL}\"({0}) THEN NULL ELSE {name}({0}) END)", arg(0))
        })?,
        "array_sort" => expects(1).map(|()| format!("array_sort({}, 'ASC', 'NULLS LAST')", arg(0)))?,
        "array_position" => expects(2).map(|()| {
            let place = format!("coalesce(CAST(array_position({}, {}) AS BIGINT), 0)", arg(0), arg(1));
            format!("(CASE WHEN ({}) IS NULL OR ({}) IS NULL THEN NULL ELSE {place} END)", arg(0), arg(1))
        })?,
        // With a NULL in the array nobody knows.
        "contains" => expects(2).map(|()| {
            let (array, item) = (arg(0), arg(1));
            format!(
                "(CASE WHEN array_has({array}, {item}) THEN true WHEN ({array}) IS NULL OR ({item}) IS NULL OR \
                 \"{HAS_NULL}\"({array}) THEN NULL ELSE false END)"
            )
        })?,
        "element_at" => {
            expects(2).map(|()| format!("array_element({}, \"{PLACE}\"({}))", arg(0), arg(1)))?
        }
        "repeat" => expects(2).map(|()| format!("array_repeat({}, \"{TIMES}\"({}))", arg(0), arg(1)))?,
        // Of dates with a step.
        "sequence" if arg(2).to_uppercase().starts_with("INTERVAL") => {
            format!("generate_series({})", args.join(", "))
        }
        "sum" => return expects(1).and_then(|()| sum(function)),
        "typeof" => match typeof_literal(function)? {
            Some(name) => format!("'{name}'"),
            None => return Ok(None),
        },
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
            if args.len() > 2 || arg(1).to_uppercase().starts_with("ARRAY") {
                return Err("NOT_SUPPORTED: the offline Athena has approx_percentile(x, percentage) only: without weights, \
                            and each percentage in a call of its own"
                    .into());
            }
            return expects(2).and_then(|()| {
                let text = format!("approx_percentile_cont({}) WITHIN GROUP (ORDER BY {})", arg(1), arg(0));
                let percentile = aggregate(function, &text, "")?;
                let like = aggregate(function, &format!("min({})", arg(0)), "")?;
                let texts: Vec<String> = percentile.iter().chain(&like).map(ToString::to_string).collect();
                parse(&format!("\"{LIKE_SECOND}\"({})", texts.join(", ")))
            });
        }
        "try" => return expects(1).and_then(|()| parse(arg(0))).map(|it| it.map(forgive)),
        "rand" | "random" => return Err("NOT_SUPPORTED: the offline Athena has no function random".into()),
        _ if COUNTS.contains(&name.as_str()) => format!("CAST({function} AS BIGINT)"),
        _ if is_ours(&name) || known::is_same(&name) => return Ok(None),
        _ => match RENAMED.iter().find(|(trino, ..)| *trino == name) {
            Some((_, other, _)) => return renamed(function, &format!("{other}({})", args.join(", "))),
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

/// Wholes are rounded and texts written as Trino does it.
fn cast(kind: &CastKind, inner: &mut Box<Expr>, to: &DataType) -> Result<Option<Expr>, String> {
    match to {
        DataType::BigInt(_)
        | DataType::Integer(_)
        | DataType::Int(_)
        | DataType::SmallInt(_)
        | DataType::TinyInt(_) => {
            if let Some(rounded) = parse(&format!("\"{HALF_UP}\"({inner})"))? {
                **inner = rounded;
            }
            Ok(None)
        }
        DataType::Boolean => {
            let may_fail = if matches!(kind, CastKind::TryCast) { TRY } else { "" };
            if let Some(word) = parse(&format!("\"{may_fail}{TRUTH}\"({inner})"))? {
                **inner = word;
            }
            Ok(None)
        }
        DataType::Varchar(length) => {
            let length = match length {
                Some(CharacterLength::IntegerLength { length, .. }) => format!(", {length}"),
                _ => String::new(),
            };
            let may_fail = if matches!(kind, CastKind::TryCast) { TRY } else { "" };
            parse(&format!("\"{may_fail}{TO_TEXT}\"({inner}{length})"))
        }
        _ => Ok(None),
    }
}

/// What stands in brackets behind an array is looked at before it is used: Trino fails where there is no such item.
fn subscripts(root: &Expr, chain: &mut [AccessExpr]) -> Result<Option<Expr>, String> {
    let mut before = root.to_string();
    for step in chain {
        let so_far = step.to_string();
        if let AccessExpr::Subscript(Subscript::Index { index }) = step
            && let Some(checked) = parse(&format!("\"{SUBSCRIPT}\"({before}, {index})"))?
        {
            *index = checked;
        }
        before.push_str(&so_far);
    }
    Ok(None)
}

/// A sum of bigints is made of wider numbers, which tell whether it fits in the end.
fn sum(function: &Function) -> Result<Option<Expr>, String> {
    let mut inner = function.clone();
    if let FunctionArguments::List(list) = &mut inner.args {
        for arg in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
                && let Some(wide) = parse(&format!("\"{WIDE}\"({expr})"))?
            {
                *expr = wide;
            }
        }
    }
    parse(&format!("\"{NARROW}\"({inner})"))
}

/// Literals have types of their own in Trino, which are lost here.
fn typeof_literal(function: &Function) -> Result<Option<String>, String> {
    let FunctionArguments::List(list) = &function.args else { return Ok(None) };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = list.args.first() else { return Ok(None) };
    match expr {
        Expr::Value(value) => Ok(match &value.value {
            Value::Number(text, _) if text.parse::<i32>().is_ok() => Some("integer".into()),
            Value::SingleQuotedString(text) => Some(format!("varchar({})", text.chars().count())),
            _ => None,
        }),
        Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Nested(_)
        | Expr::Case { .. }
        | Expr::Array(_) => {
            let holds = |is_it: fn(&Expr) -> bool| {
                visit_expressions(expr, |it| {
                    if is_it(it) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .is_break()
            };
            let has_number =
                holds(|it| matches!(it, Expr::Value(it) if matches!(it.value, Value::Number(..))));
            let has_column = holds(|it| matches!(it, Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
            if has_number && !has_column {
                return Err("NOT_SUPPORTED: the offline Athena does not know the typeof of numbers that are written in \
                            the SQL: they are integers in Athena and bigints here; write CAST(x AS type)"
                    .into());
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// What fails in `try` is NULL: casts and functions are tried, and nothing is divided by zero.
fn forgive(mut expr: Expr) -> Expr {
    let _ = visit_expressions_mut(&mut expr, |expr| {
        match expr {
            Expr::Cast { kind, .. } => *kind = CastKind::TryCast,
            Expr::Function(function) => {
                let name =
                    function.name.0.last().and_then(|it| it.as_ident()).map(|it| it.value.to_lowercase());
                if let Some(name) = name.filter(|name| is_ours(name)) {
                    function.name = ObjectName::from(vec![Ident::with_quote('"', format!("{TRY}{name}"))]);
                }
            }
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
