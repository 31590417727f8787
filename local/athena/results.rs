//! Results: rows of a query, read page by page from its file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::{Value, json};

use super::ATHENA;
use super::execution::State;
use super::queries::{ById, Queries};
use super::value::OutputColumn;
use crate::Fault;

pub(super) fn get(queries: &Queries, input: ById) -> Result<Value, Fault> {
    let execution = queries.find(&input.query_execution_id)?;
    if execution.state != State::Succeeded {
        return Err(ATHENA.invalid(match execution.state {
            State::Failed | State::Cancelled => {
                format!("Query did not finish successfully. Final query state: {}", execution.state.name())
            }
            _ => format!("Query has not yet finished. Current state: {}", execution.state.name()),
        }));
    }
    let at_most = input.page.max_results.unwrap_or(1000).clamp(1, 1000);
    let output = &execution.output;
    // A token is the position in the file where the next page starts.
    let (rows, next) = read(&output.path(), ATHENA.start(&input.page)? as u64, at_most)
        .map_err(|error| ATHENA.invalid(format!("the result {} cannot be read: {error}", output.url())))?;
    let columns: Vec<Value> = execution.columns.iter().map(OutputColumn::show).collect();
    let mut answer = json!({
        "UpdateCount": 0,
        "ResultSet": { "Rows": rows, "ResultSetMetadata": { "ColumnInfo": columns } },
    });
    if let Some(next) = next {
        answer["NextToken"] = json!(next.to_string());
    }
    Ok(answer)
}

fn read(result: &Path, from: u64, at_most: usize) -> std::io::Result<(Vec<Value>, Option<u64>)> {
    let mut file = BufReader::new(File::open(result)?);
    file.seek(SeekFrom::Start(from))?;
    let mut rows = Vec::new();
    let mut at = from;
    while rows.len() < at_most {
        let (values, length) = read_row(&mut file)?;
        if length == 0 {
            return Ok((rows, None));
        }
        at += length;
        let data = values
            .into_iter()
            .map(|value| value.map_or_else(|| json!({}), |it| json!({ "VarCharValue": it })));
        rows.push(json!({ "Data": data.collect::<Vec<_>>() }));
    }
    let has_more = !file.fill_buf()?.is_empty();
    Ok((rows, has_more.then_some(at)))
}

type Row = (Vec<Option<String>>, u64);

/// One row as `Writer::row` writes it. A CSV reader would not distinguish NULL from an empty text.
fn read_row(file: &mut BufReader<File>) -> std::io::Result<Row> {
    let mut bytes = Vec::new();
    // A line break inside a value leaves its quotes open.
    while file.by_ref().read_until(b'\n', &mut bytes)? > 0 {
        let is_open = bytes.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"'));
        if !is_open {
            break;
        }
    }
    let length = bytes.len() as u64;
    let text = String::from_utf8_lossy(&bytes);
    let mut letters = text.trim_end_matches('\n').chars().peekable();
    let mut values = Vec::new();
    loop {
        let mut value = None;
        if letters.next_if_eq(&'"').is_some() {
            let text = value.insert(String::new());
            while let Some(letter) = letters.next() {
                // A doubled quote is part of the value.
                if letter == '"' && letters.next_if_eq(&'"').is_none() {
                    break;
                }
                text.push(letter);
            }
        }
        values.push(value);
        if letters.next().is_none() {
            return Ok((values, length));
        }
    }
}
