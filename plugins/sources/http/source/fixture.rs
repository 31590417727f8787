//! Reads a file in place of the API, for tests of a pipeline.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use runner_core::{Fixture, ReadsFixture, Result};
use serde_json::Value;

use super::super::elements::{Element, ForEach};
use super::super::responses::{Response, Verdict, of_file};
use super::http_source::HttpSource;

impl ReadsFixture for HttpSource {
    fn option(&self) -> &'static str {
        "answer"
    }

    fn read_from(&mut self, fixture: &Fixture) -> Result<()> {
        let path = self.settings.folder.join(&fixture.path);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let body = of_file(bytes, self.client.body_options.encoding)
            .map_err(|why| anyhow!("reading {}: {why}", path.display()))?;
        let verdict = self.client.responses.as_ref().and_then(|it| it.verdict(StatusCode::OK, &body));
        let is_empty = match verdict {
            None => false,
            Some((Verdict::Empty, _)) => true,
            Some((Verdict::Retry, why)) => bail!("a run would repeat the request: {why}"),
            Some((Verdict::Fail, why)) => bail!("a run would fail: {why}"),
        };
        self.client.fixture = Some(Response {
            title: path.display().to_string(),
            status: StatusCode::OK,
            url: self.client.parts.endpoint.clone(),
            headers: HeaderMap::new(),
            size: body.len(),
            body,
            large: None,
            is_delimited: true,
            is_empty,
        });
        let element = self.element_of(fixture);
        let settings = &mut self.settings;
        settings.for_each = Some(ForEach::Listed(vec![element]));
        (settings.pagination, settings.interval) = (None, None);
        settings.end_check_delays = &[];
        Ok(())
    }
}

impl HttpSource {
    /// The element of `for_each` that has the values of the fixture, or one that has these values alone.
    fn element_of(&self, fixture: &Fixture) -> Arc<Element> {
        let is_meant = |element: &&Arc<Element>| {
            fixture.element.iter().all(|(name, value)| element.text(name).as_ref() == Some(value))
        };
        let listed = match &self.settings.for_each {
            Some(ForEach::Listed(elements)) => elements.iter().find(is_meant),
            _ => None,
        };
        listed.cloned().unwrap_or_else(|| {
            let fields =
                fixture.element.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            Arc::new(Element::new(fields))
        })
    }
}
