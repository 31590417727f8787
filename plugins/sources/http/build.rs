//! Checks the options, and makes the source of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use encoding_rs::{Encoding, UTF_8};
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use runner_core::{BuildContext, ByteSize, Name, OptionError, OptionErrors, Result, Secret};
use xxhash_rust::xxh3::Xxh3;

use super::HttpConfig;
use super::client::{
    Client, Credentials, RateLimiter, Redactor, identity, password, with_variables, without_query,
};
use super::elements::{ForEach, used_fields};
use super::incremental::Unchanged;
use super::pages::{END_CHECK_DELAYS, Pagination};
use super::records::{Add, Remap};
use super::request::{
    RequestParts, RequestTemplate, Template, header_value, placeholder_warnings, request_template,
};
use super::responses::{BodyOptions, Codec, MAX_IN_MEMORY, RecordLayout, Responses};
use super::source::{HttpSource, Settings};
use crate::shared::csv::{Dialect, DocumentReader, TextEncoding};

/// The maximum size of a response.
const MAX_ANSWER: ByteSize = ByteSize::from_mib(256);

/// The maximum size of a response that is one value, unless `max_answer` is set.
const MAX_ONE_VALUE: ByteSize = ByteSize::from_mib(32);

impl HttpConfig {
    pub(super) fn source(mut self, context: &BuildContext) -> Result<HttpSource> {
        let encoding = self.encoding()?;
        let csv_reader = self.csv_reader()?;
        // The checks of variables come before the others, which take variables for text.
        let names = self.names_of_elements(context)?;
        request_template::check(&self, &names)?;
        placeholder_warnings::warn(&self, &names, context);
        let list_endpoint = self.list_endpoint()?;
        self.check_incremental()?;
        let remap = self.remap.as_ref().map(|remap| remap.compile(context)).transpose()?;
        used_fields::check(&self, &names, remap.as_ref().map_or("", |remap| &remap.text), context)?;
        let shape = self.shape_hash(remap.as_ref())?;
        let add = Add::new(&self.add)?;
        let mut endpoint = OptionErrors::with(self.check().err(), self.endpoint())?;
        let credentials = Credentials::new(self.auth.as_ref())?;
        let source_name = Redactor::new(&[], &[], endpoint.path(), None).url(&without_query(&endpoint));
        for (name, value) in self.query_pairs() {
            endpoint.query_pairs_mut().append_pair(name, value);
        }
        let redactor = self.redactor(&endpoint, &credentials);
        let headers = self.headers(&credentials)?;
        let body = self.body.clone().map(bytes::Bytes::from);
        let identity =
            identity(&self.method.into(), &redactor.url(&endpoint), endpoint.query(), body.as_deref());
        let parts = RequestParts { endpoint, headers, body };
        let request = RequestTemplate::new(&self, parts.clone());
        let body_options = self.body_options(encoding);
        let client = self.client(parts, credentials, redactor, body_options, context)?;
        let settings = Settings {
            timeout: self.timeout.unless_zero(),
            codec: self.codec,
            records: self.records,
            pagination: self.pagination.map(Arc::new),
            interval: self.interval.map(Into::into),
            max_one_value: self.max_answer.unwrap_or(MAX_ONE_VALUE).as_usize(),
            end_check_delays: &END_CHECK_DELAYS,
            limits: context.batch,
            gauges: context.gauges.clone(),
            source_name: Name::new(with_variables(&source_name).trim_end_matches('/')),
            identity,
            folder: context.folder.clone(),
            request,
            for_each: self.for_each,
            list_endpoint,
            incremental: self.incremental.map(Arc::new),
            unchanged: self.unchanged,
            remap,
            add,
            shape,
        };
        Ok(HttpSource::new(client, settings, csv_reader))
    }

    /// The names of the variables of elements.
    fn names_of_elements(&self, context: &BuildContext) -> Result<Vec<String>> {
        let Some(for_each) = &self.for_each else { return Ok(Vec::new()) };
        let names = for_each.names(&context.folder);
        names.map_err(|error| OptionError::new("for_each", format!("{error:#}")))
    }

