//! Values of a type that a function or an operator does not take, with the errors of Athena.

use datafusion::arrow::datatypes::DataType;

use crate::athena::value::type_of;

/// The error of Athena for the text of an error of `DataFusion`. `place` says where a function is used first.
pub(super) fn explain(text: &str, place: impl Fn(&str) -> Option<String>) -> Option<String> {
    if let Some(call) = between(text, "the given name and argument types '", "'. You might need") {
        return Some(unexpected_parameters(call, text, place));
    }
    let operands = between(text, "Cannot coerce arithmetic expression ", " to valid types");
    if let Some((left, operator, right)) = operands.and_then(operands_of) {
        return Some(format!("TYPE_MISMATCH: Cannot apply operator: {left} {operator} {right}"));
    }
    let operands = between(text, "common argument type for logical boolean operation ", "\n");
    if let Some((left, _, right)) = operands.and_then(operands_of) {
        let other = if left == "boolean" { right } else { left };
        return Some(format!(
            "TYPE_MISMATCH: Logical expression term must evaluate to a boolean (actual: {other})"
        ));
    }
    if text.contains("Cannot create filter with non-boolean predicate") {
        let (_, kind) = text.rsplit_once(" returning ")?;
        let kind = trino_type(kind.trim());
        return Some(format!("TYPE_MISMATCH: WHERE clause must evaluate to a boolean: actual type {kind}"));
    }
    None
}

/// `call` is the function with the types that it was given: `sum(Utf8)`.
fn unexpected_parameters(call: &str, text: &str, place: impl Fn(&str) -> Option<String>) -> String {
    let (function, given) = parts_of(call).unwrap_or((call, Vec::new()));
    // Some functions have another name in `DataFusion`.
    let names = [function, function.trim_end_matches("_cont")];
    let found = names.iter().find_map(|name| Some((*name, place(name)?)));
    let (function, place) = found.unwrap_or((function, String::new()));
    let place = if place.is_empty() { place } else { format!("{place}: ") };
    let given: Vec<String> = given.into_iter().map(trino_type).collect();
    let expected: Vec<String> = text
        .lines()
        .skip_while(|line| !line.contains("Candidate functions:"))
        .skip(1)
        .filter_map(|line| {
            let (_, types) = parts_of(line.trim())?;
            let types: Option<Vec<&str>> = types.into_iter().map(expected_type).collect();
            Some(format!("{function}({})", types?.join(", ")))
        })
        .collect();
    let expected =
        if expected.is_empty() { String::new() } else { format!(". Expected: {}", expected.join(", ")) };
    let given = given.join(", ");
    format!("FUNCTION_NOT_FOUND: {place}Unexpected parameters ({given}) for function {function}{expected}")
}

/// The name and the arguments of a call.
fn parts_of(call: &str) -> Option<(&str, Vec<&str>)> {
    let (function, rest) = call.split_once('(')?;
    let inside = rest.strip_suffix(')')?;
    let (mut arguments, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, char) in inside.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inside.is_empty() {
        arguments.push(inside[start..].trim());
    }
    Some((function, arguments))
}

/// Two types and the operator between them: `Utf8 + Int64`.
fn operands_of(text: &str) -> Option<(String, &str, String)> {
    let operator =
        [" + ", " - ", " * ", " / ", " % ", " AND ", " OR "].into_iter().find(|it| text.contains(it))?;
    let (left, right) = text.split_once(operator)?;
    Some((trino_type(left.trim()), operator.trim(), trino_type(right.trim())))
}

/// The name of a type of `DataFusion` in Trino.
fn trino_type(name: &str) -> String {
    name.parse::<DataType>().map_or_else(|_| name.to_lowercase(), |kind| type_of(&kind))
}

/// The name of a type in the signature of a function; `None` for one that Trino does not have.
fn expected_type(name: &str) -> Option<&'static str> {
    let name = name.rsplit_once(": ").map_or(name, |(_, name)| name);
    Some(match name {
        "Int64" | "Integer" => "bigint",
        "Float64" => "double",
        "Float32" => "real",
        "Decimal" => "decimal(p,s)",
        "Interval" => "interval day to second",
        "String" | "Utf8" => "varchar",
        "Boolean" => "boolean",
        _ => return None,
    })
}

/// The error of Athena for a text that a cast does not take.
pub(in crate::athena) fn explain_cast(text: &str) -> Option<String> {
    if let Some(value) = between(text, "Parser error: Error parsing timestamp from '", "': ") {
        return Some(format!("INVALID_CAST_ARGUMENT: Value cannot be cast to timestamp: {value}"));
    }
    let starts = ["Cast error: Cannot cast string '", "Cast error: Cannot cast value '"];
    let (start, at) = starts.into_iter().find_map(|start| Some((start, text.find(start)?)))?;
    let rest = &text[at..];
    let value = between(rest, start, "' to value of ")?;
    let kind = between(rest, "' to value of ", " type")?;
    Some(format!("INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {}", trino_type(kind).to_uppercase()))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after).or_else(|| (after == "\n").then_some(rest.len()))?])
}
