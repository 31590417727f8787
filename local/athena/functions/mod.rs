//! Functions: those of Trino that `DataFusion` lacks, or has with another meaning.

mod dates;
mod format;
mod json;
mod patterns;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, NaiveDateTime};
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;

/// The prefix of the form of a function that returns NULL where the function would fail.
pub(super) const TRY: &str = "try$";

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// One argument or result. A date is its midnight.
#[derive(Clone, Debug)]
enum Cell {
    Text(String),
    Number(i64),
    When(NaiveDateTime),
}

impl Cell {
    /// The value of a row, none for NULL.
    fn of(array: &ArrayRef, row: usize) -> Option<Cell> {
        if array.is_null(row) {
            return None;
        }
        match array.data_type() {
            DataType::Utf8 => Some(Cell::Text(array.as_string::<i32>().value(row).to_owned())),
            DataType::Int64 => Some(Cell::Number(array.as_primitive::<Int64Type>().value(row))),
            DataType::Date32 => {
                let date = Date32Type::to_naive_date_opt(array.as_primitive::<Date32Type>().value(row))?;
                Some(Cell::When(date.and_hms_opt(0, 0, 0)?))
            }
            _ => {
                let millis = array.as_primitive::<TimestampMillisecondType>().value(row);
                Some(Cell::When(DateTime::from_timestamp_millis(millis)?.naive_utc()))
            }
        }
    }

    fn text(&self) -> &str {
        if let Cell::Text(text) = self { text } else { "" }
    }

    fn number(&self) -> i64 {
        if let Cell::Number(number) = self { *number } else { 0 }
    }

    fn when(&self) -> NaiveDateTime {
        if let Cell::When(time) = self { *time } else { NaiveDateTime::default() }
    }
}

fn to_array(cells: &[Option<Cell>], kind: &DataType) -> ArrayRef {
    let cells = cells.iter().map(Option::as_ref);
    match kind {
        DataType::Utf8 => Arc::new(cells.map(|it| it.map(Cell::text)).collect::<StringArray>()),
        DataType::Int64 => Arc::new(cells.map(|it| it.map(Cell::number)).collect::<Int64Array>()),
        DataType::Date32 => {
            let days = cells.map(|it| it.map(|it| Date32Type::from_naive_date(it.when().date())));
            Arc::new(days.collect::<Date32Array>())
        }
        _ => {
            let millis = cells.map(|it| it.map(|it| it.when().and_utc().timestamp_millis()));
            Arc::new(millis.collect::<TimestampMillisecondArray>())
        }
    }
}

/// A function of Trino. If an argument is NULL, the result is NULL.
#[derive(Clone)]
struct Function {
    name: &'static str,
    /// The types of the arguments; values of other types are converted. A date may stand for a timestamp.
    arguments: &'static [DataType],
    result: fn(&[DataType]) -> DataType,
    compute: fn(&[Cell]) -> Result<Option<Cell>>,
}

/// Registers all functions; a function of `DataFusion` with the same name is replaced.
pub(super) fn register(context: &SessionContext) {
    format::register(context);
    for function in all() {
        for is_lenient in [false, true] {
            let name = if is_lenient { format!("{TRY}{}", function.name) } else { function.name.to_owned() };
            let registered = Registered { name, function: function.clone(), is_lenient };
            context.register_udf(ScalarUDF::new_from_impl(registered));
        }
    }
}

/// Whether a function has a lenient form.
pub(super) fn is_ours(name: &str) -> bool {
    all().any(|it| it.name == name)
}

fn all() -> impl Iterator<Item = &'static Function> {
    dates::ALL.iter().chain(json::ALL)
}

#[derive(Clone)]
struct Registered {
    name: String,
    function: Function,
    is_lenient: bool,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

// Names are unique.
impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Registered {}

impl Hash for Registered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| Signature::user_defined(Volatility::Immutable));

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &SIGNATURE
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let arguments = self.function.arguments;
        if given.len() != arguments.len() {
            return plan_err!(
                "{} takes {} arguments, not {}",
                self.function.name,
                arguments.len(),
                given.len()
            );
        }
        let kind = |(kind, given): (&DataType, &DataType)| {
            if *kind == TIMESTAMP && *given == DataType::Date32 { DataType::Date32 } else { kind.clone() }
        };
        Ok(arguments.iter().zip(given).map(kind).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok((self.function.result)(given))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let cell = |row| {
            let cells: Option<Vec<Cell>> = arrays.iter().map(|array| Cell::of(array, row)).collect();
            match cells.map(|cells| (self.function.compute)(&cells)) {
                None => Ok(None),
                Some(Err(_)) if self.is_lenient => Ok(None),
                Some(result) => result,
            }
        };
        let cells = (0..args.number_rows).map(cell).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(to_array(&cells, args.return_field.data_type())))
    }
}

/// The error of a function for an argument that it does not accept.
fn invalid(message: impl fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("INVALID_FUNCTION_ARGUMENT: {message}"))
}
