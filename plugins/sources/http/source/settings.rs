//! The validated options, apart from those of single requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use runner_core::{BatchLimits, Gauges, Name};

use super::super::elements::ForEach;
use super::super::incremental::{Incremental, Order, TimeFormat, Unchanged};
use super::super::json::Pointer;
use super::super::pages::{PageRequest, Pagination};
use super::super::records::{Add, Remap};
use super::super::request::RequestTemplate;
use super::super::responses::Codec;

/// The validated options.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) codec: Codec,
    pub(crate) records: Pointer,
    pub(crate) pagination: Option<Arc<Pagination>>,
    pub(crate) interval: Option<Duration>,
    /// The maximum size of a response that is one value.
    pub(crate) max_one_value: usize,
    /// The delays of repeated requests at a possible end of the data.
    pub(crate) end_check_delays: &'static [Duration],
    pub(crate) limits: BatchLimits,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) source_name: Name,
    pub(crate) identity: String,
    /// The folder of the pipeline file.
    pub(crate) folder: PathBuf,
    pub(crate) request: RequestTemplate,
    pub(crate) for_each: Option<ForEach>,
    /// The endpoint of the request for the elements.
    pub(crate) list_endpoint: Option<Url>,
    pub(crate) incremental: Option<Arc<Incremental>>,
    pub(crate) unchanged: Unchanged,
    pub(crate) remap: Option<Remap>,
    pub(crate) add: Add,
    /// The hash of the options that shape records.
    pub(crate) shape: u64,
}

impl Settings {
    /// The request for the first page of a walk.
    pub(crate) fn first_request(&self) -> PageRequest {
        Pagination::first_request(self.pagination.as_deref())
    }

    /// Whether a saved request fits `pagination`.
    pub(crate) fn accepts(&self, request: &PageRequest) -> bool {
        Pagination::accepts(self.pagination.as_deref(), request)
    }

    /// Whether rows of the walk before are skipped.
    pub(crate) fn skips(&self) -> bool {
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
    pub(crate) fn time_format(&self) -> TimeFormat {
        let format = self.incremental.as_ref().and_then(|options| options.time_format());
        format.unwrap_or(TimeFormat::Rfc3339)
    }
}
