//! Makes records of the items of a response: `remap`, then `add`.

use std::collections::VecDeque;

use bytes::Bytes;
use runner_core::{Body, Error, Result};

use super::super::json::json_text;
use super::super::pages::Page;
use super::super::responses::{Item, Items};
use super::super::source::PageWalk;
use super::add::AddedFields;
use super::remap::{Input, On, ProgramResult, Remap};

/// A record, or why an input gives none.
#[derive(Debug)]
pub(crate) struct ShapedRecord {
    /// The bytes that identify it: the record's, or those of an input that gives none.
    pub(crate) raw: Bytes,
    pub(crate) body: Result<Body, Error>,
}

impl Page {
    /// The next record of the page, or input that gives none. Fails if a large response cannot be read back.
    pub(super) fn next_shaped(
        &mut self,
        remap: Option<&Remap>,
        walk: &PageWalk,
    ) -> Result<Option<ShapedRecord>> {
        loop {
            if let Some(shaped) = self.shaped.pop_front() {
                return Ok(Some(shaped));
            }
            let Some(item) = self.items.next()? else { return Ok(None) };
            match remap {
                None => return Ok(Some(unmapped_record(item, &walk.added))),
                Some(remap) => self.shaped = run_remap(item, remap, walk),
            }
        }
    }
}

/// An item as it is, with the added fields.
fn unmapped_record(item: Item, added: &AddedFields) -> ShapedRecord {
    if added.is_empty() || item.body.is_err() {
        return ShapedRecord { raw: item.raw, body: item.body };
    }
    let made = item.body.and_then(|body| added.apply(&json_text(&body)));
    match made {
        Ok(text) => with_bytes(text.into()),
        Err(reason) => ShapedRecord { raw: item.raw, body: Err(reason) },
    }
}

/// What the program makes of an item. An error is one bad record, the item.
fn run_remap(item: Item, remap: &Remap, walk: &PageWalk) -> VecDeque<ShapedRecord> {
    let Item { raw, body } = item;
    let made = body.and_then(|body| remap.run(&Input::Body(&body), &walk.metadata));
    with_added_fields(raw, made, &walk.added)
}

/// What the program makes of a response that is one value.
pub(crate) fn made_of_value(
    mut value: Items,
    remap: &Remap,
    walk: &PageWalk,
) -> Result<VecDeque<ShapedRecord>> {
    if remap.on == On::Answer {
        return Ok(made_of_answer(array_of(&mut value)?, remap, walk));
    }
    Ok(value.next()?.map(|item| run_remap(item, remap, walk)).unwrap_or_default())
}

/// What the program makes of the elements of a whole answer.
pub(crate) fn made_of_answer(json: Bytes, remap: &Remap, walk: &PageWalk) -> VecDeque<ShapedRecord> {
    let made = remap.run(&Input::Json(&json), &walk.metadata);
    with_added_fields(json, made, &walk.added)
}

fn with_added_fields(raw: Bytes, made: Result<ProgramResult>, added: &AddedFields) -> VecDeque<ShapedRecord> {
    let texts = match made {
        Ok(ProgramResult::Nothing) => Vec::new(),
        Ok(ProgramResult::One(text)) => vec![text],
        Ok(ProgramResult::Many(texts)) => texts,
        Err(reason) => return VecDeque::from([ShapedRecord { raw, body: Err(reason) }]),
    };
    let with_added = |text: Bytes| -> Result<Bytes> {
        if added.is_empty() { Ok(text) } else { Ok(added.apply(&text)?.into()) }
    };
    // All records of an input, or none.
    match texts.into_iter().map(with_added).collect::<Result<Vec<Bytes>>>() {
        Ok(texts) => texts.into_iter().map(with_bytes).collect(),
        Err(reason) => VecDeque::from([ShapedRecord { raw, body: Err(reason) }]),
    }
}

fn with_bytes(text: Bytes) -> ShapedRecord {
    ShapedRecord { raw: text.clone(), body: Ok(Body::Bytes(text)) }
}

/// All items as one JSON array.
pub(crate) fn array_of(items: &mut Items) -> Result<Bytes> {
    let mut text = vec![b'['];
    while let Some(item) = items.next()? {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&json_text(&item.body?));
    }
    text.push(b']');
    Ok(text.into())
}
