//! Decodes a response, and explains one that cannot be decoded.

use anyhow::anyhow;
use reqwest::StatusCode;
use serde::de::IgnoredAny;

use super::client::Response;
use super::codec::Codec;
use super::decode::{Items, Unreadable};
use super::error::HttpError;
use super::source::Http;

impl Http {
    /// The items of a response.
    pub(super) fn decode(&mut self, response: &Response) -> Result<Items, HttpError> {
        let body = &response.body;
        let is_blank = body.trim_ascii().is_empty();
        let settings = &self.settings;
        let decoded = match settings.codec {
            _ if response.status == StatusCode::NO_CONTENT => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_blank => Ok(Items::none()),
            Codec::Ndjson | Codec::Csv if is_web_page(response) => {
                Err(Unreadable::Unexpected("the response is a web page".into()))
            }
            Codec::Csv if response.content_type().contains("json") => {
                Err(Unreadable::Unexpected("expected CSV, got JSON".into()))
            }
            Codec::Json => Items::of_json(body, &settings.records, self.position.offset > 0),
            Codec::Ndjson => Items::of_ndjson(body, self.client.redactor.url(&response.url)),
            Codec::Csv => Items::of_csv(body, &mut self.csv_reader, settings.source_name),
        };
        decoded.map_err(|unreadable| self.unreadable(response, unreadable))
    }

    pub(super) fn unreadable(&self, response: &Response, unreadable: Unreadable) -> HttpError {
        let title = &response.title;
        let redactor = &self.client.redactor;
        let content_type = match response.content_type() {
            "" => "no content type".to_owned(),
            content_type => redactor.text(content_type),
        };
        match unreadable {
            Unreadable::Truncated(why) => HttpError::transient(anyhow!("{title} ({content_type}): {why}")),
            Unreadable::Unexpected(why) => {
                // It may contain keys of the response.
                let why = redactor.text(&why);
                let advice = advice(self.settings.codec, response);
                let dot = if advice.ends_with('?') { "" } else { "." };
                let excerpt = match self.client.excerpt(&response.body) {
                    excerpt if excerpt.is_empty() => excerpt,
                    excerpt => format!("{dot} The response begins with {excerpt}"),
                };
                HttpError::FatalUntilSuccess(anyhow!("{title} ({content_type}): {why}{advice}{excerpt}"))
            }
        }
    }
}

fn is_web_page(response: &Response) -> bool {
    let front = response.body.trim_ascii_start();
    let begins = |with: &[u8]| front.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html") || response.content_type().starts_with("text/html")
}

/// Whether the first line of an invalid JSON text is valid JSON.
fn is_ndjson(body: &[u8]) -> bool {
    let line = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < body.len() && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Advice for a response in another format.
fn advice(codec: Codec, response: &Response) -> String {
    let content_type = response.content_type().to_ascii_lowercase();
    let is_called = |name: &str| content_type.contains(name);
    let other = match codec {
        _ if is_web_page(response) => {
            return ": check that `endpoint` is the API and not its web page; a login page means that `auth` is missing".into();
        }
        Codec::Json if is_called("csv") => Codec::Csv,
        Codec::Json if is_called("ndjson") || is_called("jsonl") || is_called("json-seq") => Codec::Ndjson,
        Codec::Json if is_ndjson(&response.body) => Codec::Ndjson,
        Codec::Csv if is_called("json") => Codec::Json,
        _ => return String::new(),
    };
    format!("; should it be codec = \"{}\"?", other.name())
}
