//! Runs: the crawls in progress, and the history of those that have ended.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

use super::crawl::{self, Outcome};
use super::{GLUE, Named};
use crate::Fault;
use crate::catalogue::{Catalogue, Crawl, now};
use crate::request::Page;

/// How many crawls of a crawler are kept.
const MAX_KEPT: usize = 100;

pub(super) struct Runs {
    catalogue: Arc<Catalogue>,
    objects_root: PathBuf,
    tasks: TaskTracker,
    /// The crawls in progress, by the names of their crawlers.
    running: Mutex<BTreeMap<String, Run>>,
    stop: CancellationToken,
}

/// A crawl in progress.
struct Run {
    started: Instant,
    stop: CancellationToken,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct History {
    crawler_name: String,
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
            catalogue.read(|entries| entries.crawler(&name).map(drop))?;
            runs.cancel(&name)
        }
        _ => {
            let History { crawler_name, page } = GLUE.read(input)?;
            catalogue.read(|entries| {
                let crawls = entries.crawler(&crawler_name)?.crawls.iter().rev();
                GLUE.cut(&page, "Crawls", crawls, |crawl| show(&crawler_name, crawl))
            })
        }
    }
}

/// The name of a status in the history.
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

impl Runs {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf, tasks: TaskTracker) -> Runs {
        let stop = CancellationToken::new();
        Runs { catalogue, objects_root, tasks, running: Mutex::default(), stop }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, name: &str) -> &'static str {
        match self.lock().get(name) {
            None => "READY",
            Some(run) if run.stop.is_cancelled() => "STOPPING",
            Some(_) => "RUNNING",
        }
    }

    /// How long the crawl in progress has been running, in milliseconds; 0 if there is none.
    pub(super) fn elapsed(&self, name: &str) -> u64 {
        let elapsed = |run: &Run| u64::try_from(run.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.lock().get(name).map_or(0, elapsed)
    }

    /// Fails while the crawler is running.
    pub(super) fn idle(&self, name: &str) -> Result<(), Fault> {
        match self.state(name) {
            "READY" => Ok(()),
            _ => Err(Fault::new("CrawlerRunningException", format!("Crawler with name {name} is running"))),
        }
    }

    pub(super) fn cancel_all(&self) {
        self.stop.cancel();
    }

    fn cancel(&self, name: &str) -> Result<Value, Fault> {
        let fault = |code, what| Err(Fault::new(code, format!("Crawler with name {name} {what}")));
        match self.lock().get(name) {
            None => fault("CrawlerNotRunningException", "isn't running"),
            Some(run) if run.stop.is_cancelled() => fault("CrawlerStoppingException", "is already stopping"),
            Some(run) => {
                run.stop.cancel();
                Ok(json!({}))
            }
        }
    }

    /// Starts one crawl in the background.
    pub(super) fn begin(self: &Arc<Self>, name: &str) -> Result<Value, Fault> {
        let crawler = self.catalogue.read(|entries| entries.crawler(name).cloned())?;
        let run = self.stop.child_token();
        match self.lock().entry(name.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(Run { started: Instant::now(), stop: run.clone() });
            }
            Entry::Occupied(_) => {
                let message = format!("Crawler with name {name} has already started");
                return Err(Fault::new("CrawlerRunningException", message));
            }
        }
        let start_time = now();
        let runs = self.clone();
        self.tasks.spawn(async move {
            let (catalogue, root) = (runs.catalogue.clone(), runs.objects_root.clone());
            let name = crawler.name.clone();
            let work = runs.tasks.spawn_blocking(move || crawl::run(&catalogue, &root, &crawler, &run));
            let outcome = work.await.unwrap_or_else(|panic| Outcome::failed(panic.to_string()));
            runs.finish(&name, start_time, outcome);
        });
        Ok(json!({}))
    }

    /// The history is written before the crawler is READY: a client that waits for READY finds this crawl.
    fn finish(&self, name: &str, start_time: f64, outcome: Outcome) {
        info!("crawler `{name}`: {outcome}");
        let crawl = Crawl {
            id: Uuid::new_v4().to_string(),
            status: outcome.status.into(),
            error_message: outcome.message,
            start_time,
            end_time: now(),
        };
        let recorded = self.catalogue.change(|entries| {
            let crawls = &mut entries.crawler_mut(name)?.crawls;
            crawls.push(crawl);
            let n_dropped = crawls.len().saturating_sub(MAX_KEPT);
            crawls.drain(..n_dropped);
            Ok(())
        });
        if let Err(fault) = recorded {
            warn!("crawler `{name}`: its crawl could not be added to the history: {fault}");
        }
        self.lock().remove(name);
    }
}
