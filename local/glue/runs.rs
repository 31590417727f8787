//! Runs: the crawls that are under way, and the record of those that have ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

use super::GLUE;
use super::crawl::{self, Outcome};
use crate::Fault;
use crate::catalogue::{Catalogue, Crawl, now};
use crate::request::Page;

/// How many crawls of a crawler are remembered.
const REMEMBERED: usize = 100;

pub(super) struct Runs {
    catalogue: Arc<Catalogue>,
    objects_root: PathBuf,
    tasks: TaskTracker,
    under_way: Mutex<BTreeMap<String, Run>>,
    schedules_changed: Notify,
    pub(super) stop: CancellationToken,
}

/// A crawl that is under way.
#[derive(Clone)]
pub(super) struct Run {
    is_cancelled: Arc<AtomicBool>,
    since: Instant,
}

impl Run {
    pub(super) fn state(&self) -> &'static str {
        if self.is_cancelled.load(Ordering::Relaxed) { "STOPPING" } else { "RUNNING" }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct History {
    crawler_name: String,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(flatten)]
    page: Page,
}

/// What picks crawls.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    field_name: String,
    filter_operator: String,
    field_value: String,
}

impl Filter {
    fn check(&self) -> Result<(), Fault> {
        match (self.field_name.as_str(), self.filter_operator.as_str()) {
            ("CRAWL_ID" | "STATE", "EQ" | "NE") => Ok(()),
            (field, operator) => Err(GLUE.invalid(format!(
                "the offline Glue filters crawls by CRAWL_ID and STATE with EQ and NE, not by {field} with {operator}"
            ))),
        }
    }

    fn lets_through(&self, crawl: &Crawl) -> bool {
        let value = if self.field_name == "STATE" { state(crawl) } else { &crawl.id };
        (value == self.field_value) == (self.filter_operator == "EQ")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    #[serde(default)]
    crawler_name_list: Vec<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn call(
    catalogue: &Catalogue,
    runs: &Arc<Runs>,
    operation: &str,
    input: Value,
) -> Result<Value, Fault> {
    match operation {
        "StartCrawler" => {
            let Named { name } = GLUE.read(input)?;
            runs.begin(&name)
        }
        "StopCrawler" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.read(|shelf| shelf.crawler(&name).map(drop))?;
            runs.cancel(&name)
        }
        "ListCrawls" => {
            let History { crawler_name, filters, page } = GLUE.read(input)?;
            filters.iter().try_for_each(Filter::check)?;
            catalogue.read(|shelf| {
                let crawls = shelf.crawler(&crawler_name)?.crawls.iter().rev();
                let crawls = crawls.filter(|crawl| filters.iter().all(|it| it.lets_through(crawl)));
                GLUE.cut(&page, "Crawls", crawls, |crawl| show(&crawler_name, crawl))
            })
        }
        _ => {
            let Metrics { crawler_name_list: names, page } = GLUE.read(input)?;
            catalogue.read(|shelf| {
                let crawlers = shelf.crawlers.values();
                let wanted = crawlers.filter(|it| names.is_empty() || names.contains(&it.name));
                GLUE.cut(&page, "CrawlerMetricsList", wanted, |it| metrics(&it.name, &it.crawls))
            })
        }
    }
}

/// What the record of a crawl calls its outcome.
fn state(crawl: &Crawl) -> &str {
    match crawl.status.as_str() {
        "SUCCEEDED" => "COMPLETED",
        "CANCELLED" => "STOPPED",
        other => other,
    }
}

fn show(crawler: &str, crawl: &Crawl) -> Value {
    json!({
        "CrawlId": crawl.id, "State": state(crawl), "StartTime": crawl.start_time, "EndTime": crawl.end_time,
        "ErrorMessage": crawl.error_message, "LogGroup": "/aws-glue/crawlers", "LogStream": crawler,
        "MessagePrefix": crawl.id,
    })
}

fn metrics(name: &str, crawls: &[Crawl]) -> Value {
    let mut seconds: Vec<f64> = crawls.iter().map(|crawl| crawl.end_time - crawl.start_time).collect();
    let last = seconds.last().copied().unwrap_or_default();
    seconds.sort_by(f64::total_cmp);
    let total = |count: fn(&Crawl) -> usize| crawls.iter().map(count).sum::<usize>();
    json!({
        "CrawlerName": name, "TimeLeftSeconds": 0.0, "StillEstimating": false, "LastRuntimeSeconds": last,
        "MedianRuntimeSeconds": seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
        "TablesCreated": total(|it| it.tables_created), "TablesUpdated": total(|it| it.tables_updated),
        "TablesDeleted": total(|it| it.tables_deleted),
    })
}

impl Runs {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf, tasks: TaskTracker) -> Runs {
        let stop = CancellationToken::new();
        Runs {
            catalogue,
            objects_root,
            tasks,
            under_way: Mutex::default(),
            schedules_changed: Notify::new(),
            stop,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, name: &str) -> Option<Run> {
        self.lock().get(name).cloned()
    }

