//! Locating: where in the text of a query something stands, for errors that point.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Spanned as _, Statement, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Location;

/// The text of a query.
pub(super) struct Source {
    lines: Vec<Vec<char>>,
}

impl Source {
    pub(super) fn new(sql: &str) -> Source {
        Source { lines: sql.split('\n').map(|line| line.chars().collect()).collect() }
    }

    pub(super) fn holds(&self, word: &str) -> bool {
        self.find_after(Location { line: 1, column: 1 }, word).is_some()
    }

    /// Where `word` stands first after `from`.
    fn find_after(&self, from: Location, word: &str) -> Option<Location> {
        let word: Vec<char> = word.chars().collect();
        let first = (from.line as usize).checked_sub(1)?;
        for (row, line) in self.lines.iter().enumerate().skip(first) {
            let start = if row == first { (from.column as usize).saturating_sub(1) } else { 0 };
            let found = (start..line.len()).find(|at| line[*at..].starts_with(&word));
            if let Some(at) = found {
                return Some(Location { line: row as u64 + 1, column: at as u64 + 1 });
            }
        }
        None
    }
}

/// `line 1:8: `, or nothing where the place is not known.
pub(super) fn place(location: Option<Location>) -> String {
    match location.filter(|it| it.line > 0) {
        Some(Location { line, column }) => format!("line {line}:{column}: "),
        None => String::new(),
    }
}

fn first_of(ast: &Statement, mut is_it: impl FnMut(&Expr) -> Option<Location>) -> Option<Location> {
    let found = visit_expressions(ast, |expr| match is_it(expr) {
        Some(location) => ControlFlow::Break(location),
        None => ControlFlow::Continue(()),
    });
    found.break_value()
}

/// Where a column is named, of the table `relation` if that is given, and how it is written there.
pub(super) fn column(ast: &Statement, relation: Option<&str>, name: &str) -> (Option<Location>, String) {
    let mut written = name.to_owned();
    let location = first_of(ast, |expr| match expr {
        Expr::Identifier(ident) if relation.is_none() && ident.value.eq_ignore_ascii_case(name) => {
            Some(ident.span.start)
        }
        Expr::CompoundIdentifier(parts) => {
            let [before @ .., last] = &**parts else { return None };
            let is_of =
                before.last().is_some_and(|it| relation.is_none_or(|of| it.value.eq_ignore_ascii_case(of)));
            if !is_of || !last.value.eq_ignore_ascii_case(name) {
                return None;
            }
            written = parts.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join(".");
            parts.first().map(|part| part.span.start)
        }
        _ => None,
    });
    (location, written)
}

pub(super) fn function(ast: &Statement, name: &str) -> Option<Location> {
    first_of(ast, |expr| match expr {
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case(name) => {
            Some(expr.span().start)
        }
        _ => None,
    })
}

/// Where an operator stands between the columns that are named on its sides.
pub(super) fn operator(
    ast: &Statement,
    source: &Source,
    operator: &str,
    left: &[String],
    right: &[String],
) -> Option<Location> {
    let names = |expr: &Expr, names: &[String]| {
        let text = expr.to_string().to_lowercase();
        names.iter().all(|name| text.contains(name.as_str()))
    };
    first_of(ast, |expr| match expr {
        Expr::BinaryOp { left: l, op, right: r } => {
            let is_it = same(&op.to_string(), operator) && names(l, left) && names(r, right);
            is_it.then(|| source.find_after(l.span().end, &op.to_string())).flatten()
        }
        Expr::Between { expr, low, high, .. } => {
            let is_it =
                operator == "BETWEEN" && names(expr, left) && (names(low, right) || names(high, right));
            is_it.then(|| expr.span().start)
        }
        Expr::InList { expr, .. } => (operator == "IN" && names(expr, left)).then(|| expr.span().start),
        Expr::InSubquery { expr, .. } => (operator == "IN" && names(expr, left)).then(|| expr.span().start),
        Expr::Like { expr, .. } => (operator == "LIKE" && names(expr, left)).then(|| expr.span().start),
        _ => None,
    })
}

/// `!=` and `<>` are one.
fn same(written: &str, operator: &str) -> bool {
    written == operator || (written == "<>" && operator == "!=")
}
