//! Functions: those of Trino that `DataFusion` lacks, or has with another meaning.

mod dates;
mod format;
mod json;
mod patterns;

use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveDateTime};
use datafusion::arrow::array::new_empty_array;
use datafusion::arrow::datatypes::DataType::{self, Int64, Utf8};
use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;

/// The prefix of the form of a function that returns NULL where the function would fail.
pub(super) const TRY: &str = "try$";

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// A function of Trino: its name, the types of its arguments, the type of its result, and what computes it. Values of
/// other types are converted; a date may stand for a timestamp. Without a type the result has that of the last
/// argument. If an argument is NULL, the result is NULL.
type Function =
    (&'static str, &'static [DataType], Option<DataType>, fn(&[ScalarValue]) -> Result<ScalarValue>);

const FUNCTIONS: &[Function] = &[
    ("date_trunc", &[Utf8, TIMESTAMP], None, dates::truncate),
    ("date_add", &[Utf8, Int64, TIMESTAMP], None, dates::add),
    ("date_diff", &[Utf8, TIMESTAMP, TIMESTAMP], Some(Int64), dates::diff),
    ("date_parse", &[Utf8, Utf8], Some(TIMESTAMP), patterns::read),
    ("date_format", &[TIMESTAMP, Utf8], Some(Utf8), patterns::write),
    ("json_extract_scalar", &[Utf8, Utf8], Some(Utf8), json::extract_scalar),
    ("json_extract", &[Utf8, Utf8], Some(Utf8), json::extract),
];

fn text(value: &ScalarValue) -> &str {
    value.try_as_str().flatten().unwrap_or_default()
}

fn number(value: &ScalarValue) -> i64 {
    if let ScalarValue::Int64(Some(number)) = value { *number } else { 0 }
}

/// A date is its midnight.
fn time(value: &ScalarValue) -> NaiveDateTime {
    let millis = match value.cast_to(&TIMESTAMP) {
        Ok(ScalarValue::TimestampMillisecond(Some(millis), None)) => millis,
        _ => 0,
    };
    DateTime::from_timestamp_millis(millis).unwrap_or_default().naive_utc()
}

fn of_time(time: NaiveDateTime) -> ScalarValue {
    ScalarValue::TimestampMillisecond(Some(time.and_utc().timestamp_millis()), None)
}

/// Registers all functions; a function of `DataFusion` with the same name is replaced.
pub(super) fn register(context: &SessionContext) {
    format::register(context);
    for (index, (name, ..)) in FUNCTIONS.iter().enumerate() {
        for is_lenient in [false, true] {
            let name = if is_lenient { format!("{TRY}{name}") } else { (*name).to_owned() };
            context.register_udf(ScalarUDF::new_from_impl(Registered { name, index, is_lenient }));
        }
    }
}

/// Whether a function has a lenient form.
pub(super) fn is_ours(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Registered {
    name: String,
    /// In [`FUNCTIONS`].
    index: usize,
    is_lenient: bool,
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
        let (name, arguments, ..) = &FUNCTIONS[self.index];
        if given.len() != arguments.len() {
            return plan_err!("{name} takes {} arguments, not {}", arguments.len(), given.len());
        }
        let kind = |(kind, given): (&DataType, &DataType)| {
            if *kind == TIMESTAMP && *given == DataType::Date32 { DataType::Date32 } else { kind.clone() }
        };
        Ok(arguments.iter().zip(given).map(kind).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let (_, arguments, result, _) = &FUNCTIONS[self.index];
        Ok(result.clone().unwrap_or_else(|| given[arguments.len() - 1].clone()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_field.data_type();
        if args.number_rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(kind)));
        }
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let result = |row| {
            let values = arrays.iter().map(|array| ScalarValue::try_from_array(array, row));
            let values = values.collect::<Result<Vec<_>>>()?;
            if values.iter().any(ScalarValue::is_null) {
                return ScalarValue::try_from(kind);
            }
            match (FUNCTIONS[self.index].3)(&values) {
                Err(_) if self.is_lenient => ScalarValue::try_from(kind),
                result => result?.cast_to(kind),
            }
        };
        let results = (0..args.number_rows).map(result).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}

/// The error of a function for an argument that it does not accept.
fn invalid(message: impl fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("INVALID_FUNCTION_ARGUMENT: {message}"))
}