    /// Refuses what must not happen to a crawler while it crawls.
    pub(super) fn idle(&self, name: &str) -> Result<(), Fault> {
        match self.state(name) {
            Some(_) => {
                Err(Fault::new("CrawlerRunningException", format!("Crawler with name {name} is running")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn schedules_changed(&self) {
        self.schedules_changed.notify_one();
    }

    pub(super) async fn until_schedules_change(&self) {
        self.schedules_changed.notified().await;
    }

    pub(super) fn cancel_all(&self) {
        self.stop.cancel();
        for run in self.lock().values() {
            run.is_cancelled.store(true, Ordering::Relaxed);
        }
    }

    fn cancel(&self, name: &str) -> Result<Value, Fault> {
        match self.state(name) {
            None => {
                let message = format!("Crawler with name {name} isn't running");
                Err(Fault::new("CrawlerNotRunningException", message))
            }
            Some(run) if run.is_cancelled.swap(true, Ordering::Relaxed) => Err(Fault::new(
                "CrawlerStoppingException",
                format!("Crawler with name {name} is stopping already"),
            )),
            Some(_) => Ok(json!({})),
        }
    }

    /// Starts one crawl, which goes on by itself.
    pub(super) fn begin(self: &Arc<Self>, name: &str) -> Result<Value, Fault> {
        let crawler = self.catalogue.read(|shelf| shelf.crawler(name).cloned())?;
        let run = Run { is_cancelled: Arc::default(), since: Instant::now() };
        {
            let mut under_way = self.lock();
            if under_way.contains_key(name) {
                let message = format!("Crawler with name {name} has already started");
                return Err(Fault::new("CrawlerRunningException", message));
            }
            if self.stop.is_cancelled() {
                return Err(Fault::new("OperationTimeoutException", "Glue is being stopped"));
            }
            under_way.insert(name.to_owned(), run.clone());
        }
        let start_time = now();
        let runs = self.clone();
        self.tasks.spawn(async move {
            let (catalogue, root) = (runs.catalogue.clone(), runs.objects_root.clone());
            let name = crawler.name.clone();
            let work =
                runs.tasks.spawn_blocking(move || crawl::run(&catalogue, &root, &crawler, &run.is_cancelled));
            let outcome = work.await.unwrap_or_else(|panic| Outcome::failed(panic.to_string()));
            runs.finish(&name, start_time, outcome);
        });
        Ok(json!({}))
    }

    /// The record is there before the crawler is READY: who waits for that finds this crawl's outcome.
    fn finish(&self, name: &str, start_time: f64, outcome: Outcome) {
        info!("crawler `{name}`: {outcome}");
        if let Some(unread) = &outcome.unread {
            warn!("crawler `{name}`: {unread}");
        }
        let crawl = Crawl {
            id: Uuid::new_v4().to_string(),
            status: outcome.status.into(),
            error_message: outcome.message,
            start_time,
            end_time: now(),
            tables_created: outcome.created.len(),
            tables_updated: outcome.updated.len(),
            tables_deleted: outcome.deleted.len(),
        };
        let recorded = self.catalogue.change(|shelf| {
            let crawls = &mut shelf.crawler_mut(name)?.crawls;
            crawls.push(crawl);
            let n_forgotten = crawls.len().saturating_sub(REMEMBERED);
            crawls.drain(..n_forgotten);
            Ok(())
        });
        if let Err(fault) = recorded {
            warn!("crawler `{name}`: the record of its crawl is lost: {fault}");
        }
        self.lock().remove(name);
    }
}
