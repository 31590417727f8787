//! Maths: of one number, as Trino counts.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};

use super::scalar::{Function, Kind};

/// Functions that only a rewriting calls.
pub(in crate::athena) const HALF_UP: &str = "half_up$";
pub(in crate::athena) const LIKE_SECOND: &str = "like_second$";

const DOUBLE: &[&[Kind]] = &[&[Kind::Double]];
const NUMBER: &[&[Kind]] = &[&[Kind::Number]];

/// A function from double to double.
macro_rules! of_double {
    ($name:literal, $does:expr) => {
        Function {
            name: $name,
            takes: DOUBLE,
            gives: |_| DataType::Float64,
            does: |arrays| Ok(each(&arrays[0], $does)),
        }
    };
}

/// A function that gives the type it takes.
macro_rules! of_number {
    ($name:literal, $int:expr, $double:expr) => {
        Function {
            name: $name,
            takes: NUMBER,
            gives: |given| given[0].clone(),
            does: |arrays| match arrays[0].data_type() {
                DataType::Int64 => {
                    let ints = arrays[0].as_primitive::<Int64Type>();
                    Ok(Arc::new(ints.unary::<_, Int64Type>($int)))
                }
                _ => Ok(each(&arrays[0], $double)),
            },
        }
    };
}

pub(super) const ALL: &[Function] = &[
    of_number!("abs", i64::wrapping_abs, f64::abs),
    of_number!("ceil", |it| it, f64::ceil),
    of_number!("ceiling", |it| it, f64::ceil),
    of_number!("floor", |it| it, f64::floor),
    of_number!("truncate", |it| it, f64::trunc),
    of_number!("sign", i64::signum, |it: f64| if it == 0.0 { 0.0 } else { it.signum() }),
    // What a cast to a whole number goes through: Trino rounds there.
    Function {
        name: HALF_UP,
        takes: &[&[Kind::Any]],
        gives: |given| rounded(&given[0]),
        does: |arrays| match arrays[0].data_type() {
            DataType::Float64 => Ok(each(&arrays[0], f64::round)),
            DataType::Float32 => {
                Ok(Arc::new(arrays[0].as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round)))
            }
            kind => Ok(cast(&arrays[0], &rounded(kind))?),
        },
    },
    // What a percentile goes through: Trino gives one of a bigint as a bigint.
    Function {
        name: LIKE_SECOND,
        takes: &[&[Kind::Double, Kind::Number], &[Kind::Double, Kind::Double]],
        gives: |given| given[1].clone(),
        does: |arrays| match arrays[1].data_type() {
            DataType::Int64 => Ok(cast(&each(&arrays[0], f64::round), &DataType::Int64)?),
            _ => Ok(arrays[0].clone()),
        },
    },
    of_double!("sqrt", f64::sqrt),
    of_double!("cbrt", f64::cbrt),
    of_double!("exp", f64::exp),
    of_double!("ln", f64::ln),
    of_double!("log2", f64::log2),
    of_double!("log10", f64::log10),
    of_double!("sin", f64::sin),
    of_double!("cos", f64::cos),
    of_double!("tan", f64::tan),
    of_double!("asin", f64::asin),
    of_double!("acos", f64::acos),
    of_double!("atan", f64::atan),
    of_double!("degrees", f64::to_degrees),
    of_double!("radians", f64::to_radians),
    Function {
        name: "round",
        takes: &[&[Kind::Number], &[Kind::Number, Kind::Bigint]],
        gives: |given| given[0].clone(),
        does: |it| Ok(round(it)),
    },
    Function { name: "power", takes: TWO, gives: |_| DataType::Float64, does: |it| Ok(pair(it, f64::powf)) },
    Function { name: "pow", takes: TWO, gives: |_| DataType::Float64, does: |it| Ok(pair(it, f64::powf)) },
    Function {
        name: "log",
        takes: TWO,
        gives: |_| DataType::Float64,
        does: |it| Ok(pair(it, |base, of| of.ln() / base.ln())),
    },
    Function { name: "atan2", takes: TWO, gives: |_| DataType::Float64, does: |it| Ok(pair(it, f64::atan2)) },
    Function {
        name: "is_nan",
        takes: DOUBLE,
        gives: |_| DataType::Boolean,
        does: |arrays| {
            let doubles = arrays[0].as_primitive::<Float64Type>();
            Ok(Arc::new(
                doubles
                    .iter()
                    .map(|it| it.map(f64::is_nan))
                    .collect::<datafusion::arrow::array::BooleanArray>(),
            ))
        },
    },
];

const TWO: &[&[Kind]] = &[&[Kind::Double, Kind::Double]];

/// The type of a number without its places; from one decimal to another Arrow rounds half up.
fn rounded(kind: &DataType) -> DataType {
    let digits = |precision: u8, scale: i8| (i16::from(precision) - i16::from(scale) + 1).clamp(1, 38) as u8;
    match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale > 0 =>
        {
            DataType::Decimal128(digits(*precision, *scale), 0)
        }
        other => other.clone(),
    }
}

fn each(array: &ArrayRef, does: impl Fn(f64) -> f64) -> ArrayRef {
    Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(does))
}

fn pair(arrays: &[ArrayRef], does: impl Fn(f64, f64) -> f64) -> ArrayRef {
    let (left, right) = (arrays[0].as_primitive::<Float64Type>(), arrays[1].as_primitive::<Float64Type>());
    let results = left.iter().zip(right).map(|(left, right)| Some(does(left?, right?)));
    Arc::new(results.collect::<Float64Array>())
}

fn round(arrays: &[ArrayRef]) -> ArrayRef {
    let places = |row: usize| match arrays.get(1) {
        Some(places) => {
            let places = places.as_primitive::<Int64Type>();
            (!places.is_null(row)).then(|| places.value(row) as i32)
        }
        None => Some(0),
    };
    if *arrays[0].data_type() == DataType::Int64 {
        let ints = arrays[0].as_primitive::<Int64Type>();
        let rounded = ints.iter().enumerate().map(|(row, it)| {
            let (it, places) = (it?, places(row)?);
            let step = 10_i64.checked_pow((-places).max(0) as u32)?;
            Some((it as f64 / step as f64).round() as i64 * step).filter(|_| step > 1).or(Some(it))
        });
        Arc::new(rounded.collect::<Int64Array>())
    } else {
        let doubles = arrays[0].as_primitive::<Float64Type>();
        let rounded = doubles.iter().enumerate().map(|(row, it)| {
            let (it, factor) = (it?, 10_f64.powi(places(row)?));
            let scaled = it * factor;
            Some(if scaled.is_finite() { scaled.round() / factor } else { it })
        });
        Arc::new(rounded.collect::<Float64Array>())
    }
}
