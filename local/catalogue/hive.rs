//! Hive types: Glue's names of the column types that crawlers make, and the Arrow type of each.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};

/// The Hive type that a column of this Arrow type gets.
pub(crate) fn name(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "boolean".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float64 => "double".into(),
        DataType::List(element) => format!("array<{}>", name(element.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}:{}", field.name(), name(field.data_type()))).collect();
            format!("struct<{}>", fields.join(","))
        }
        _ => "string".into(),
    }
}

/// The Arrow type of a Hive type.
pub(crate) fn parse(text: &str) -> DataType {
    if let Some(element) = inside(text, "array") {
        return list_of(parse(element));
    }
    if let Some(fields) = inside(text, "struct") {
        let fields = split(fields).into_iter().filter_map(|field| field.split_once(':'));
        return DataType::Struct(fields.map(|(name, kind)| Field::new(name, parse(kind), true)).collect());
    }
    match text {
        "boolean" => DataType::Boolean,
        "bigint" => DataType::Int64,
        "double" => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// Whether Athena can parse a Hive type: the names of fields in it are not quoted.
pub(crate) fn is_valid(text: &str) -> bool {
    let is_allowed = |char: char| char.is_alphanumeric() || "_. $<>:,".contains(char);
    let has_other_name = |part: &str| part.matches(':').count() > 1 || part.starts_with(':');
    text.chars().all(is_allowed) && !text.split(['<', '>', ',']).any(has_other_name)
}

fn inside<'a>(text: &'a str, outer: &str) -> Option<&'a str> {
    text.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>')
}

/// Splits at the commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

pub(crate) fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// The narrowest type for the values of both; text if they have nothing in common.
pub(crate) fn merge(left: &DataType, right: &DataType) -> DataType {
    use DataType::{Float64, Int64, List, Null, Struct};
    match (left, right) {
        _ if left == right => left.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (List(left), List(right)) => list_of(merge(left.data_type(), right.data_type())),
        (Struct(left), Struct(right)) => Struct(merge_fields(left, right)),
        _ => DataType::Utf8,
    }
}

/// The fields of both, in the order they were first seen in.
pub(crate) fn merge_fields(left: &Fields, right: &Fields) -> Fields {
    if left == right {
        return left.clone();
    }
    let mut merged: Vec<Field> = left.iter().map(|field| field.as_ref().clone()).collect();
    for field in right {
        match merged.iter_mut().find(|seen| seen.name() == field.name()) {
            Some(seen) => *seen = Field::new(seen.name(), merge(seen.data_type(), field.data_type()), true),
            None => merged.push(field.as_ref().clone()),
        }
    }
    merged.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_parsed_as_they_are_written() {
        for text in [
            "bigint",
            "double",
            "string",
            "array<struct<a:bigint,b:array<string>>>",
            "struct<a:bigint,b:struct<c:double,d:boolean>>",
        ] {
            assert_eq!(name(&parse(text)), text);
        }
    }

    #[test]
    fn type_with_a_name_that_needs_quotes_is_not_valid() {
        for text in ["bigint", "struct<größe_1:array<struct<a.b:string,$c d:double>>>", "struct<>"] {
            assert!(is_valid(text), "{text}");
        }
        for text in ["struct<user-agent:string>", "struct<a:bigint,aws:tag:string>", "struct<:bigint>"] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
