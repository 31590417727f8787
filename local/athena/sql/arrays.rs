//! Arrays: the types of their items, which `DataFusion` would make alike and Trino does not.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable as _;
use datafusion::logical_expr::expr::ScalarFunction;

use super::types::{are_comparable, shown};
use crate::athena::functions::{TO_TEXT, TRY};
use crate::athena::value::type_name;

/// The type of an array's items, of an array.
pub(super) fn item(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type())
        }
        _ => None,
    }
}

/// What Trino says of arrays and values that do not fit together.
pub(super) fn mismatch(function: &ScalarFunction, schema: &DFSchema) -> Option<String> {
    let args: Vec<_> =
        function.args.iter().filter_map(|arg| Some((arg, arg.get_type(schema).ok()?))).collect();
    let fits =
        |array: &DataType, value: &DataType| item(array).is_none_or(|item| are_comparable(item, value));
    let (first, kind) = args.first()?;
    if function.name().trim_start_matches(TRY) == TO_TEXT {
        let is_nested = item(kind).is_some() || matches!(kind, DataType::Struct(_) | DataType::Map(..));
        return is_nested.then(|| format!("TYPE_MISMATCH: Cannot cast {} to varchar", type_name(kind)));
    }
    let name = match function.name() {
        "array_has" => "contains",
        "array_remove_all" => "array_remove",
        "array_append" | "array_prepend" | "array_concat" => "concat",
        other => other,
    };
    if name == "make_array" {
        let (first, kind) = args.iter().find(|(_, kind)| !kind.is_null())?;
        let (other, wrong) = args.iter().find(|(_, other)| !are_comparable(kind, other))?;
        return Some(format!(
            "TYPE_MISMATCH: All ARRAY elements must be the same type or coercible to a common type. Cannot find common \
             type between {} and {}",
            shown(first, kind),
            shown(other, wrong)
        ));
    }
    let (second, other) = args.get(1)?;
    let is_fit = match function.name() {
        "array_has" | "array_position" | "array_remove_all" | "array_append" => fits(kind, other),
        "array_prepend" => fits(other, kind),
        "array_except" | "array_intersect" | "array_union" | "array_concat" => are_comparable(kind, other),
        _ => true,
    };
    (!is_fit).then(|| {
        format!(
            "FUNCTION_NOT_FOUND: Unexpected parameters ({}, {}) for function {name}",
            shown(first, kind),
            shown(second, other)
        )
    })
}
