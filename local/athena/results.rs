//! Results: rows of a query that has ended, read page by page from its file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use serde::Deserialize;
use serde_json::{Value, json};

use super::ATHENA;
use super::execution::{Given, State};
use super::queries::Queries;
use super::value::OutputColumn;
use crate::Fault;
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    query_execution_id: String,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn get(queries: &Queries, input: Input) -> Result<Value, Fault> {
    let execution = queries.find(&input.query_execution_id)?;
    if execution.state != State::Succeeded {
        return Err(ATHENA.invalid(match execution.state {
            State::Failed | State::Cancelled => {
                format!("Query did not finish successfully. Final query state: {}", execution.state.name())
            }
            _ => format!("Query has not yet finished. Current state: {}", execution.state.name()),
        }));
    }
    let at_most = input.page.max_results.unwrap_or(1000);
    if !(1..=1000).contains(&at_most) {
        return Err(ATHENA.invalid("MaxResults is more than the 1000 rows that a page may have, or 0"));
    }
    let given = execution.given.ok_or_else(|| ATHENA.invalid("the query has no result"))?;
    // A token is the place in the file where the next page begins.
    let (rows, next) = read(&given, ATHENA.start(&input.page)? as u64, at_most).map_err(|error| {
        ATHENA.invalid(format!("the result {} cannot be read: {error}", execution.output))
    })?;
    let columns: Vec<Value> = given.columns.iter().map(OutputColumn::show).collect();
    let mut answer = json!({
        "UpdateCount": 0,
        "ResultSet": { "Rows": rows, "ResultSetMetadata": { "ColumnInfo": columns } },
    });
    if let Some(next) = next {
        answer["NextToken"] = json!(next.to_string());
    }
    Ok(answer)
}

fn read(given: &Given, from: u64, at_most: usize) -> std::io::Result<(Vec<Value>, Option<u64>)> {
    let mut file = BufReader::new(File::open(&given.file)?);
    file.seek(SeekFrom::Start(from))?;
    let mut rows = Vec::new();
    let mut at = from;
    while rows.len() < at_most {
        let (values, length) = if given.is_csv { read_row(&mut file)? } else { read_line(&mut file)? };
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

fn read_line(file: &mut BufReader<File>) -> std::io::Result<Row> {
    let mut line = String::new();
    let length = file.read_line(&mut line)?;
    Ok((vec![Some(line.trim_end_matches('\n').to_owned())], length as u64))
}

/// One row as `Writer::row` writes it: a reader of CSV could not tell NULL from an empty text.
fn read_row(file: &mut BufReader<File>) -> std::io::Result<Row> {
    let mut bytes = Vec::new();
    // A line break in a value leaves its quotes open.
    while file.by_ref().read_until(b'\n', &mut bytes)? > 0 {
        let is_open = bytes.iter().fold(false, |is_open, byte| is_open ^ (*byte == b'"'));
        if !is_open {
            break;
        }
    }
    let length = bytes.len() as u64;
    let text = String::from_utf8_lossy(&bytes);
    let mut rest = text.trim_end_matches('\n');
    let mut values = Vec::new();
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            values.push(None);
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None => break,
            }
            continue;
        };
        let end = end_of(quoted);
        values.push(Some(quoted[..end].replace("\"\"", "\"")));
        match quoted.get(end + 1..).and_then(|after| after.strip_prefix(',')) {
            Some(after) => rest = after,
            None => break,
        }
    }
    Ok((values, length))
}

/// Where the quote is that ends a value; one that is doubled does not.
fn end_of(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' if bytes.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}
