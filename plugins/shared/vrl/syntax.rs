//! Walks through the syntax tree of a program: what is nested too deeply is refused, and products
//! are found.

use vrl::diagnostic::Span;
use vrl::parser::ast::{
    Assignment, AssignmentTarget, Block, Container, Expr, FunctionCall, Node, Opcode, Predicate, Program,
    Query, QueryTarget, RootExpr, Unary,
};
use vrl::path::OwnedValuePath;

use super::guards;
use super::multiply::Product;

/// How deep expressions may be nested. The compiler walks through them by recursion.
const MAX_DEPTH: usize = 40;

/// What is wrong with a program, and where.
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) span: Span,
}

/// The products of a program.
pub(super) fn products(program: Program) -> Result<Vec<Product>, Refused> {
    let mut walk = Walk { products: Vec::new() };
    for root in program.0 {
        if let RootExpr::Expr(expression) = root.into_inner() {
            walk.expression(expression, 0)?;
        }
    }
    Ok(walk.products)
}

struct Walk {
    products: Vec<Product>,
}

impl Walk {
    fn expression(&mut self, node: Node<Expr>, depth: usize) -> Result<(), Refused> {
        let (span, expression) = node.take();
        if depth >= MAX_DEPTH {
            let message = format!("the program is nested more than {MAX_DEPTH} deep");
            return Err(Refused { message, span });
        }
        let depth = depth + 1;
        match expression {
            Expr::Container(container) => self.container(container.into_inner(), depth),
            Expr::IfStatement(statement) => {
                let statement = statement.into_inner();
                let predicate = match statement.predicate.into_inner() {
                    Predicate::One(one) => vec![*one],
                    Predicate::Many(many) => many,
                };
                self.all(predicate, depth)?;
                self.block(statement.if_node, depth)?;
                statement.else_node.map_or(Ok(()), |block| self.block(block, depth))
            }
            Expr::Op(operation) => {
                let operation = operation.into_inner();
                if *operation.1.inner() == Opcode::Mul {
                    let (lhs, operator, rhs) = (operation.0.span(), operation.1.span(), operation.2.span());
                    self.products.push(Product { lhs, operator, rhs });
                }
                self.expression(*operation.0, depth)?;
                self.expression(*operation.2, depth)
            }
            Expr::Assignment(assignment) => match assignment.into_inner() {
                Assignment::Single { target, expr, .. } => {
                    self.target(target, depth)?;
                    self.expression(*expr, depth)
                }
                Assignment::Infallible { ok, err, expr, .. } => {
                    self.target(ok, depth)?;
                    self.target(err, depth)?;
                    self.expression(*expr, depth)
                }
            },
            Expr::Query(query) => self.query(query.into_inner(), span, depth),
            Expr::FunctionCall(call) => self.call(call.into_inner(), depth),
            Expr::Unary(unary) => match unary.into_inner() {
                Unary::Not(not) => self.expression(*not.into_inner().take().1, depth),
            },
            Expr::Abort(abort) => {
                let message = abort.into_inner().message;
                message.map_or(Ok(()), |message| self.expression(*message, depth))
            }
            Expr::Return(result) => self.expression(*result.into_inner().expr, depth),
            Expr::Literal(_) | Expr::Variable(_) | Expr::Break(_) => Ok(()),
        }
    }

    fn all(&mut self, nodes: impl IntoIterator<Item = Node<Expr>>, depth: usize) -> Result<(), Refused> {
        nodes.into_iter().try_for_each(|node| self.expression(node, depth))
    }

    fn block(&mut self, block: Node<Block>, depth: usize) -> Result<(), Refused> {
        self.all(block.into_inner().into_inner(), depth)
    }

    fn container(&mut self, container: Container, depth: usize) -> Result<(), Refused> {
        match container {
            Container::Group(group) => self.expression(group.into_inner().into_inner(), depth),
            Container::Block(block) => self.block(block, depth),
            Container::Array(items) => self.all(items.into_inner(), depth),
            Container::Object(fields) => {
                self.all(fields.into_inner().into_iter().map(|(_, value)| value), depth)
            }
        }
    }

    fn call(&mut self, call: FunctionCall, depth: usize) -> Result<(), Refused> {
        self.all(call.arguments.into_iter().map(|argument| argument.into_inner().expr), depth)?;
        call.closure.map_or(Ok(()), |closure| self.block(closure.into_inner().block, depth))
    }

    fn query(&mut self, query: Query, span: Span, depth: usize) -> Result<(), Refused> {
        check_path(query.path.inner(), span)?;
        match query.target.into_inner() {
            QueryTarget::FunctionCall(call) => self.call(call, depth),
            QueryTarget::Container(container) => self.container(container, depth),
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

fn check_path(path: &OwnedValuePath, span: Span) -> Result<(), Refused> {
    guards::check_path(path).map_err(|message| Refused { message, span })
}
