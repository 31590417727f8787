//! Functions whose arguments may be of any type: `typeof` and `format`.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;

use super::invalid;
use crate::athena::value::{text, type_of};

pub(super) fn register(context: &SessionContext) {
    let any = || Signature::variadic_any(Volatility::Immutable);
    let one = Signature::new(TypeSignature::Any(1), Volatility::Immutable);
    context.register_udf(ScalarUDF::new_from_impl(Any {
        name: "typeof",
        signature: one,
        compute: |args| Ok(type_names(args)),
    }));
    context.register_udf(ScalarUDF::new_from_impl(Any {
        name: "format",
        signature: any(),
        compute: formatted,
    }));
}

type Compute = fn(&ScalarFunctionArgs) -> Result<ColumnarValue>;

/// A function that returns text.
#[derive(Debug)]
struct Any {
    name: &'static str,
    signature: Signature,
    compute: Compute,
}

// Names are unique.
impl PartialEq for Any {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Any {}

impl std::hash::Hash for Any {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Any {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.compute)(&args)
    }
}

fn type_names(args: &ScalarFunctionArgs) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(type_of(&args.args[0].data_type())))
}

fn formatted(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let arrays = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
    let (pattern, values) =
        arrays.split_first().ok_or_else(|| invalid("format takes at least 1 argument"))?;
    let row = |row| text(pattern, row).map(|pattern| format(&pattern, values, row)).transpose();
    let texts = (0..args.number_rows).map(row).collect::<Result<Vec<_>>>()?;
    Ok(ColumnarValue::Array(Arc::new(StringArray::from(texts))))
}

/// What stands between `%` and the letter of a conversion.
#[derive(Default)]
struct Spec {
    flags: String,
    width: usize,
    precision: Option<usize>,
}

/// The text of Java's `String.format`: `%s`, `%d`, `%f`, `%e`, `%x`, `%b`, `%c` with flags, width and precision.
fn format(pattern: &str, values: &[ArrayRef], row: usize) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%');
        let end = end.ok_or_else(|| invalid(format_args!("Invalid format string: {pattern}")))?;
        let (mut spec, conversion) = (&rest[..end], &rest[end..=end]);
        rest = &rest[end + 1..];
        if matches!(conversion, "%" | "n") {
            out.push(if conversion == "n" { '\n' } else { '%' });
            continue;
        }
        let mut index = next;
        if let Some((place, others)) = spec.split_once('$')
            && let Ok(place) = place.parse::<usize>()
        {
            (index, spec) = (place.wrapping_sub(1), others);
        } else {
            next += 1;
        }
        let value = values.get(index);
        let value = value
            .ok_or_else(|| invalid(format_args!("Format specifier '%{spec}{conversion}' has no argument")))?;
        let text = convert(&Spec::parse(spec), conversion, value, row);
        out.push_str(&text.ok_or_else(|| {
            let kind = type_of(value.data_type());
            invalid(format_args!(
                "Invalid format string: {pattern} (IllegalFormatConversion: {conversion} != {kind})"
            ))
        })?);
    }
    out.push_str(rest);
    Ok(out)
}

impl Spec {
    fn parse(spec: &str) -> Spec {
        let n_flags =
            spec.find(|c| !matches!(c, '-' | '+' | ',' | '0' | ' ' | '#' | '(')).unwrap_or(spec.len());
        let (flags, size) = spec.split_at(n_flags);
        let (width, precision) = size.split_once('.').unwrap_or((size, ""));
        Spec {
            flags: flags.into(),
            width: width.parse().unwrap_or_default(),
            precision: precision.parse().ok(),
        }
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn pad(&self, text: String) -> String {
        let n_missing = self.width.saturating_sub(text.chars().count());
        let fill = " ".repeat(n_missing);
        if self.has('-') { format!("{text}{fill}") } else { format!("{fill}{text}") }
    }

    /// A number from its digits: with sign, groups of thousands and leading zeros.
    fn number(&self, digits: &str, is_negative: bool) -> String {
        let (whole, fraction) =
            digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let mut text = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if self.has(',') && at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        if let Some(fraction) = fraction {
            let _ = write!(text, ".{fraction}");
        }
        let sign = match is_negative {
            true => "-",
            false if self.has('+') => "+",
            false if self.has(' ') => " ",
            false => "",
        };
        if self.has('0') {
            let n_zeros = self.width.saturating_sub(text.len() + sign.len());
            text.insert_str(0, &"0".repeat(n_zeros));
        }
        self.pad(format!("{sign}{text}"))
    }
}

/// One value; none if its type does not go with the conversion.
fn convert(spec: &Spec, conversion: &str, value: &ArrayRef, row: usize) -> Option<String> {
    let Some(shown) = text(value, row) else {
        return Some(spec.pad(if conversion == "b" { "false" } else { "null" }.into()));
    };
    let kind = value.data_type();
    let float = || Some(cast(value, &DataType::Float64).ok()?.as_primitive::<Float64Type>().value(row));
    let is_fraction =
        kind.is_floating() || matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..));
    let is_upper = conversion.chars().all(|c| c.is_ascii_uppercase());
    let text = match conversion.to_ascii_lowercase().as_str() {
        "s" => {
            let n_chars = spec.precision.unwrap_or(usize::MAX);
            spec.pad(shown.chars().take(n_chars).collect())
        }
        "b" => spec.pad(if *kind == DataType::Boolean { shown } else { "true".into() }),
        "d" if kind.is_integer() => spec.number(shown.trim_start_matches('-'), shown.starts_with('-')),
        "x" if kind.is_integer() => spec.number(&format!("{:x}", shown.parse::<i64>().ok()?), false),
        "f" if is_fraction => {
            let float = float()?;
            if !float.is_finite() {
                return Some(spec.pad(shown));
            }
            spec.number(&format!("{:.*}", spec.precision.unwrap_or(6), float.abs()), float < 0.0)
        }
        "e" if is_fraction => {
            let float = float()?;
            let text = format!("{:.*e}", spec.precision.unwrap_or(6), float.abs());
            let (digits, power) = text.split_once('e')?;
            let power: i32 = power.parse().ok()?;
            let sign = if power < 0 { '-' } else { '+' };
            spec.pad(format!("{}{digits}e{sign}{:02}", if float < 0.0 { "-" } else { "" }, power.abs()))
        }
        "c" if kind.is_string() && shown.chars().count() == 1 => spec.pad(shown),
        _ => return None,
    };
    Some(if is_upper { text.to_uppercase() } else { text })
}
