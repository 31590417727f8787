//! Finds the elements of a poll, listed, in a file, or requested page by page.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use reqwest::Method;
use runner_core::Result;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::super::error::HttpError;
use super::super::pages::{PageCount, PageHistory, PageRequest, Pagination, ReceivedPage, with_end_advice};
use super::super::request::RequestParts;
use super::super::responses::{BodyStatus, Items, Response};
use super::super::source::{HttpSource, Warning};
use super::for_each::{Element, ForEach, ListRequest, read_file};
use super::identity::identify;

/// The positions of so many elements that are not listed any more are kept.
const MAX_UNLISTED: usize = 10_000;

impl HttpSource {
    /// The elements of a poll.
    pub(crate) async fn load_elements(&mut self) -> Result<Vec<Arc<Element>>, HttpError> {
        let elements = match &self.settings.for_each {
            None => vec![Arc::new(Element::only())],
            Some(ForEach::Listed(elements)) => elements.clone(),
            Some(ForEach::File(path)) => {
                read_file(&self.settings.folder.join(path)).map_err(HttpError::FatalUntilSuccess)?
            }
            Some(ForEach::Request(request)) => {
                let request = request.clone();
                self.request_elements(&request).await?
            }
        };
        let used = self.settings.request.variables();
        let elements = identify(elements, &used);
        self.position.adopt_positions(&elements, &used);
        self.forget_unlisted(&elements);
        Ok(elements)
    }

    /// Bounds the positions of elements that are not listed any more.
    fn forget_unlisted(&mut self, listed: &[Arc<Element>]) {
        if self.position.elements.len() <= listed.len() + MAX_UNLISTED {
            return;
        }
        let mut kept = BTreeMap::new();
        for element in listed {
            if let Some(position) = self.position.elements.get(&element.id) {
                kept.insert(Arc::clone(&element.id), position.clone());
            }
        }
        self.position.elements = kept.into();
    }

    /// The elements in the responses to the request of `for_each`.
    async fn request_elements(&mut self, list: &ListRequest) -> Result<Vec<Arc<Element>>, HttpError> {
        let Some(endpoint) = self.settings.list_endpoint.clone() else { return Ok(Vec::new()) };
        let headers = self.settings.request.headers_without_variables();
        self.client.parts = RequestParts { endpoint, headers, body: None };
        let pagination = list.pagination.as_deref();
        let mut request = Pagination::first_request(pagination);
        let (mut history, mut seen, mut texts) = (PageHistory::default(), HashSet::new(), Vec::new());
        let title = loop {
            history.add(self.client.fingerprint(pagination, &request).map_err(HttpError::Fatal)?);
            let is_behind = request.is_numbered() && request.n_pages > 0;
            let response = match self.request_list_page(list, &request).await {
                // Some APIs return 404 after the last page.
                Err(HttpError::NotFound(error)) if is_behind => {
                    let error = self.client.redactor.error(error);
                    if self.checks_end_again(Some(format!("page not found ({error:#})"))).await {
                        continue;
                    }
                    break "the elements of `for_each`".to_owned();
                }
                Err(HttpError::Refused(status, error)) if is_behind => {
                    return Err(HttpError::Refused(status, with_end_advice(status, error)));
                }
                response => response?,
            };
            let mut items = self.items_of_list(list, &response, request.n_pages > 0)?;
            // Behind the first page it may be the end of the list, or a failure that cuts it off.
            let is_null = matches!(items, Items::Null) && request.n_pages > 0;
            let why = is_null.then(|| format!("{}: `{}` is missing or null", response.title, list.records));
            if self.checks_end_again(why).await {
                continue;
            }
            let count = PageCount::of(&items, None, pagination);
            let next = match pagination {
                Some(pagination) if !response.has_no_records() => {
                    let page = ReceivedPage { pagination, request: &request, response: &response, count };
                    let next = self.named_next(&page, &history)?;
                    let has_ended = next.is_none() || self.has_ended(&page)?;
                    next.filter(|_| !has_ended)
                }
                Some(_) => None,
                None => {
                    self.warn_of_more_elements(list, &response, &items);
                    None
                }
            };
            let mut has_new = false;
            let n_before = texts.len();
            while let Some(item) = items.next().map_err(HttpError::Fatal)? {
                has_new |= seen.insert(xxh3_64(&item.raw));
                texts.push(item.raw);
            }
            if let Some(pagination) = pagination
                && is_behind
                && count.n_items > 0
                && !has_new
            {
                texts.truncate(n_before);
                warn!(
                    "{}: this page of elements for `for_each` repeats elements of the pages before it, and is taken as \
                     the end; {}",
                    response.title,
                    self.repeat_advice(pagination, next.as_ref())
                );
                break response.title;
            }
            match next {
                Some(next) => request = next,
                None => break response.title,
            }
        };
        let elements = list.elements(texts.iter().map(|text| &**text));
        elements.with_context(|| title).map_err(HttpError::FatalUntilSuccess)
    }

    /// Sends one request for elements.
    async fn request_list_page(
        &mut self,
        list: &ListRequest,
        request: &PageRequest,
    ) -> Result<Response, HttpError> {
        let method = std::mem::replace(&mut self.client.method, Method::GET);
        let list_body_options = Arc::clone(&self.client.list_body_options);
        let reading = std::mem::replace(&mut self.client.body_options, list_body_options);
        let response = self.client.request_page(list.pagination.as_deref(), request).await;
        (self.client.method, self.client.body_options) = (method, reading);
        let mut response = response?;
        // `responses.empty` may name a place that only responses with records have.
        response.is_empty &= !matches!(list.records.array_start(&response.body), Ok(Some(_)));
        Ok(response)
    }

    fn items_of_list(
        &self,
        list: &ListRequest,
        response: &Response,
        is_behind: bool,
    ) -> Result<Items, HttpError> {
        if response.has_no_records() {
            return Ok(Items::none());
        }
        let null_is_empty = is_behind || self.has_succeeded;
        let items = Items::of_json(&response.body, &list.records, null_is_empty, response.title.clone());
        match self.message_of(response, &items, &list.records) {
            Some(BodyStatus::Empty) => Ok(Items::none()),
            Some(message) => Err(self.message_error(response, message)),
            None => items.map_err(|unreadable| self.unreadable(response, unreadable)),
        }
    }

    /// Warns, once in a run, of elements on other pages.
    fn warn_of_more_elements(&mut self, list: &ListRequest, response: &Response, items: &Items) {
        if items.is_empty() || self.given_warnings.has(Warning::PagesOfElements) {
            return;
        }
        let Some((why, option)) = self.other_pages(response, items, Some(&list.records)) else { return };
        let why = format!(
            "{why}, and `for_each` reads the elements of this page only; to read all pages set, in the table \
             `for_each`, {option}"
        );
        self.given_warnings.warn_once(Warning::PagesOfElements, &response.title, why);
    }
}
