//! Runs: the crawls in progress.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

use super::Named;
use super::crawl::{self, Halt};
use crate::Fault;
use crate::catalogue::{Catalogue, now};

pub(super) struct Runs {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) objects_root: PathBuf,
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

impl Runs {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Runs {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
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

    /// Cancels all crawls and waits for them.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn cancel(&self, Named { name }: &Named) -> Result<Value, Fault> {
        self.catalogue.read(|entries| entries.crawler(name).map(drop))?;
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
    pub(super) fn begin(self: &Arc<Self>, Named { name }: &Named) -> Result<Value, Fault> {
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
            let (name, crawling) = (crawler.name.clone(), runs.clone());
            let work = runs.tasks.spawn_blocking(move || crawl::run(&crawling, &crawler, &run));
            let ended = work.await.unwrap_or_else(|panic| Err(Halt::Failed(panic.to_string())));
            runs.finish(&name, start_time, ended);
        });
        Ok(json!({}))
    }

    /// The crawl is stored before the crawler is READY: a client that waits for READY finds it.
    fn finish(&self, name: &str, start_time: f64, ended: Result<(), Halt>) {
        let (status, message) = match ended {
            Ok(()) => ("SUCCEEDED", None),
            Err(Halt::Cancelled) => ("CANCELLED", None),
            Err(Halt::Failed(message)) => ("FAILED", Some(message)),
        };
        info!("crawler `{name}`: {status} {}", message.as_deref().unwrap_or_default());
        let crawl = json!({
            "Status": status, "ErrorMessage": message, "LogGroup": "/aws-glue/crawlers", "LogStream": name,
            "MessagePrefix": Uuid::new_v4().to_string(), "StartTime": start_time,
        });
        let stored = self.catalogue.change(|entries| {
            entries.crawler_mut(name)?.last_crawl = Some(crawl);
            Ok(())
        });
        if let Err(fault) = stored {
            warn!("crawler `{name}`: its crawl could not be stored: {fault}");
        }
        self.lock().remove(name);
    }
}
