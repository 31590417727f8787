//! The parts of a request, and their variables, which have other values in each walk.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use reqwest::{Method, Url};
use runner_core::{OptionError, OptionErrors, Result};
use xxhash_rust::xxh3::Xxh3;

use super::super::HttpConfig;
use super::super::client::header_text;
use super::template::{Template, ValuePlace, Values, variable_in_host};
use crate::shared::text::listed;

/// The parts of a request that templates may change from walk to walk.
#[derive(Clone, Debug)]
pub(crate) struct RequestParts {
    /// With the parameters of `query`.
    pub(crate) endpoint: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

/// Adds a request to a hash, without its conditional headers.
pub(crate) fn hash_request(hash: &mut Xxh3, url: &Url, body: Option<&[u8]>, headers: &HeaderMap) {
    hash.update(url.as_str().as_bytes());
    hash.update(body.unwrap_or_default());
    for (name, value) in headers {
        if !matches!(*name, IF_NONE_MATCH | IF_MODIFIED_SINCE) {
            hash.update(name.as_str().as_bytes());
            hash.update(value.as_bytes());
        }
    }
}

/// One request, before credentials are added.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Headers that name the page.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

/// A header value that client libraries do not log.
pub(crate) fn header_value(option: &str, text: &str) -> Result<HeaderValue> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        let message = "it contains a character that is not allowed in a header (a line break at its end?)";
        return Err(OptionError::new(option, message));
    };
    value.set_sensitive(true);
    Ok(value)
}

/// A request whose parts may have variables.
#[derive(Clone, Debug)]
pub(crate) struct RequestTemplate {
    /// The parts as they are written, which are complete if there are no variables.
    base: RequestParts,
    has_variables: bool,
    endpoint: Template,
    query: Vec<(String, Template)>,
    headers: Vec<(HeaderName, Template)>,
    body: Option<(Template, ValuePlace)>,
}

impl RequestTemplate {
    /// The request of the options, whose parts as they are written are `base`.
    pub(crate) fn new(config: &HttpConfig, base: RequestParts) -> Self {
        let query: Vec<(String, Template)> =
            config.query_pairs().map(|(name, value)| (name.to_owned(), Template::parse(value))).collect();
        let header = |(name, value): (&String, &runner_core::Secret)| {
            let template = Template::parse(value.expose());
            template.has_variables().then_some((HeaderName::try_from(name).ok()?, template))
        };
        let headers: Vec<(HeaderName, Template)> = config.headers.iter().filter_map(header).collect();
        let is_form = || {
            let content_type = header_text(&base.headers, CONTENT_TYPE);
            content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"))
        };
        let body = config.body.as_deref().map(|text| {
            let template = Template::parse(text);
            let is_json = text.trim_start().starts_with(['{', '[']) && !template.is_form();
            let place = match is_json {
                true => ValuePlace::Json,
                false if is_form() => ValuePlace::Form,
                false => ValuePlace::Plain,
            };
            (template, place)
        });
        let endpoint = Template::parse(config.endpoint.trim());
        let has_variables = endpoint.has_variables()
            || query.iter().any(|(_, value)| value.has_variables())
            || !headers.is_empty()
            || body.as_ref().is_some_and(|(body, _)| body.has_variables());
        RequestTemplate { base, has_variables, endpoint, query, headers, body }
    }

    /// The names of its variables.
    pub(crate) fn variables(&self) -> BTreeSet<&str> {
        let query = self.query.iter().map(|(_, value)| value);
        let headers = self.headers.iter().map(|(_, value)| value);
        let body = self.body.iter().map(|(body, _)| body);
        let all = query.chain(headers).chain(body).chain([&self.endpoint]);
        all.flat_map(Template::variables).collect()
    }

    /// The headers that are the same for all elements.
    pub(crate) fn headers_without_variables(&self) -> HeaderMap {
        let mut headers = self.base.headers.clone();
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        headers
    }

