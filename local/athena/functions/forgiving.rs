//! Forgiving: a function of ours inside `try`, which gives NULL where it would fail.

use datafusion::arrow::array::new_null_array;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature};

use super::scalar::Function;

/// Stands before the name of a function that is asked to forgive.
pub(in crate::athena) const TRY: &str = "try$";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Forgiving {
    name: String,
    function: Function,
}

impl Forgiving {
    pub(super) fn new(function: &Function) -> Forgiving {
        Forgiving { name: format!("{TRY}{}", function.name), function: function.clone() }
    }
}

impl ScalarUDFImpl for Forgiving {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.function.return_type(given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        if let Ok(all) = (self.function.does)(&arrays) {
            return Ok(ColumnarValue::Array(all));
        }
        // Some row fails: which one shows only row by row.
        let nothing = new_null_array(args.return_field.data_type(), 1);
        let rows: Vec<_> = (0..args.number_rows)
            .map(|row| {
                let one: Vec<_> = arrays.iter().map(|array| array.slice(row, 1)).collect();
                (self.function.does)(&one).unwrap_or_else(|_| nothing.clone())
            })
            .collect();
        let rows: Vec<_> = rows.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&rows)?))
    }
}
