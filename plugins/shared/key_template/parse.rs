//! Parses a key template, and rejects one that could give two records the same name.

use runner_core::diagnostics::similar;

use super::{Field, KeyTemplate, Part, record_field};

impl TryFrom<String> for KeyTemplate {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        let field = |name: &str| parse_field(name).map(Part::Field);
        let parts = record_field::parse_placeholders(&pattern, "entry", parse_literal, field)?;
        check_path(&parts)?;
        check_separators(&parts)?;
        let has = |field| parts.iter().any(|part| matches!(part, Part::Field(it) if *it == field));
        let by_origin = has(Field::Topic) && has(Field::Partition) && has(Field::Offset);
        if !by_origin && !has(Field::Entry) {
            let what = if pattern.is_empty() { "an empty key".to_owned() } else { format!("`{pattern}`") };
            return Err(format!(
                "{what} could give two records the same name: it needs \
                 `{{{{ entry }}}}`, or `{{{{ topic }}}}`, `{{{{ partition }}}}` and `{{{{ offset }}}}` together"
            ));
        }
        Ok(KeyTemplate { parts, by_entry_alone: !by_origin })
    }
}

fn parse_field(name: &str) -> Result<Field, String> {
    if let Some(field) = Field::FIXED.into_iter().find(|field| field.name() == name) {
        return Ok(field);
    }
    if let Some(field) = name.strip_prefix('.').filter(|field| !field.is_empty()) {
        record_field::check_placeholder(field)?;
        return Ok(Field::Record(record_field::Field { name: field.to_owned(), option: "key" }));
    }
    let known = Field::FIXED;
    let closest = similar(name, known.iter().map(Field::name));
    let hint = if let Some(field) = known.iter().find(|field| closest == Some(field.name())) {
        format!("did you mean {field}?")
    } else {
        let is_name = !name.is_empty() && !name.contains(['.', '(', '|', '[', '{', '"']);
        let field = if is_name { name } else { "Index" };
        let fixed = Field::FIXED.map(|field| field.to_string()).join(", ");
        format!("there are {fixed}, and fields of the record, written `{{{{ .{field} }}}}`, with a dot")
    };
    Err(format!("unknown placeholder `{{{{ {name} }}}}`; {hint}"))
}

fn parse_literal(text: &str) -> Result<Part, String> {
    if text.contains(char::is_control) {
        return Err("it cannot contain control characters".into());
    }
    let literal = text.replace("%%", "\0");
    if let Some(percent) = literal.find('%') {
        let part: String = literal[percent..].chars().take(2).collect();
        return Err(format!(
            "`{part}`: the time of the clock cannot be part of an object key, since a record that is delivered again later \
             would get another name. Take a field of the record, as in `day={{{{ .Date }}}}`; the transform `remap` makes \
             parts of a date into fields (`.month = slice!(.Date, 0, 7)`). A percent sign is written `%%`"
        ));
    }
    Ok(Part::Literal(literal.replace('\0', "%")))
}

/// Rejects empty folder names, and `.` and `..`: tools that copy a bucket to disk would follow them.
fn check_path(parts: &[Part]) -> Result<(), String> {
    let mut path = String::new();
    for part in parts {
        match part {
            Part::Literal(text) => path.push_str(text),
            Part::Field(_) => path.push('x'),
        }
    }
    if path.starts_with('/') {
        return Err("it must not start with `/`: leave that out".into());
    }
    if path.ends_with('/') {
        return Err("it must not end with `/`: add a name for the object".into());
    }
    match path.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        Some("") if !path.is_empty() => Err("it must not contain `//`: leave one `/` out".into()),
        Some(dots @ ("." | "..")) => Err(format!("`{dots}` cannot be a folder of a key")),
        _ => Ok(()),
    }
}

/// Rejects placeholders without a clear border between their values: `1` and `11` next to each
/// other would be the same as `11` and `1`.
///
/// No value contains a `/`, so each segment of the path is checked alone. A number ends at the
/// first character that is not a digit. A segment may have one text: what remains once the
/// numbers are known.
fn check_separators(parts: &[Part]) -> Result<(), String> {
    let mut before: Option<&Field> = None;
    let mut text_before: Option<&Field> = None;
    let (mut is_separated, mut is_dashed) = (false, false);
    for part in parts {
        match part {
            Part::Literal(literal) if literal.contains('/') => (before, text_before) = (None, None),
            Part::Literal(literal) => {
                is_separated = literal.contains(|char: char| !char.is_ascii_digit());
                is_dashed = !literal.contains(|char: char| !char.is_ascii_digit() && char != '-');
            }
            Part::Field(field) => {
                if let Some(other) = before.filter(|_| !is_separated) {
                    return Err(format!(
                        "{other} and {field} need a separator that is not a digit, such as `-`: the values 1 and 11 \
                         would give the same name as 11 and 1"
                    ));
                }
                if let Some(other) = text_before.filter(|_| !field.is_number()) {
                    return Err(format!(
                        "{other} and {field} need a `/` between them: either may contain any text"
                    ));
                }
                let is_of_record = |field: &Field| matches!(field, Field::Record(_));
                if let Some(other) =
                    before.filter(|other| is_dashed && (is_of_record(other) || is_of_record(field)))
                {
                    return Err(format!(
                        "{other} and {field} need a separator other than `-`, such as `_`: the parts of a record that \
                         `remap` has split have the numbers 12-0, 12-1 and so on"
                    ));
                }
                if !field.is_number() {
                    text_before = Some(field);
                }
                (before, is_separated, is_dashed) = (Some(field), false, false);
            }
        }
    }
    Ok(())
}
