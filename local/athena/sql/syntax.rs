//! Syntax: what the parser reads and Trino's grammar does not know.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CeilFloorKind, DateTimeField, Distinct, Expr, Function, FunctionArguments,
    GroupByExpr, Interval, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, Subscript, TableFactor,
    UnaryOperator, Value, Visit as _, Visitor,
};

pub(super) fn check(statement: &Statement) -> Result<(), String> {
    match statement.visit(&mut Check) {
        ControlFlow::Break(reason) => Err(reason),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Check;

fn refuse(word: &str, hint: &str) -> ControlFlow<String> {
    ControlFlow::Break(format!("mismatched input '{word}': {hint}"))
}

fn missing(what: &str) -> ControlFlow<String> {
    ControlFlow::Break(format!("NOT_SUPPORTED: the offline Athena has no {what}, though Athena has"))
}

impl Visitor for Check {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return refuse("FOR", "Trino locks no rows");
        }
        match &query.limit_clause {
            Some(LimitClause::OffsetCommaLimit { .. }) => return refuse(",", "write OFFSET m LIMIT n"),
            Some(LimitClause::LimitOffset { limit: Some(limit), .. }) if !is_number(limit) => {
                return refuse(&limit.to_string(), "LIMIT takes a whole number");
            }
            _ => {}
        }
        if query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties || fetch.percent) {
            return missing("FETCH FIRST … WITH TIES");
        }
        if query.order_by.as_ref().is_some_and(|order| matches!(order.kind, OrderByKind::All(_))) {
            return refuse("ALL", "name the columns to order by");
        }
        set(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        if select.flavor != SelectFlavor::Standard {
            return refuse("FROM", "a query begins with SELECT");
        }
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return refuse("ON", "Trino has no DISTINCT ON; use max_by or row_number()");
        }
        if matches!(select.group_by, GroupByExpr::All(_)) {
            return refuse("ALL", "name the columns to group by");
        }
        let unknown = [
            ("QUALIFY", select.qualify.is_some()),
            ("TOP", select.top.is_some()),
            ("INTO", select.into.is_some()),
            ("LATERAL VIEW", !select.lateral_views.is_empty()),
            ("PREWHERE", select.prewhere.is_some()),
            ("CONNECT BY", !select.connect_by.is_empty()),
            ("CLUSTER BY", !select.cluster_by.is_empty()),
            ("DISTRIBUTE BY", !select.distribute_by.is_empty()),
            ("SORT BY", !select.sort_by.is_empty()),
            ("EXCLUDE", select.exclude.is_some()),
            ("AS", select.value_table_mode.is_some()),
        ];
        if let Some((word, _)) = unknown.iter().find(|(_, is_there)| *is_there) {
            return refuse(word, "Trino's SELECT has no such clause");
        }
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } if alias.quote_style == Some('\'') => {
                    return refuse(&alias.to_string(), "write the name of a column in double quotes");
                }
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)
                    if options.opt_exclude.is_some()
                        || options.opt_except.is_some()
                        || options.opt_replace.is_some()
                        || options.opt_rename.is_some()
                        || options.opt_ilike.is_some() =>
                {
                    return refuse(&options.to_string(), "name the columns that are wanted");
                }
                _ => {}
            }
        }
        for join in select.from.iter().flat_map(|from| &from.joins) {
            if matches!(join.join_operator, JoinOperator::CrossJoin(JoinConstraint::None)) {
                continue;
            }
            let Some(constraint) = super::scope::constraint(&join.join_operator) else {
                return refuse(
                    join.to_string().trim(),
                    "Trino has INNER, LEFT, RIGHT, FULL and CROSS JOIN; for others write EXISTS or IN",
                );
            };
            match constraint {
                JoinConstraint::Natural => {
                    return ControlFlow::Break(
                        "NOT_SUPPORTED: Natural join not supported: write USING (…)".into(),
                    );
                }
                JoinConstraint::None => return refuse("<EOF>", "a JOIN wants ON or USING"),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table { args: Some(_), name, .. } => {
                refuse("(", &format!("{name} is no table; rows of an array are UNNEST(…)"))
            }
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                missing("TABLESAMPLE")
            }
            TableFactor::Table { version: Some(_), .. } => missing("FOR VERSION or TIMESTAMP AS OF"),
            TableFactor::UNNEST { with_offset: true, .. } => refuse("OFFSET", "write WITH ORDINALITY"),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            other => ControlFlow::Break(format!(
                "NOT_SUPPORTED: the offline Athena reads from no such thing: {other}"
            )),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::ILike { .. } => refuse("ILIKE", "Trino has LIKE only; compare lower(x)"),
            Expr::SimilarTo { .. } => refuse("SIMILAR", "write regexp_like(x, pattern)"),
            Expr::RLike { .. } => refuse("RLIKE", "write regexp_like(x, pattern)"),
            Expr::Like { any: true, .. } => refuse("ANY", "write LIKE … OR LIKE …"),
            Expr::Lambda(_) => missing("lambda expressions (`x -> …`)"),
            Expr::Array(array) if !array.named => refuse("[", "write ARRAY[…]"),
            Expr::CompoundFieldAccess { access_chain, .. } => access(access_chain),
            Expr::Interval(it) => interval(it),
            Expr::Identifier(name) if matches!(&*name.value, "$file_size" | "$file_modified_time") => {
                missing(&format!("hidden column {name}"))
            }
            Expr::BinaryOp { op, .. } => match op {
                BinaryOperator::And
                | BinaryOperator::Or
                | BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
                | BinaryOperator::StringConcat
                | BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq => ControlFlow::Continue(()),
                other => refuse(&other.to_string(), "Trino has no such operator"),
            },
            Expr::UnaryOp { op, .. } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => ControlFlow::Continue(()),
                other => refuse(&other.to_string(), "Trino has no such operator"),
            },
            Expr::AtTimeZone { .. } => missing("AT TIME ZONE"),
            Expr::Overlay { .. } => refuse("PLACING", "Trino has no overlay; write substr and ||"),
            Expr::Ceil { field: CeilFloorKind::DateTimeField(field), .. }
            | Expr::Floor { field: CeilFloorKind::DateTimeField(field), .. }
                if *field != DateTimeField::NoDateTime =>
            {
                refuse("TO", "write date_trunc('day', x)")
            }
            Expr::Ceil { field: CeilFloorKind::Scale(_), .. }
            | Expr::Floor { field: CeilFloorKind::Scale(_), .. } => {
                refuse(",", "ceil and floor take one number")
            }
            Expr::Collate { .. } => refuse("COLLATE", "Trino has no collations"),
            Expr::Convert { .. } => refuse("CONVERT", "write CAST(x AS type)"),
            Expr::Dictionary(_) | Expr::Map(_) | Expr::Struct { .. } => missing("rows and maps"),
            Expr::Function(function) => call(function),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A number in quotes, and one unit.
