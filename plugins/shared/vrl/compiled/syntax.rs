//! Walks through the syntax tree of a program: what is nested too deeply is refused, and what is to
//! be edited is found.

use vrl::diagnostic::Span;
use vrl::parser::ast::{
    Assignment, AssignmentOp, AssignmentTarget, Block, Container, Expr, FunctionCall, Node, Opcode,
    Predicate, Program, Query, QueryTarget, RootExpr, Unary,
};
use vrl::path::OwnedValuePath;

use super::compile::Purpose;
use super::rewrite::Edit;
use super::{append, guards, multiply};

/// How deep expressions may be nested. The compiler walks through them by recursion.
const MAX_DEPTH: usize = 1_000;
/// How much a level of nesting counts.
const NESTED: usize = 25;
/// How much a further part of a chain counts: another `else if`, another operator after an operand.
const CHAINED: usize = 2;

/// What is wrong with a program, and where.
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) span: Span,
}

/// The edits of a program.
pub(super) fn edits(program: Program, purpose: Purpose) -> Result<Vec<Edit>, Refused> {
    let mut walk = Walk { edits: Vec::new(), n_assignments: 0 };
    let last = program.0.len() - program.0.len().min(1);
    for (index, root) in program.0.into_iter().enumerate() {
        if let RootExpr::Expr(expression) = root.into_inner() {
            walk.expression(expression, 0, index < last || purpose == Purpose::Records)?;
        }
    }
    Ok(walk.edits)
}

struct Walk {
    edits: Vec<Edit>,
    n_assignments: usize,
}

impl Walk {
    /// `is_unused` says that nothing looks at the value of the expression.
    fn expression(&mut self, node: Node<Expr>, depth: usize, is_unused: bool) -> Result<(), Refused> {
        let (span, expression) = node.take();
        if depth >= MAX_DEPTH {
            let message = format!(
                "the program is nested more than {} deep, or has a chain of more than {} `else if` or operators",
                MAX_DEPTH / NESTED,
                MAX_DEPTH / CHAINED
            );
            return Err(Refused { message, span });
        }
        let chained = depth + CHAINED;
        let depth = depth + NESTED;
        match expression {
            Expr::Container(container) => self.container(container.into_inner(), depth, is_unused),
            Expr::IfStatement(statement) => {
                let statement = statement.into_inner();
                let predicate = match statement.predicate.into_inner() {
                    Predicate::One(one) => vec![*one],
                    Predicate::Many(many) => many,
                };
                self.all(predicate, depth)?;
                self.block(statement.if_node, depth, is_unused)?;
                statement.else_node.map_or(Ok(()), |block| self.block(block, chained, is_unused))
            }
            Expr::Op(operation) => {
                let operation = operation.into_inner();
                if *operation.1.inner() == Opcode::Mul {
                    let (lhs, operator, rhs) = (operation.0.span(), operation.1.span(), operation.2.span());
                    self.edits.extend(multiply::edits(lhs, operator, rhs));
                }
                // `a + b + c` is `(a + b) + c`.
                self.expression(*operation.0, chained, false)?;
                self.expression(*operation.2, depth, false)
            }
            Expr::Assignment(assignment) => {
                self.assignment(assignment.into_inner(), span, depth, is_unused)?;
                self.n_assignments += 1;
                Ok(())
            }
            Expr::Query(query) => self.query(query.into_inner(), span, depth),
            Expr::FunctionCall(call) => self.call(call.into_inner(), depth),
            Expr::Unary(unary) => match unary.into_inner() {
                Unary::Not(not) => self.expression(*not.into_inner().take().1, depth, false),
            },
            Expr::Abort(abort) => {
                let message = abort.into_inner().message;
                message.map_or(Ok(()), |message| self.expression(*message, depth, false))
            }
            Expr::Return(result) => self.expression(*result.into_inner().expr, depth, false),
            Expr::Literal(_) | Expr::Variable(_) | Expr::Break(_) => Ok(()),
        }
    }