    fn check_incremental(&self) -> Result<()> {
        if let Some(incremental) = &self.incremental {
            incremental.check()?;
            if self.unchanged == Unchanged::Deliver {
                let message = "\"deliver\" is not allowed with `incremental`, which emits new rows only";
                return Err(OptionError::new("unchanged", message));
            }
        }
        Ok(())
    }

    /// A hash of the options that decide which records a response gives.
    fn shape_hash(&self, remap: Option<&Remap>) -> Result<u64> {
        let mut shape = Xxh3::new();
        shape.update(&remap.map_or(0, |remap| remap.hash).to_le_bytes());
        shape.update(serde_json::to_string(&self.add)?.as_bytes());
        shape.update(self.records.to_string().as_bytes());
        shape.update(self.codec.name().as_bytes());
        Ok(shape.digest())
    }

    fn body_options(&self, encoding: Option<&'static Encoding>) -> BodyOptions {
        BodyOptions {
            max_answer: self.max_answer.unwrap_or(MAX_ANSWER).as_usize(),
            encoding,
            // A large response is divided as it is received, and so in UTF-8 only.
            layout: self.layout().filter(|_| encoding.is_none_or(|encoding| encoding == UTF_8)),
            max_in_memory: MAX_IN_MEMORY,
        }
    }

    fn client(
        &mut self,
        parts: RequestParts,
        credentials: Credentials,
        redactor: Redactor,
        body_options: BodyOptions,
        context: &BuildContext,
    ) -> Result<Client> {
        Ok(Client {
            http: None,
            method: self.method.into(),
            parts,
            credentials,
            redactor,
            redirects: self.redirects,
            responses: self.responses.take(),
            rate_limiter: self.rate_limit.take().map(RateLimiter::new).transpose()?,
            tls: self.tls.take().map(|tls| tls.check(context)).transpose()?.unwrap_or_default(),
            keeps_cookies: self.cookies,
            list_body_options: BodyOptions { layout: None, ..body_options.clone() }.into(),
            body_options: body_options.into(),
            has_answered: AtomicBool::new(false),
            lost_cookie: AtomicBool::new(false),
            stayed_on_tls: AtomicBool::new(false),
            fixture: None,
        })
    }

    /// How a large response is divided; `None` if an option looks at text of the records, so that all of it is needed.
    fn layout(&self) -> Option<RecordLayout> {
        let layout = match self.codec {
            Codec::Json => RecordLayout::Array(self.records.clone()),
            Codec::Ndjson => RecordLayout::Lines,
            Codec::Csv => RecordLayout::Rows,
        };
        let of_pages = self.pagination.iter().flat_map(Pagination::pointers);
        let of_matchers = self.responses.iter().flat_map(Responses::pointers);
        let mut of_missing = self.responses.iter().flat_map(Responses::missing);
        let is_inside = of_pages.chain(of_matchers).any(|pointer| pointer.overlaps(&self.records))
            || of_missing.any(|pointer| pointer.is_below(&self.records));
        let matches_text = self.responses.as_ref().is_some_and(Responses::matches_text);
        (!is_inside && !matches_text).then_some(layout)
    }

    /// Checks combinations of options.
    fn check(&self) -> Result<()> {
        if self.codec != Codec::Json {
            let required = "requires codec = \"json\"";
            if !self.records.is_root() {
                return Err(OptionError::new("records", format!("a JSON pointer {required}")));
            }
        }
        if self.records.to_string().contains("{{") {
            let message = "variables have no value here; where the place differs from element to element, set the \
                           place above it, and take the array with `remap`, as in `. = get!(., [%symbol])`";
            return Err(OptionError::new("records", message));
        }
        if let Some(pagination) = &self.pagination {
            pagination.check(self.codec, self.body.as_deref())?;
        }
        if self.max_answer.is_some_and(|size| size.as_usize() == 0) {
            return Err(OptionError::new("max_answer", "must be greater than 0"));
        }
        if self.interval.is_some_and(|interval| interval.unless_zero().is_none()) {
            let message = "must be greater than 0; omit it to poll once";
            return Err(OptionError::new("interval", message));
        }
        Ok(())
    }

    fn endpoint(&self) -> Result<Url> {
        let example = "https://api.example.com/prices";
        let mut url = http_url("endpoint", &self.endpoint, example, "`auth = { strategy = \"basic\", … }`")?;
        url.set_fragment(None);
        Ok(url)
    }

