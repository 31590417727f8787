//! Functions whose arguments may be of any type: `typeof` and `format`.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr_fn::SimpleScalarUDF;
use datafusion::logical_expr::{ColumnarValue, Signature, Volatility};
use datafusion::prelude::SessionContext;
use regex::{Captures, Regex};

use super::invalid;
use crate::athena::value::{text, type_name};

pub(super) fn register(context: &SessionContext) {
    let add = |name, signature, compute: fn(&[ColumnarValue]) -> Result<ColumnarValue>| {
        let function =
            SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(compute));
        context.register_udf(function.into());
    };
    add("typeof", Signature::any(1, Volatility::Immutable), |args| {
        Ok(ColumnarValue::Scalar(ScalarValue::from(type_name(&args[0].data_type()))))
    });
    add("format", Signature::variadic_any(Volatility::Immutable), |args| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let (patterns, values) =
            arrays.split_first().ok_or_else(|| invalid("format takes at least 1 argument"))?;
        let row = |row| text(patterns, row).map(|pattern| format(&pattern, values, row)).transpose();
        let texts = (0..patterns.len()).map(row).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(texts))))
    });
}

/// The place of an argument, flags, width, precision and conversion.
static SPECIFIER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"%(?:(\d+)\$)?([-,0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])").ok());

/// The text of Java's `String.format` for `%s`, `%d` and `%f`, with the flags `-`, `0` and `,`.
fn format(pattern: &str, values: &[ArrayRef], row: usize) -> Result<String> {
    let mut out = String::new();
    let (mut end, mut next) = (0, 0);
    for spec in SPECIFIER.iter().flat_map(|it| it.captures_iter(pattern)) {
        let whole = spec.get_match();
        out.push_str(&pattern[end..whole.start()]);
        end = whole.end();
        if &spec[5] == "%" {
            out.push('%');
            continue;
        }
        let place: usize = spec.get(1).and_then(|place| place.as_str().parse().ok()).unwrap_or_else(|| {
            next += 1;
            next
        });
        let what = whole.as_str();
        let value = place.checked_sub(1).and_then(|at| values.get(at));
        let value =
            value.ok_or_else(|| invalid(format_args!("Format specifier '{what}' has no argument")))?;
        let converted = convert(&spec, value, row);
        out.push_str(&converted.ok_or_else(|| {
            let kind = type_name(value.data_type());
            invalid(format_args!("Invalid format string: {pattern} ({what} does not take a value of {kind})"))
        })?);
    }
    out.push_str(&pattern[end..]);
    Ok(out)
}

/// One value; none if its type does not go with the conversion.
fn convert(spec: &Captures<'_>, value: &ArrayRef, row: usize) -> Option<String> {
    let (flags, kind) = (&spec[2], value.data_type());
    let width: usize = spec[3].parse().unwrap_or_default();
    let shown = text(value, row);
    let shown = match (&spec[5], shown) {
        (_, None) => "null".into(),
        ("s", Some(shown)) => shown,
        ("d", Some(shown)) if kind.is_integer() => shown,
        ("f", Some(_)) if kind.is_floating() || kind.is_decimal() => {
            let number = cast(value, &DataType::Float64).ok()?.as_primitive::<Float64Type>().value(row);
            let precision = spec.get(4).and_then(|it| it.as_str().parse().ok()).unwrap_or(6);
            format!("{number:.precision$}")
        }
        _ => return None,
    };
    let shown = if flags.contains(',') { with_commas(&shown) } else { shown };
    Some(match shown.strip_prefix('-') {
        _ if flags.contains('-') => format!("{shown:<width$}"),
        None if flags.contains('0') => format!("{shown:0>width$}"),
        Some(digits) if flags.contains('0') => format!("-{digits:0>0$}", width.saturating_sub(1)),
        _ => format!("{shown:>width$}"),
    })
}

/// A number with a comma between its thousands.
fn with_commas(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut out = String::new();
    for (at, letter) in number.char_indices() {
        let is_thousand = at < whole && (whole - at).is_multiple_of(3);
        if is_thousand && out.ends_with(|last: char| last.is_ascii_digit()) {
            out.push(',');
        }
        out.push(letter);
    }
    out
}
