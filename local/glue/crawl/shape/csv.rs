//! CSV: rows of as many fields, with or without a row of names above them.

use std::collections::BTreeSet;

use csv::{ReaderBuilder, StringRecord};
use datafusion::arrow::csv::reader::Format as ArrowFormat;
use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::{Contents, Format, Shape};
use crate::glue::crawl::Halt;

/// How many rows of an object tell the types of its columns.
const ROWS: usize = 1000;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

pub(super) fn infer(first: &[u8], contents: &mut Contents) -> Result<Option<Shape>, Halt> {
    let Some(format) = detect(first) else { return Ok(None) };
    let Some((mut shape, names)) = read(first, format) else { return Ok(None) };
    while let Some(bytes) = contents.next()? {
        let Some((more, _)) = read(&bytes, format) else { continue };
        // Columns of rows without names are told by their places.
        if more.fields.len() == shape.fields.len() {
            shape.merge(more);
        }
    }
    shape.originals = names.into_iter().map(|name| (name.to_lowercase(), name)).collect();
    Ok(Some(shape))
}

fn detect(bytes: &[u8]) -> Option<Format> {
    let delimiter = DELIMITERS.into_iter().find(|delimiter| {
        let rows = rows(bytes, *delimiter);
        rows.len() > 1 && rows[0].len() > 1 && rows.iter().all(|row| row.len() == rows[0].len())
    })?;
    let rows = rows(bytes, delimiter);
    let names: BTreeSet<&str> = rows[0].iter().filter(|name| !is_value(name)).collect();
    let has_names = names.len() == rows[0].len();
    let has_values = rows[1..].iter().any(|row| row.iter().any(is_value));
    let is_quoted = bytes.contains(&b'"');
    Some(Format::Csv { delimiter, has_header: has_names && has_values, is_quoted })
}

fn rows(bytes: &[u8], delimiter: u8) -> Vec<StringRecord> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    reader.records().take(ROWS).map_while(Result::ok).collect()
}

/// Whether a field says something that no column is called.
fn is_value(field: &str) -> bool {
    field.trim().is_empty()
        || field.trim().starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
}

fn read(bytes: &[u8], format: Format) -> Option<(Shape, Vec<String>)> {
    let Format::Csv { delimiter, has_header, .. } = format else { return None };
    let arrow = ArrowFormat::default().with_header(has_header).with_delimiter(delimiter);
    let (schema, _) = arrow.infer_schema(bytes, Some(ROWS)).ok()?;
    let name = |at: usize, field: &Field| if has_header { field.name().clone() } else { format!("col{at}") };
    let names: Vec<String> = schema.fields.iter().enumerate().map(|(at, field)| name(at, field)).collect();
    let fields: Fields = schema
        .fields
        .iter()
        .zip(&names)
        .map(|(field, name)| Field::new(name.trim().to_lowercase(), plain(field.data_type()), true))
        .collect();
    let n_rows = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    let n_records = n_rows.saturating_sub(usize::from(has_header)) as u64;
    Some((Shape::new(format, fields, n_records), names))
}

/// Glue's classifier leaves days and times as text.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Boolean | DataType::Int64 | DataType::Float64 => kind.clone(),
        _ => DataType::Utf8,
    }
}
