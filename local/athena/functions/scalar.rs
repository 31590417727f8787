//! A scalar function: its name, what it takes, what it gives and what it does.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::athena::value::type_name;

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Double,
    Bigint,
    /// A bigint or a double.
    Number,
    /// A date or a timestamp.
    When,
    /// A timestamp, or a date at its midnight.
    Timestamp,
    /// A text, a date or a timestamp.
    TextOrWhen,
    Date,
    Array,
    Any,
}

pub(super) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

impl Kind {
    /// The type that an argument of this kind arrives as, if it may be of the type it is.
    fn admit(self, given: &DataType) -> Option<DataType> {
        use DataType::{Date32, Float64, Int64, Null, Timestamp, Utf8};
        match self {
            Kind::Any => Some(given.clone()),
            Kind::Array => match given {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    Some(DataType::List(item.clone()))
                }
                _ => None,
            },
            Kind::Date => matches!(given, Date32 | Null).then_some(Date32),
            Kind::Text => (given.is_string() || *given == Null).then_some(Utf8),
            Kind::Double => (given.is_numeric() || *given == Null).then_some(Float64),
            Kind::Bigint => (given.is_integer() || *given == Null).then_some(Int64),
            Kind::Number if given.is_integer() => Some(Int64),
            // Their places would be lost.
            Kind::Number if given.is_decimal() => None,
            Kind::Number => Kind::Double.admit(given),
            Kind::Timestamp => matches!(given, Date32 | Timestamp(..) | Null).then_some(TIMESTAMP),
            Kind::When if *given == Date32 => Some(Date32),
            Kind::When => Kind::Timestamp.admit(given),
            Kind::TextOrWhen => {
                Kind::Text.admit(given).filter(|_| *given != Null).or_else(|| Kind::When.admit(given))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Text => "varchar",
            Kind::Double => "double",
            Kind::Bigint => "bigint",
            Kind::Number => "number",
            Kind::When => "date or timestamp",
            Kind::Timestamp => "timestamp",
            Kind::TextOrWhen => "varchar, date or timestamp",
            Kind::Date => "date",
            Kind::Array => "array(E)",
            Kind::Any => "any",
        }
    }
}

/// A function that is registered with `DataFusion`.
#[derive(Clone)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// One list for each number of arguments it may have.
    pub(super) takes: &'static [&'static [Kind]],
    pub(super) gives: fn(&[DataType]) -> DataType,
    pub(super) does: fn(&[ArrayRef]) -> Result<ArrayRef>,
}

impl Function {
    pub(super) fn udf(&self) -> ScalarUDF {
        ScalarUDF::new_from_impl(self.clone())
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

// Two functions are the same if their names are: a name is registered once.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| Signature::user_defined(Volatility::Immutable));

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &SIGNATURE
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let admit = |kinds: &&[Kind]| -> Option<Vec<DataType>> {
            if kinds.len() != given.len() {
                return None;
            }
            kinds.iter().zip(given).map(|(kind, given)| kind.admit(given)).collect()
        };
        if let Some(admitted) = self.takes.iter().find_map(admit) {
            return Ok(admitted);
        }
        let wants_number = self.takes.iter().any(|it| it.contains(&Kind::Number));
        if wants_number && given.iter().any(DataType::is_decimal) {
            return plan_err!(
                "NOT_SUPPORTED: the offline Athena has {} of doubles and whole numbers, not of decimals: write \
                 CAST(x AS double)",
                self.name
            );
        }
        let given: Vec<String> = given.iter().map(type_name).collect();
        // The mark of those that only a rewriting calls is nobody's business.
        let name = self.name.trim_end_matches('$');
        let expected: Vec<String> = self
            .takes
            .iter()
            .map(|kinds| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "))
            .map(|kinds| format!("{name}({kinds})"))
            .collect();
        plan_err!(
            "FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {}. Expected: {}",
            given.join(", "),
            name,
            expected.join(", ")
        )
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok((self.gives)(given))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Without arguments nothing would tell how many rows there are.
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array((self.does)(&arrays)?))
    }
}

/// What a function says of an argument it cannot work with.
pub(super) fn invalid(message: impl fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("INVALID_FUNCTION_ARGUMENT: {message}"))
}
