//! Names: matched without case even in quotes, and given to columns of results that have none.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::DFSchema;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, LimitClause, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement,
    TableAlias, TableFactor, VisitMut as _, VisitorMut,
};

/// Writes every name in lower case, as the catalogue has it.
pub(super) fn lower(ast: &mut Statement) {
    let _ = ast.visit(&mut Lower);
}

struct Lower;

fn ident(ident: &mut Ident) {
    ident.value = ident.value.to_lowercase();
}

fn alias(alias: &mut TableAlias) {
    ident(&mut alias.name);
    for column in &mut alias.columns {
        ident(&mut column.name);
    }
}

impl VisitorMut for Lower {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            alias(&mut table.alias);
        }
        // FETCH FIRST 5 ROWS ONLY is LIMIT 5.
        if let Some(fetch) = query.fetch.take_if(|fetch| !fetch.with_ties && !fetch.percent)
            && query.limit_clause.is_none()
        {
            let limit = fetch.quantity.or_else(|| Some(Expr::value(number(1))));
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(it) = part {
                ident(it);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(it), .. }
        | TableFactor::Derived { alias: Some(it), .. }
        | TableFactor::UNNEST { alias: Some(it), .. }
        | TableFactor::NestedJoin { alias: Some(it), .. } = factor
        {
            alias(it);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                ident(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(it) => ident(it),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(ident),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn number(n: u32) -> datafusion::sql::sqlparser::ast::Value {
    datafusion::sql::sqlparser::ast::Value::Number(n.to_string(), false)
}

const NAMELESS: &str = "_col";
const AGAIN: &str = "_again";

/// A column without a name is `_col` and its place; one that comes twice is marked, since a plan takes it once.
pub(super) fn name(select: &mut Select, relations: &[&str]) {
    let mut seen: Vec<String> = Vec::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let expr = match item {
            SelectItem::UnnamedExpr(expr) => expr,
            SelectItem::ExprWithAlias { alias, .. } => {
                if seen.contains(&alias.value) {
                    *alias = Ident::with_quote('"', format!("{AGAIN}{at}_{}", alias.value));
                } else {
                    seen.push(alias.value.clone());
                }
                continue;
            }
            _ => continue,
        };
        let name = last(expr).map(|it| it.value.clone());
        // A field of a structure would be named with all that leads to it.
        let is_field = matches!(expr, Expr::CompoundIdentifier(parts)
            if parts.len() > 2 || parts.first().is_some_and(|first| !relations.contains(&&*first.value)));
        let alias = match name {
            Some(name) if is_field && !seen.contains(&name) => {
                seen.push(name.clone());
                name
            }
            Some(name) if seen.contains(&name) => format!("{AGAIN}{at}_{name}"),
            Some(name) => {
                seen.push(name);
                continue;
            }
            None => format!("{NAMELESS}{at}"),
        };
        let expr = std::mem::replace(expr, Expr::value(number(0)));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
    }
}

/// The name of a column as a plan has it, if it is known.
pub(super) fn of_item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => last(expr).map(|it| it.value.clone()),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    }
}

/// The name that the query knows a column by; none where it has none.
pub(super) fn plain(name: &str) -> Option<&str> {
    if name.strip_prefix(NAMELESS).is_some_and(is_number) {
        return None;
    }
    let again = name.strip_prefix(AGAIN).and_then(|rest| rest.split_once('_'));
    Some(again.filter(|(at, _)| is_number(at)).map_or(name, |(_, name)| name))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn last(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

/// How the outermost SELECT writes the names of its columns.
pub(super) struct OutputNames {
    written: BTreeMap<String, String>,
}

impl OutputNames {
    pub(super) fn of(ast: &Statement) -> OutputNames {
        let mut written = BTreeMap::new();
        if let Statement::Query(query) = ast
            && let Some(select) = first_select(&query.body)
        {
            for item in &select.projection {
                let name = match item {
                    SelectItem::UnnamedExpr(expr) => last(expr),
                    SelectItem::ExprWithAlias { alias, .. } => Some(alias),
                    _ => None,
                };
                if let Some(name) = name {
                    written.insert(name.value.to_lowercase(), name.value.clone());
                }
            }
        }
        OutputNames { written }
    }

    pub(super) fn show(&self, schema: &DFSchema) -> Vec<String> {
        let fields = schema.fields().iter().enumerate();
        fields
            .map(|(at, field)| match plain(field.name()) {
                Some(name) => self.written.get(name).cloned().unwrap_or_else(|| name.to_owned()),
                None => format!("{NAMELESS}{at}"),
            })
            .collect()
    }
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}