    /// The parts with the values of one walk.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<RequestParts> {
        if !self.has_variables {
            return Ok(self.base.clone());
        }
        let text = self.endpoint.render_url(values).context("`endpoint`")?;
        let mut endpoint = Url::parse(&text).map_err(|error| {
            anyhow!("`endpoint` is not a valid URL with the values of this element: {error}")
        })?;
        endpoint.set_fragment(None);
        for (name, value) in &self.query {
            // `append_pair` encodes the value.
            let value = value.render(values, ValuePlace::Plain).with_context(|| format!("`query.{name}`"))?;
            endpoint.query_pairs_mut().append_pair(name, &value);
        }
        let mut headers = self.base.headers.clone();
        for (name, value) in &self.headers {
            let option = format!("headers.{name}");
            let value = value.render(values, ValuePlace::Header).with_context(|| format!("`{option}`"))?;
            headers.insert(name.clone(), header_value(&option, &value)?);
        }
        let body = match &self.body {
            Some((body, place)) => Some(body.render(values, *place).context("`body`")?.into()),
            None => None,
        };
        Ok(RequestParts { endpoint, headers, body })
    }
}

impl HttpConfig {
    /// The parameters of `query`; a list is several.
    pub(crate) fn query_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.query.iter();
        pairs.flat_map(|(name, values)| values.0.iter().map(move |value| (name.as_str(), value.as_str())))
    }

    /// The texts of a request, each with the option that holds it.
    pub(crate) fn request_texts(&self) -> impl Iterator<Item = (String, &str)> {
        let single = [("endpoint", Some(self.endpoint.as_str())), ("body", self.body.as_deref())];
        let single = single.into_iter().filter_map(|(option, text)| Some((option.to_owned(), text?)));
        let query = self.query_pairs().map(|(name, value)| (format!("query.{name}"), value));
        let headers = self.headers.iter().map(|(name, value)| (format!("headers.{name}"), value.expose()));
        single.chain(query).chain(headers)
    }
}

/// Refuses variables that have no value, or stand where none may.
pub(crate) fn check(config: &HttpConfig, names: &[String]) -> Result<()> {
    let mut errors = Vec::new();
    if let Some(name) = variable_in_host(&config.endpoint) {
        let message = format!(
            "`{{{{ {name} }}}}` stands in the scheme, host or port; variables may stand in the path and the query"
        );
        return Err(OptionError::new("endpoint", message));
    }
    let add = config.add.iter().filter_map(|(name, value)| Some((format!("add.{name}"), value.as_str()?)));
    for (option, text) in config.request_texts().chain(add) {
        let template = Template::parse(text);
        for name in template.variables() {
            if let Err(message) = check_variable(config, name, names) {
                errors.push(OptionError::new(option.clone(), message));
            }
        }
    }
    OptionErrors::none_of(errors)
}

fn check_variable(config: &HttpConfig, name: &str, names: &[String]) -> Result<(), String> {
    let incremental = config.incremental.as_ref();
    match name {
        "now" => Ok(()),
        "since" => match incremental {
            None => Err("`{{ since }}` requires `incremental`, which knows what was delivered".into()),
            Some(incremental) if incremental.start.is_none() => {
                Err("`{{ since }}` requires `incremental.start`, its value in the first run".into())
            }
            Some(_) => Ok(()),
        },
        "from" | "to" => match incremental {
            Some(incremental) if incremental.step.is_some() => Ok(()),
            _ => Err(format!("`{{{{ {name} }}}}` requires `incremental.step`, the length of a window")),
        },
        _ if names.iter().any(|known| known == name) => Ok(()),
        _ => {
            let mut known: Vec<&str> = names.iter().map(String::as_str).collect();
            known.extend(super::template::TIME_VARIABLES);
            let list = listed(known, usize::MAX);
            Err(format!(
                "`{{{{ {name} }}}}` is not known: the variables are the fields of `for_each` and times ({list})"
            ))
        }
    }
}
