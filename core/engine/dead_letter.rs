//! Dead letters: what components reject is put into an envelope and written to
//! a sink of its own. Where there is none, the first reject ends the run.

use std::time::SystemTime;

use anyhow::{Context as _, Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::control::Control;
use super::writer::Writer;
use crate::batch::Batch;
use crate::progress::{Counters, add};
use crate::record::{Body, Record};
use crate::sink::Ending;

/// Takes what components reject.
#[derive(Default)]
pub(crate) struct DeadLetters(Option<Writer>);

/// What a dead letter says.
#[derive(Serialize)]
struct Envelope<'a> {
    reason: String,
    component: &'a str,
    origin: EnvelopeOrigin<'a>,
    entry: Option<u64>,
    source: Option<&'a str>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// The body where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize)]
struct EnvelopeOrigin<'a> {
    stream: &'a str,
    lane: i32,
    offset: u64,
}

impl DeadLetters {
    pub(crate) fn new(writer: Option<Writer>) -> Self {
        DeadLetters(writer)
    }

    /// Puts the records at the given indices aside. Answers with the rest, and
    /// whether the run goes on; where it does not, the rest is what was in front
    /// of the first reject.
    pub(crate) async fn set_aside(
        &self,
        mut batch: Batch,
        rejects: Vec<(usize, Error)>,
        node: usize,
        control: &Control,
        counters: &Counters,
    ) -> (Batch, bool) {
        if rejects.is_empty() {
            return (batch, true);
        }
        let Some(writer) = &self.0 else {
            let (index, reason) = rejects.into_iter().next().expect("not empty");
            let error = reason.context(describe(&batch.records()[index]));
            add(&counters.rejected, 1);
            control.fail(node, error);
            let front = batch.split_front(index);
            batch.give_back();
            return (front, false);
        };
        add(&counters.rejected, rejects.len() as u64);
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        let mut bad = batch.extract(&indices);
        for (record, (_, reason)) in bad.records_mut().iter_mut().zip(&rejects) {
            tracing::warn!(component = control.name(node), "{}: {reason:#}", describe(record));
            record.body = envelope(record, reason, control.name(node));
            record.key = None;
        }
        let n_bad = bad.len();
        // Boxed: a sink's writer needs the dead letters, which need a writer of their own.
        let written = Box::pin(writer.write(bad, &DeadLetters::default())).await;
        let goes_on = written.len() == n_bad;
        written.sign();
        if goes_on {
            return (batch, true);
        }
        batch.give_back();
        (Batch::default(), false)
    }

    /// Finishes what the sink has left for later.
    pub(crate) async fn flush(&self) -> Result<()> {
        let Some(writer) = &self.0 else { return Ok(()) };
        writer.sink.flush(Ending::Stopped).await.context("finishing the dead letters")
    }
}

/// Names a record in messages.
fn describe(record: &Record) -> String {
    match record.entry {
        Some(entry) => format!("entry {} from {} is a bad record", entry.number, record.origin),
        None => format!("the record from {} is a bad record", record.origin),
    }
}

fn envelope(record: &Record, reason: &Error, component: &str) -> Body {
    let bytes = record.to_bytes();
    let text = bytes.as_deref().map(std::str::from_utf8);
    let envelope = Envelope {
        reason: format!("{reason:#}"),
        component,
        origin: EnvelopeOrigin {
            stream: record.origin.stream.as_str(),
            lane: record.origin.lane,
            offset: record.origin.offset,
        },
        entry: record.entry.map(|entry| entry.number),
        source: record.entry.map(|entry| entry.source.as_str()),
        time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        body: text.and_then(Result::ok),
        body_base64: match text {
            Some(Err(_)) => bytes.as_deref().map(|bytes| BASE64_STANDARD.encode(bytes)),
            _ => None,
        },
    };
    Body::Raw(serde_json::to_vec(&envelope).expect("an envelope is JSON").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Name, Origin};

    #[test]
    fn an_envelope_keeps_bytes_that_are_not_text() {
        let origin = Origin { stream: Name::new("a.csv"), lane: 0, offset: 3 };
        let record = Record::new(Body::Raw((&b"\xff\x00"[..]).into()), origin);
        let Body::Raw(bytes) = envelope(&record, &Error::msg("invalid UTF-8"), "stocks") else {
            panic!("an envelope is raw bytes")
        };
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["reason"], "invalid UTF-8");
        assert_eq!(json["origin"]["offset"], 3);
        assert_eq!(json["body_base64"], "/wA=");
        assert!(json.get("body").is_none());
    }
}
