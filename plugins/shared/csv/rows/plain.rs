//! The plain grammar: cells in double quotes, in which a doubled quote is a character.
//!
//! It is that of the `csv` crate (a property test compares both), except that text after
//! the closing quote of a cell is an error, as in RFC 4180: the crate appends it to the cell, so an
//! unclosed quote swallows the rows up to the next quote. Here it affects the line it is on. `csv-core`
//! cannot be used because it returns only unescaped cells: errors and positions need the byte offsets
//! of rows and cells.

use memchr::{memchr, memchr_iter, memchr3};

use super::row::{CellEnd, cells_of_row};

/// Where the cell that begins at `start` ends. Quotes count only at its very
/// beginning: `5" pipe` is a cell of seven characters.
#[inline]
pub(super) fn cell_end(bytes: &[u8], start: usize, delimiter: u8) -> CellEnd {
    let mut at = start;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        loop {
            let Some(n) = memchr(b'"', &bytes[at..]) else { return CellEnd::OpenQuote };
            at += n + 1;
            match bytes.get(at) {
                Some(b'"') => at += 1,
                Some(&byte) if byte == delimiter => return CellEnd::Delimiter(at),
                Some(b'\n' | b'\r') => return CellEnd::Line(at),
                Some(_) => return CellEnd::TextAfterQuote(at),
                None => return CellEnd::Bytes,
            }
        }
    }
    match memchr3(delimiter, b'\n', b'\r', &bytes[at..]) {
        Some(n) if bytes[at + n] == delimiter => CellEnd::Delimiter(at + n),
        Some(n) => CellEnd::Line(at + n),
        None => CellEnd::Bytes,
    }
}

/// Appends the texts of the cells of a whole row, without quotes, and the end of each.
pub(crate) fn split(row: &[u8], delimiter: u8, quoted: bool, into: &mut Vec<u8>, ends: &mut Vec<u32>) {
    if quoted {
        for cell in cells_of_row(row, |at| cell_end(row, at, delimiter)) {
            unquote(&row[cell], into);
            ends.push(into.len() as u32);
        }
        return;
    }
    let mut start = 0;
    for end in memchr_iter(delimiter, row) {
        into.extend_from_slice(&row[start..end]);
        ends.push(into.len() as u32);
        start = end + 1;
    }
    into.extend_from_slice(&row[start..]);
    ends.push(into.len() as u32);
}

fn unquote(cell: &[u8], into: &mut Vec<u8>) {
    let Some(mut rest) = cell.strip_prefix(b"\"") else {
        return into.extend_from_slice(cell);
    };
    while let Some(quote) = memchr(b'"', rest) {
        into.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        if rest.first() != Some(&b'"') {
            break;
        }
        into.push(b'"');
        rest = &rest[1..];
    }
    into.extend_from_slice(rest);
}
