//! Arrays: what Trino does with them and `DataFusion` does otherwise.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Builder, Int64Array, Int64Builder, ListArray,
    ListBuilder, StringArray, UInt32Array,
};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Int64Type};
use datafusion::common::Result;

use super::scalar::{Function, Kind, invalid};
use crate::athena::value::text;

/// Functions that only a rewriting calls.
pub(in crate::athena) const HAS_NULL: &str = "has_null$";
pub(in crate::athena) const SUBSCRIPT: &str = "subscript$";
pub(in crate::athena) const PLACE: &str = "place$";
pub(in crate::athena) const ORDINALS: &str = "ordinals$";
pub(in crate::athena) const TIMES: &str = "times_at_most$";

/// How long a sequence may be in Trino, and what is repeated.
const LONGEST: u64 = 10_000;

pub(super) const ALL: &[Function] = &[
    Function {
        name: "cardinality",
        takes: &[&[Kind::Array]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let list = arrays[0].as_list::<i32>();
            let lengths =
                (0..list.len()).map(|row| list.is_valid(row).then(|| i64::from(list.value_length(row))));
            Ok(Arc::new(lengths.collect::<Int64Array>()))
        },
    },
    Function {
        name: "reverse",
        takes: &[&[Kind::Text], &[Kind::Array]],
        gives: |given| given[0].clone(),
        does: |arrays| match arrays[0].data_type() {
            DataType::Utf8 => {
                let texts = arrays[0].as_string::<i32>().iter();
                Ok(Arc::new(
                    texts
                        .map(|it| it.map(|it| it.chars().rev().collect::<String>()))
                        .collect::<StringArray>(),
                ))
            }
            _ => reverse(arrays[0].as_list::<i32>()),
        },
    },
    Function {
        name: "array_join",
        takes: &[&[Kind::Array, Kind::Text], &[Kind::Array, Kind::Text, Kind::Text]],
        gives: |_| DataType::Utf8,
        does: join,
    },
    Function {
        name: "sequence",
        takes: &[
            &[Kind::Bigint, Kind::Bigint],
            &[Kind::Bigint, Kind::Bigint, Kind::Bigint],
            &[Kind::Date, Kind::Date],
        ],
        gives: |given| DataType::List(Arc::new(Field::new_list_field(given[0].clone(), true))),
        does: sequence,
    },
    Function {
        name: HAS_NULL,
        takes: &[&[Kind::Array]],
        gives: |_| DataType::Boolean,
        does: |arrays| {
            let list = arrays[0].as_list::<i32>();
            let has = (0..list.len()).map(|row| list.is_valid(row).then(|| list.value(row).null_count() > 0));
            Ok(Arc::new(has.collect::<BooleanArray>()))
        },
    },
    // What stands in brackets after an array: it has to be a place that the array has.
    Function {
        name: SUBSCRIPT,
        takes: &[&[Kind::Array, Kind::Bigint]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let (list, places) = (arrays[0].as_list::<i32>(), arrays[1].as_primitive::<Int64Type>());
            let checked = places.iter().enumerate().map(|(row, place)| match place {
                Some(place) if list.is_valid(row) => {
                    within(place, i64::from(list.value_length(row))).map(Some)
                }
                _ => Ok(None),
            });
            Ok(Arc::new(checked.collect::<Result<Int64Array>>()?))
        },
    },
    // The second argument of element_at, which may lie outside.
    Function {
        name: PLACE,
        takes: &[&[Kind::Bigint]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            if arrays[0].as_primitive::<Int64Type>().iter().any(|it| it == Some(0)) {
                return Err(invalid("SQL array indices start at 1"));
            }
            Ok(arrays[0].clone())
        },
    },
    // How often something may be repeated.
    Function {
        name: TIMES,
        takes: &[&[Kind::Bigint]],
        gives: |_| DataType::Int64,
        does: |arrays| {
            let mut times = arrays[0].as_primitive::<Int64Type>().iter().flatten();
            match times.find(|it| !(0..=LONGEST as i64).contains(it)) {
                Some(..0) => {
                    Err(invalid("count argument of repeat function must be greater than or equal to 0"))
                }
                Some(_) => {
                    Err(invalid("count argument of repeat function must be less than or equal to 10000"))
                }
                None => Ok(arrays[0].clone()),
            }
        },
    },
    // The numbers of WITH ORDINALITY for so many items.
    Function {
        name: ORDINALS,
        takes: &[&[Kind::Bigint]],
        gives: |_| DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))),
        does: |arrays| {
            let mut lists = ListBuilder::new(Int64Builder::new());
            for n in arrays[0].as_primitive::<Int64Type>() {
                lists.append_value((1..=n.unwrap_or_default()).map(Some));
            }
            Ok(Arc::new(lists.finish()))
        },
    },
];