fn interval(interval: &Interval) -> ControlFlow<String> {
    let number = match &*interval.value {
        Expr::Value(it) => match &it.value {
            Value::SingleQuotedString(text) => Some(text.trim()),
            _ => None,
        },
        _ => None,
    };
    let is_whole = number.is_some_and(|it| it.parse::<i64>().is_ok());
    let is_fit = match &interval.leading_field {
        Some(DateTimeField::Second) => number.is_some_and(|it| it.parse::<f64>().is_ok()),
        Some(
            DateTimeField::Year
            | DateTimeField::Month
            | DateTimeField::Day
            | DateTimeField::Hour
            | DateTimeField::Minute,
        ) => is_whole,
        _ => false,
    };
    if is_fit && interval.last_field.is_none() {
        return ControlFlow::Continue(());
    }
    refuse(&interval.to_string(), "write INTERVAL '1' DAY (or YEAR, MONTH, HOUR, MINUTE, SECOND)")
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(it) if matches!(it.value, Value::Number(..)))
}

fn set(body: &SetExpr) -> ControlFlow<String> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else {
        return ControlFlow::Continue(());
    };
    if *op == SetOperator::Minus {
        return refuse("MINUS", "write EXCEPT");
    }
    if !matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None) {
        return refuse("BY", "columns are matched by their place");
    }
    set(left)?;
    set(right)
}

fn access(chain: &[AccessExpr]) -> ControlFlow<String> {
    for step in chain {
        match step {
            AccessExpr::Subscript(Subscript::Slice { .. }) => {
                return refuse(":", "write slice(array, start, length)");
            }
            AccessExpr::Subscript(Subscript::Index { index: Expr::Value(it) })
                if matches!(it.value, Value::SingleQuotedString(_)) =>
            {
                return refuse("[", "the field of a row is row.field");
            }
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

fn call(function: &Function) -> ControlFlow<String> {
    let name = function.name.to_string().to_lowercase();
    let is_empty = matches!(&function.args, FunctionArguments::List(list) if list.args.is_empty() && list.clauses.is_empty());
    match &*name {
        "unnest" => refuse("unnest", "it stands in FROM: FROM t CROSS JOIN UNNEST(t.list) AS u(item)"),
        "current_date" | "current_time" | "current_timestamp" | "localtime" | "localtimestamp"
            if is_empty =>
        {
            refuse("(", &format!("write {name} without parentheses"))
        }
        _ => ControlFlow::Continue(()),
    }
}