    fn assignment(
        &mut self,
        assignment: Assignment,
        span: Span,
        depth: usize,
        is_unused: bool,
    ) -> Result<(), Refused> {
        match assignment {
            Assignment::Single { target, op, expr } => {
                let end_of_name = end_of_push(&target, &op, &expr).filter(|_| is_unused);
                self.target(target, depth)?;
                let n_before = self.n_assignments;
                self.expression(*expr, depth, false)?;
                // An assignment inside of the item may change the list.
                if let Some(end) = end_of_name.filter(|_| self.n_assignments == n_before) {
                    self.edits.push(append::edit(span.start(), end));
                }
                Ok(())
            }
            Assignment::Infallible { ok, err, expr, .. } => {
                self.target(ok, depth)?;
                self.target(err, depth)?;
                self.expression(*expr, depth, false)
            }
        }
    }

    fn all(&mut self, nodes: impl IntoIterator<Item = Node<Expr>>, depth: usize) -> Result<(), Refused> {
        nodes.into_iter().try_for_each(|node| self.expression(node, depth, false))
    }

    /// Only the last expression of a block gives its value.
    fn block(&mut self, block: Node<Block>, depth: usize, is_unused: bool) -> Result<(), Refused> {
        let mut expressions = block.into_inner().into_inner();
        let last = expressions.pop();
        expressions.into_iter().try_for_each(|node| self.expression(node, depth, true))?;
        last.map_or(Ok(()), |last| self.expression(last, depth, is_unused))
    }

    fn container(&mut self, container: Container, depth: usize, is_unused: bool) -> Result<(), Refused> {
        match container {
            Container::Group(group) => self.expression(group.into_inner().into_inner(), depth, false),
            Container::Block(block) => self.block(block, depth, is_unused),
            Container::Array(items) => self.all(items.into_inner(), depth),
            Container::Object(fields) => {
                self.all(fields.into_inner().into_iter().map(|(_, value)| value), depth)
            }
        }
    }

    fn call(&mut self, call: FunctionCall, depth: usize) -> Result<(), Refused> {
        let is_unused = &**call.ident.inner() == "for_each";
        self.all(call.arguments.into_iter().map(|argument| argument.into_inner().expr), depth)?;
        call.closure.map_or(Ok(()), |closure| self.block(closure.into_inner().block, depth, is_unused))
    }

    fn query(&mut self, query: Query, span: Span, depth: usize) -> Result<(), Refused> {
        check_path(query.path.inner(), span)?;
        match query.target.into_inner() {
            QueryTarget::FunctionCall(call) => self.call(call, depth),
            QueryTarget::Container(container) => self.container(container, depth, false),
            QueryTarget::Internal(_) | QueryTarget::External(_) => Ok(()),
        }
    }

    fn target(&mut self, target: Node<AssignmentTarget>, depth: usize) -> Result<(), Refused> {
        let (span, target) = target.take();
        match target {
            AssignmentTarget::Query(query) => self.query(query, span, depth),
            AssignmentTarget::Internal(_, Some(path)) => check_path(&path, span),
            AssignmentTarget::External(Some(path)) => check_path(&path.path, span),
            AssignmentTarget::Noop
            | AssignmentTarget::Internal(_, None)
            | AssignmentTarget::External(None) => Ok(()),
        }
    }
}

/// Where the name `push` ends in `list = push(list, item)`.
fn end_of_push(target: &Node<AssignmentTarget>, op: &AssignmentOp, assigned: &Node<Expr>) -> Option<usize> {
    let (AssignmentTarget::Internal(list, None), AssignmentOp::Assign) = (target.inner(), op) else {
        return None;
    };
    let Expr::FunctionCall(call) = assigned.inner() else { return None };
    let call = call.inner();
    let [first, _] = &call.arguments[..] else { return None };
    let (Expr::Variable(variable), None) = (first.inner().expr.inner(), &first.inner().ident) else {
        return None;
    };
    (&**call.ident.inner() == "push" && variable.inner() == list).then(|| call.ident.end())
}

fn check_path(path: &OwnedValuePath, span: Span) -> Result<(), Refused> {
    guards::check_path(path).map_err(|message| Refused { message, span })
}