fn within(place: i64, length: i64) -> Result<i64> {
    match place {
        0 => Err(invalid("SQL array indices start at 1")),
        ..0 => Err(invalid(format!("Array subscript is negative: {place}"))),
        _ if place > length => Err(invalid(format!(
            "Array subscript must be less than or equal to array length: {place} > {length}"
        ))),
        _ => Ok(place),
    }
}

fn reverse(list: &ListArray) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let (first, last) =
        (offsets.first().copied().unwrap_or_default(), offsets.last().copied().unwrap_or_default());
    let mut order: Vec<u32> = (first..last).map(|it| it as u32).collect();
    for ends in offsets.windows(2) {
        order[(ends[0] - first) as usize..(ends[1] - first) as usize].reverse();
    }
    let values = take(list.values(), &UInt32Array::from(order), None)?;
    let DataType::List(field) = list.data_type() else { return Err(invalid("reverse takes an array")) };
    let lengths = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, values, list.nulls().cloned())?))
}

#[allow(clippy::unnecessary_wraps, reason = "the table of functions has room for errors")]
fn join(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (list, between) = (arrays[0].as_list::<i32>(), arrays[1].as_string::<i32>());
    let instead = arrays.get(2).map(|it| it.as_string::<i32>());
    let joined = (0..list.len()).map(|row| {
        if list.is_null(row) || between.is_null(row) || instead.is_some_and(|it| it.is_null(row)) {
            return None;
        }
        let values = list.value(row);
        let items = (0..values.len())
            .filter_map(|at| text(&values, at).or_else(|| instead.map(|it| it.value(row).to_owned())));
        Some(items.collect::<Vec<_>>().join(between.value(row)))
    });
    Ok(Arc::new(joined.collect::<StringArray>()))
}

fn sequence(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let number = |n: usize, row: usize| {
        let array: &ArrayRef = &arrays[n];
        array.is_valid(row).then(|| match array.data_type() {
            DataType::Date32 => i64::from(array.as_primitive::<Date32Type>().value(row)),
            _ => array.as_primitive::<Int64Type>().value(row),
        })
    };
    let rows = (0..arrays[0].len()).map(|row| {
        let (Some(first), Some(last)) = (number(0, row), number(1, row)) else { return Ok(None) };
        let step = match arrays.len() {
            2 => Some(if last < first { -1 } else { 1 }),
            _ => number(2, row),
        };
        step.map(|step| steps(first, last, step)).transpose()
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    if *arrays[0].data_type() == DataType::Date32 {
        let mut lists = ListBuilder::new(Date32Builder::new());
        for row in rows {
            lists.append_option(row.map(|days| days.into_iter().map(|day| Some(day as i32))));
        }
        return Ok(Arc::new(lists.finish()));
    }
    let mut lists = ListBuilder::new(Int64Builder::new());
    for row in rows {
        lists.append_option(row.map(|it| it.into_iter().map(Some)));
    }
    Ok(Arc::new(lists.finish()))
}

fn steps(first: i64, last: i64, step: i64) -> Result<Vec<i64>> {
    if step == 0 {
        return Err(invalid("step must not be zero"));
    }
    if (last < first) != (step < 0) && last != first {
        return Err(invalid(
            "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise \
             stop should be less than or equal to start",
        ));
    }
    if first.abs_diff(last) / step.unsigned_abs() >= LONGEST {
        return Err(invalid("result of sequence function must not have more than 10000 entries"));
    }
    let next = |it: &i64| it.checked_add(step).filter(|it| if step > 0 { *it <= last } else { *it >= last });
    Ok(std::iter::successors(Some(first), next).collect())
}
