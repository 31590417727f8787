//! `*` with a limit. VRL repeats a text that is multiplied by a number: a record with a large
//! number could ask for any amount of memory, in one step.
//!
//! Every `a * b` is replaced by a call of the function here, which does the same for operands that
//! are not too large.

use vrl::diagnostic::Span;
use vrl::prelude::ExpressionError;
use vrl::prelude::{
    ArgumentList, Compiled, Context, Example, Expression, Function, FunctionCompileContext,
    FunctionExpression, Kind, Parameter, Resolved, TypeDef, TypeState, Value, VrlValueArithmetic as _, kind,
};

use super::rewrite::Edit;

/// The longest text that `*` makes, in bytes.
const MAX_BYTES: u64 = 16 << 20;

const NAME: &str = "__multiply";

/// The edits for a product of two operands.
pub(super) fn edits(lhs: Span, operator: Span, rhs: Span) -> [Edit; 3] {
    [
        Edit { start: lhs.start(), end: lhs.start(), text: format!("{NAME}(") },
        Edit { start: operator.start(), end: operator.end(), text: ",".into() },
        Edit { start: rhs.end(), end: rhs.end(), text: ")".into() },
    ]
}

/// The function that stands for `*`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Multiply;

impl Function for Multiply {
    fn identifier(&self) -> &'static str {
        NAME
    }

    fn usage(&self) -> &'static str {
        "Stands for `*`."
    }

    fn category(&self) -> &'static str {
        "Number"
    }

    fn return_kind(&self) -> u16 {
        kind::BYTES | kind::INTEGER | kind::FLOAT
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] =
            &[Parameter::required("lhs", kind::ANY, ""), Parameter::required("rhs", kind::ANY, "")];
        PARAMETERS
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let (lhs, rhs) = (arguments.required("lhs"), arguments.required("rhs"));
        Ok(FunctionExpression::as_expr(&MultiplyCall { lhs, rhs }))
    }
}

#[derive(Clone, Debug)]
struct MultiplyCall {
    lhs: Box<dyn Expression>,
    rhs: Box<dyn Expression>,
}

impl FunctionExpression for MultiplyCall {
    fn resolve(&self, context: &mut Context) -> Resolved {
        let (lhs, rhs) = (self.lhs.resolve(context)?, self.rhs.resolve(context)?);
        let n_bytes = match (&lhs, &rhs) {
            (Value::Integer(n), text) | (text, Value::Integer(n)) => text
                .as_bytes()
                .map_or(0, |text| u64::try_from(*n).unwrap_or(0).saturating_mul(text.len() as u64)),
            _ => 0,
        };
        if n_bytes > MAX_BYTES {
            return Err(ExpressionError::from("the text would be longer than 16 MiB"));
        }
        lhs.try_mul(rhs).map_err(Into::into)
    }

    /// As the compiler types `*`.
    fn type_def(&self, state: &TypeState) -> TypeDef {
        let (lhs, rhs) = (self.lhs.type_def(state), self.rhs.type_def(state));
        let number = || Kind::integer().or_float();
        if lhs.is_float() || rhs.is_float() {
            lhs.fallible_unless(number()).union(rhs.fallible_unless(number())).with_kind(Kind::float())
        } else if lhs.is_integer() && rhs.is_integer() {
            lhs.union(rhs).with_kind(Kind::integer())
        } else if lhs.is_bytes() && rhs.is_integer() || lhs.is_integer() && rhs.is_bytes() {
            lhs.union(rhs).with_kind(Kind::bytes())
        } else {
            lhs.union(rhs).fallible().with_kind(Kind::bytes().or_integer().or_float())
        }
    }
}