    /// The endpoint of the request for the elements of `for_each`.
    fn list_endpoint(&self) -> Result<Option<Url>> {
        let Some(ForEach::Request(list)) = &self.for_each else { return Ok(None) };
        let option = "for_each.endpoint";
        if list.endpoint.contains("{{") {
            return Err(OptionError::new(option, "variables have no value before the elements are known"));
        }
        http_url(option, &list.endpoint, "https://api.example.com/symbols", "`auth`").map(Some)
    }

    /// The encoding of the responses, if an option says so.
    fn encoding(&self) -> Result<Option<&'static Encoding>> {
        let of_rows = self.csv.as_ref().and_then(|csv| csv.encoding);
        if self.encoding.is_some() && of_rows.is_some() {
            return Err(OptionError::new("encoding", "`csv.encoding` says the same; keep one of the two"));
        }
        // The default is the one that is declared.
        let given = self.encoding.filter(|given| *given != TextEncoding::Auto);
        Ok(of_rows.or(given).map(TextEncoding::encoding))
    }

    /// Hides in messages what requests send in `auth`, `headers`, `query` and `body`.
    fn redactor(&self, endpoint: &Url, credentials: &Credentials) -> Redactor {
        let page = match &self.pagination {
            Some(Pagination::Page { param, .. } | Pagination::Offset { param, .. }) => Some(param.as_str()),
            _ => None,
        };
        // The names of variables are not sent.
        let texts =
            |text: &str| -> Vec<String> { Template::parse(text).texts().map(str::to_owned).collect() };
        let headers = || self.headers.values().map(Secret::expose);
        let passwords = headers().filter_map(password);
        let more: Vec<String> = headers().flat_map(texts).chain(passwords).collect();
        let secrets = credentials.secrets.iter().map(Secret::expose);
        let secrets: Vec<&str> = secrets.chain(more.iter().map(String::as_str)).collect();
        let query = self.query_pairs().map(|(_, value)| value);
        let others: Vec<String> = query.chain(self.body.as_deref()).flat_map(texts).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        Redactor::new(&secrets, &others, endpoint.path(), page)
    }

    fn headers(&self, credentials: &Credentials) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.codec.accepts()));
        if let Some(content_type) = self.body.as_deref().and_then(content_type) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &self.headers {
            let option = format!("headers.{name}");
            let Ok(header) = HeaderName::try_from(name) else {
                return Err(OptionError::new(option, "not a valid header name"));
            };
            if credentials.sets(&header) {
                let message = if header == AUTHORIZATION {
                    "`auth` sets it as well"
                } else {
                    "`auth` names it as well"
                };
                return Err(OptionError::new(option, format!("{message}; keep one of the two")));
            }
            headers.insert(header, header_value(&option, value.expose())?);
        }
        Ok(headers)
    }

    fn csv_reader(&mut self) -> Result<DocumentReader> {
        match self.csv.take() {
            Some(_) if self.codec != Codec::Csv => {
                Err(OptionError::new("csv", "it describes rows, so it needs `codec = \"csv\"`"))
            }
            Some(options) => Ok(DocumentReader::new(options.dialect("csv.")?)),
            None => Ok(DocumentReader::new(Dialect { prefix: "csv.", ..Dialect::default() })),
        }
    }
}

/// The content type of a body that is a form or JSON.
fn content_type(body: &str) -> Option<&'static str> {
    if Template::parse(body).is_form() {
        return Some("application/x-www-form-urlencoded");
    }
    body.trim_start().starts_with(['{', '[']).then_some("application/json")
}

/// The URL in an option. If it holds a password, the error says to set `auth` in its place.
fn http_url(option: &str, text: &str, example: &str, auth: &str) -> Result<Url> {
    let url = Url::parse(text.trim());
    let url =
        url.map_err(|error| OptionError::new(option, format!("not a valid URL such as {example}: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("unsupported scheme `{}`: use http:// or https://", url.scheme());
        return Err(OptionError::new(option, message));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not an `OptionError`, which would show the line with the password.
        anyhow::bail!("`{option}` holds a user and a password: set {auth} instead");
    }
    Ok(url)
}
