//! Scopes: the columns that each SELECT reads from, so that `*` is their names and no alias passes for one of them.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind as Of, SetExpr, Statement, TableAlias, TableFactor,
    TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};

use super::locate::place;
use super::names;
use crate::Catalogue;
use crate::athena::information;

/// Names what every SELECT gives, and refuses what names a column that Trino would not find or find twice.
pub(super) fn resolve(ast: &mut Statement, catalogue: &Catalogue, database: &str) -> Result<(), String> {
    let Statement::Query(query) = ast else { return Ok(()) };
    Scopes { catalogue, database, with: Vec::new(), n_nameless: 0 }.query(query).map(drop)
}

/// Names of columns in their order, where they are known.
type Columns = Option<Vec<String>>;

struct Scopes<'a> {
    catalogue: &'a Catalogue,
    database: &'a str,
    /// What the queries around name in WITH, the innermost last.
    with: Vec<(String, Columns)>,
    n_nameless: usize,
}

/// What a SELECT reads from.
struct Relation {
    name: Option<Ident>,
    columns: Columns,
}

/// What stands between two commas of FROM.
#[derive(Default)]
struct Joined {
    relations: Vec<Relation>,
    /// The columns of USING, which come once and first.
    shared: Vec<String>,
}

impl Scopes<'_> {
    fn query(&mut self, query: &mut Query) -> Result<Columns, String> {
        let n_around = self.with.len();
        if let Some(with) = &mut query.with {
            for table in &mut with.cte_tables {
                let named = columns_of(&table.alias);
                if with.recursive {
                    self.with.push((table.alias.name.value.clone(), named.clone()));
                }
                let columns = self.query(&mut table.query)?;
                self.with.push((table.alias.name.value.clone(), named.or(columns)));
            }
        }
        let columns = self.set(&mut query.body)?;
        self.within(&mut query.order_by)?;
        if let (SetExpr::Select(_), Some(columns)) = (&*query.body, &columns) {
            let relation = Relation { name: None, columns: Some(columns.clone()) };
            unambiguous(&query.order_by, &[&relation])?;
        }
        self.with.truncate(n_around);
        Ok(columns)
    }

    fn set(&mut self, body: &mut SetExpr) -> Result<Columns, String> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                let columns = self.set(left)?;
                self.set(right)?;
                Ok(columns)
            }
            other => self.within(other).map(|()| None),
        }
    }

    fn select(&mut self, select: &mut Select) -> Result<Columns, String> {
        let mut from = mem::take(&mut select.from);
        let mut groups = Vec::new();
        for table in &mut from {
            let mut joined = Joined::default();
            self.table(table, &mut joined)?;
            groups.push(joined);
        }
        self.within(select)?;
        let relations: Vec<&Relation> = groups.iter().flat_map(|it| &it.relations).collect();
        unambiguous(select, &relations)?;
        let named: Vec<&str> =
            relations.iter().filter_map(|it| it.name.as_ref()).map(|it| it.value.as_str()).collect();
        expand(select, &groups);
        names::name(select, &named);
        no_alias(select, &relations)?;
        select.from = from;
        Ok(select.projection.iter().map(names::of_item).collect())
    }

    fn table(&mut self, table: &mut TableWithJoins, joined: &mut Joined) -> Result<(), String> {
        self.factor(&mut table.relation, joined)?;
        for join in &mut table.joins {
            self.factor(&mut join.relation, joined)?;
            self.within(&mut join.join_operator)?;
            if let Some(JoinConstraint::Using(columns)) = constraint(&join.join_operator) {
                // Its column would be that of the left table, which holds NULL for rows of the right one.
                if matches!(
                    join.join_operator,
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
                ) {
                    return Err(
                        "NOT_SUPPORTED: the offline Athena has RIGHT and FULL JOIN with ON, not with USING: \
                                write ON a.x = b.x, and coalesce(a.x, b.x) for the column"
                            .into(),
                    );
                }
                let names =
                    columns.iter().filter_map(|it| Some(it.0.last()?.as_ident()?.value.to_lowercase()));
                let names: Vec<String> = names.filter(|name| !joined.shared.contains(name)).collect();
                joined.shared.splice(0..0, names);
            }
        }
        Ok(())
    }

    fn factor(&mut self, factor: &mut TableFactor, joined: &mut Joined) -> Result<(), String> {
        let relation = match factor {
            TableFactor::Table { name, alias, .. } => {
                let last = name.0.last().and_then(ObjectNamePart::as_ident).cloned();
                let named = alias.as_ref().and_then(columns_of);
                let columns = named.or_else(|| self.columns(name));
                Relation { name: alias.as_ref().map(|it| it.name.clone()).or(last), columns }
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.query(subquery)?;
                // Its columns could not be told from those of others without a name.
                self.n_nameless += 1;
                let alias = alias.get_or_insert_with(|| TableAlias {
                    explicit: true,
                    name: Ident::with_quote('"', format!("from${}", self.n_nameless)),
                    columns: Vec::new(),
                    at: None,
                });
                Relation { name: Some(alias.name.clone()), columns: columns_of(alias).or(columns) }
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.table(table_with_joins, joined);
            }
            other => {
                self.within(other)?;
                match other {
                    TableFactor::UNNEST { alias: Some(alias), .. } => {
                        Relation { name: Some(alias.name.clone()), columns: columns_of(alias) }
                    }
                    _ => Relation { name: None, columns: None },
                }
            }
        };
        joined.relations.push(relation);
        Ok(())
    }

    fn columns(&self, name: &ObjectName) -> Columns {
        let names: Vec<&str> =
            name.0.iter().filter_map(ObjectNamePart::as_ident).map(|it| it.value.as_str()).collect();
        let (table, before) = names.split_last()?;
        if before.is_empty()
            && let Some((_, columns)) = self.with.iter().rev().find(|(name, _)| name == table)
        {
            return columns.clone();
        }
        let database = before.last().copied().unwrap_or(self.database);
        if database == information::NAME {
            return information::column_names(table);
        }
        let table = self.catalogue.read(|shelf| shelf.table(database, table).cloned()).ok()?;
        let all = table.storage_descriptor.columns.iter().chain(&table.partition_keys);
        Some(all.map(|column| column.name.to_lowercase()).collect())
    }

    /// Looks into the queries that stand in expressions.
    fn within(&mut self, part: &mut impl VisitMut) -> Result<(), String> {
        match part.visit(&mut Within { scopes: self, depth: 0 }) {
            ControlFlow::Break(message) => Err(message),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

struct Within<'s, 'a> {
    scopes: &'s mut Scopes<'a>,
    depth: usize,
}

impl VisitorMut for Within<'_, '_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        self.depth += 1;
        // The queries inside this one it has looked into itself.
        if self.depth == 1
            && let Err(message) = self.scopes.query(query)
        {
            return ControlFlow::Break(message);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// What tells how two tables are joined.
pub(super) fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    match join {
        JoinOperator::Join(it)
        | JoinOperator::Inner(it)
        | JoinOperator::Left(it)
        | JoinOperator::LeftOuter(it)
        | JoinOperator::Right(it)
        | JoinOperator::RightOuter(it)
        | JoinOperator::FullOuter(it) => Some(it),
        _ => None,
    }
}

fn columns_of(alias: &TableAlias) -> Columns {
    let names = alias.columns.iter().map(|column| column.name.value.clone());
    (!alias.columns.is_empty()).then(|| names.collect())
}

/// Puts names in the place of `*`: what is hidden stays hidden, and each may be told from the others.
fn expand(select: &mut Select, groups: &[Joined]) {
    let mut items = Vec::new();
    for item in mem::take(&mut select.projection) {
        let columns = match &item {
            SelectItem::Wildcard(_) if !groups.is_empty() => {
                groups.iter().map(all).collect::<Option<Vec<_>>>().map(|it| it.concat())
            }
            SelectItem::QualifiedWildcard(Of::ObjectName(name), _) => {
                let last = name.0.last().and_then(ObjectNamePart::as_ident).map(|it| it.value.to_lowercase());
                let mut relations = groups.iter().flat_map(|it| &it.relations);
                relations.find(|it| it.name.as_ref().map(|it| &it.value) == last.as_ref()).and_then(
                    |relation| relation.columns.iter().flatten().map(|it| relation.expr(it)).collect(),
                )
            }
            _ => None,
        };
        match columns.filter(|it| !it.is_empty()) {
            Some(columns) => items.extend(columns.into_iter().map(SelectItem::UnnamedExpr)),
            None => items.push(item),
        }
    }
    select.projection = items;
}

impl Relation {
    fn expr(&self, column: &str) -> Option<Expr> {
        let quoted = |name: &str| Ident::with_quote('"', name);
        Some(Expr::CompoundIdentifier(vec![quoted(&self.name.as_ref()?.value), quoted(column)]))
    }
}

fn all(joined: &Joined) -> Option<Vec<Expr>> {
    let holds = |relation: &&Relation, name: &String| relation.columns.iter().flatten().any(|it| it == name);
    let mut exprs = Vec::new();
    for name in &joined.shared {
        exprs.push(joined.relations.iter().find(|it| holds(it, name))?.expr(name)?);
    }
    for relation in &joined.relations {
        let columns = relation.columns.as_ref()?.iter().filter(|name| !joined.shared.contains(name));
        for name in columns {
            exprs.push(relation.expr(name)?);
        }
    }
    Some(exprs)
}

/// A column that its table or subquery has twice cannot be named.
fn unambiguous(part: &impl Visit, relations: &[&Relation]) -> Result<(), String> {
    let is_twice = |relation: &Relation, name: &str| {
        let columns = relation.columns.iter().flatten();
        columns.filter(|it| names::plain(it).is_some_and(|it| it == name)).count() > 1
    };
    let found = find(part, |expr| {
        let (of, name) = match expr {
            Expr::Identifier(name) => (None, name),
            Expr::CompoundIdentifier(parts) => match &**parts {
                [of, name] => (Some(of), name),
                _ => return None,
            },
            _ => return None,
        };
        let is_of =
            |it: &&&Relation| of.is_none_or(|of| it.name.as_ref().is_some_and(|it| it.value == of.value));
        relations.iter().filter(is_of).any(|it| is_twice(it, &name.value)).then(|| name.clone())
    });
    match found {
        Some(name) => Err(format!(
            "AMBIGUOUS_NAME: {}Column '{}' is ambiguous",
            place(Some(name.span.start)),
            name.value
        )),
        None => Ok(()),
    }
}

/// Trino groups by columns alone: an alias of the SELECT is not known there yet, nor in HAVING.
fn no_alias(select: &Select, relations: &[&Relation]) -> Result<(), String> {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else { return Ok(()) };
    let Some(columns) = relations.iter().map(|it| it.columns.as_ref()).collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    let is_alias = |expr: &Expr| {
        let Expr::Identifier(name) = expr else { return None };
        let is_it = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value);
        let is_column = columns.iter().any(|it| it.contains(&name.value));
        (!is_column && select.projection.iter().any(is_it)).then(|| name.clone())
    };
    match find(groups, is_alias).or_else(|| find(&select.having, is_alias)) {
        Some(name) => Err(format!(
            "COLUMN_NOT_FOUND: {}Column '{}' cannot be resolved",
            place(Some(name.span.start)),
            name.value
        )),
        None => Ok(()),
    }
}

/// The first name that is looked for, outside of the queries that stand in expressions.
fn find(part: &impl Visit, is_it: impl Fn(&Expr) -> Option<Ident>) -> Option<Ident> {
    match part.visit(&mut Find { is_it, depth: 0 }) {
        ControlFlow::Break(name) => Some(name),
        ControlFlow::Continue(()) => None,
    }
}

struct Find<F> {
    is_it: F,
    depth: usize,
}

impl<F: Fn(&Expr) -> Option<Ident>> Visitor for Find<F> {
    type Break = Ident;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Ident> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Ident> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Ident> {
        match (self.is_it)(expr).filter(|_| self.depth == 0) {
            Some(name) => ControlFlow::Break(name),
            None => ControlFlow::Continue(()),
        }
    }
}
