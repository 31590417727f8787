//! `rows = push(rows, item)` in place. VRL copies the whole array twice for each item, so that an
//! array of some thousand rows would take seconds.
//!
//! An assignment of this form whose own value is not used is replaced by a call of the function
//! here.

use vrl::parser::ast::Ident;
use vrl::prelude::expression::Expr;
use vrl::prelude::{
    ArgumentList, Compiled, Context, Example, Expression, ExpressionError, Function, FunctionCompileContext,
    FunctionExpression, Parameter, Resolved, TypeDef, TypeState, Value, kind,
};

use super::rewrite::Edit;

const NAME: &str = "__append";

/// The edit for an assignment that begins at `start`, with a call of `push` whose name ends at
/// `end_of_name`.
pub(super) fn edit(start: usize, end_of_name: usize) -> Edit {
    Edit { start, end: end_of_name, text: NAME.into() }
}

/// The function that adds an item to the array in a variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append;

impl Function for Append {
    fn identifier(&self) -> &'static str {
        NAME
    }

    fn usage(&self) -> &'static str {
        "Stands for `list = push(list, item)`."
    }

    fn category(&self) -> &'static str {
        "Array"
    }

    fn return_kind(&self) -> u16 {
        kind::NULL
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] =
            &[Parameter::required("value", kind::ARRAY, ""), Parameter::required("item", kind::ANY, "")];
        PARAMETERS
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let Expr::Variable(list) = arguments.required_expr("value") else {
            return Err(Box::new(ExpressionError::from("the list is not a variable")));
        };
        let (list, item) = (list.ident().clone(), arguments.required("item"));
        Ok(FunctionExpression::as_expr(&AppendCall { list, item }))
    }
}

#[derive(Clone, Debug)]
struct AppendCall {
    list: Ident,
    item: Box<dyn Expression>,
}

impl FunctionExpression for AppendCall {
    fn resolve(&self, context: &mut Context) -> Resolved {
        let item = self.item.resolve(context)?;
        match context.state_mut().variable_mut(&self.list) {
            Some(Value::Array(list)) => {
                list.push(item);
                Ok(Value::Null)
            }
            _ => Err("expected an array".into()),
        }
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::null().infallible()
    }
}
