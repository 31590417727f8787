//! The validated options, apart from those of single requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use runner_core::{BatchLimits, Gauges, Name};

use super::answer::Codec;
use super::elements::ForEach;
use super::incremental::{Incremental, Order, TimeFormat, Unchanged};
use super::json::Pointer;
use super::pages::{PageRequest, Pagination};
use super::records::{Add, Remap};
use super::request::RequestTemplate;

/// The validated options.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) timeout: Option<Duration>,
    pub(super) codec: Codec,
    pub(super) records: Pointer,
    pub(super) pagination: Option<Pagination>,
    pub(super) interval: Option<Duration>,
    /// Whether `max_answer` is set.
    pub(super) has_max_answer: bool,
    /// Whether a program makes the records from what the response contains.
    pub(super) is_shaped: bool,
    /// The delays of repeated requests at a possible end of the data.
    pub(super) end_check_delays: &'static [Duration],
    pub(super) limits: BatchLimits,
    pub(super) gauges: Arc<Gauges>,
    pub(super) source_name: Name,
    pub(super) identity: String,
    /// The folder of the pipeline file.
    pub(super) folder: PathBuf,
    pub(super) request: RequestTemplate,
    pub(super) for_each: Option<ForEach>,
    /// The endpoint of the request for the elements.
    pub(super) list_endpoint: Option<Url>,
    pub(super) incremental: Option<Arc<Incremental>>,
    pub(super) unchanged: Unchanged,
    pub(super) remap: Option<Remap>,
    pub(super) add: Add,
    /// The hash of the options that shape records.
    pub(super) shape: u64,
}

impl Settings {
    /// The request for the first page of a walk.
    pub(super) fn first_request(&self) -> PageRequest {
        Pagination::first_request(self.pagination.as_ref())
    }

    /// Whether a saved request fits `pagination`.
    pub(super) fn accepts(&self, request: &PageRequest) -> bool {
        Pagination::accepts(self.pagination.as_ref(), request)
    }

    /// Whether rows of the walk before are skipped.
    pub(super) fn skips(&self) -> bool {
        self.unchanged == Unchanged::Skip
    }

    pub(super) fn has_windows(&self) -> bool {
        self.incremental.as_ref().is_some_and(|options| options.step.is_some())
    }

    pub(super) fn is_newest_first(&self) -> bool {
        self.incremental.as_ref().is_some_and(|options| options.order == Order::NewestFirst)
    }

    /// Whether the same response gives the same records, so that it may be asked for on condition.
    pub(super) fn is_conditional(&self) -> bool {
        self.pagination.is_none() && self.skips() && !self.has_windows()
    }

    /// How points in time are written in requests.
    pub(super) fn time_format(&self) -> TimeFormat {
        let format = self.incremental.as_ref().and_then(|options| options.time_format());
        format.unwrap_or(TimeFormat::Rfc3339)
    }
}
