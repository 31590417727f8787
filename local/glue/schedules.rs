//! Schedules: crawlers that start by the clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::crawlers::schedule;
use super::cron::Cron;
use super::request::{invalid, read};
use super::runs::Runs;
use crate::Fault;
use crate::catalogue::{Catalogue, now};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    crawler_name: String,
    #[serde(default)]
    schedule: Option<String>,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    let input: Input = read(input)?;
    catalogue.change(|shelf| {
        let crawler = shelf.crawler_mut(&input.crawler_name)?;
        crawler.last_updated = now();
        if operation == "UpdateCrawlerSchedule" {
            crawler.schedule = schedule(input.schedule.unwrap_or_default())?;
            return Ok(json!({}));
        }
        let Some(schedule) = &mut crawler.schedule else {
            return Err(invalid(format!("crawler {} has no schedule", input.crawler_name)));
        };
        let (state, already) = match operation {
            "StartCrawlerSchedule" => ("SCHEDULED", "SchedulerRunningException"),
            _ => ("NOT_SCHEDULED", "SchedulerNotRunningException"),
        };
        if schedule.state == state {
            return Err(Fault::new(
                already,
                format!("the schedule of {} is {state} already", input.crawler_name),
            ));
        }
        state.clone_into(&mut schedule.state);
        Ok(json!({}))
    })
}

/// A day: the clock of the machine may have been set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60 * 24);

/// Starts crawlers when they are due, until the runs are stopped.
pub(super) async fn keep(catalogue: Arc<Catalogue>, runs: Arc<Runs>) {
    let mut seen = Utc::now();
    loop {
        let (due, names) = next(&catalogue, seen);
        let wait =
            due.map_or(LOOK_AGAIN, |due| (due - Utc::now()).to_std().unwrap_or_default()).min(LOOK_AGAIN);
        tokio::select! {
            () = runs.stop.cancelled() => return,
            // What was changed counts from now on: a new schedule has missed nothing.
            () = runs.until_schedules_change() => seen = Utc::now(),
            () = tokio::time::sleep(wait) => {
                let Some(due) = due.filter(|due| *due <= Utc::now()) else { continue };
                seen = due;
                for name in names {
                    match runs.begin(&name) {
                        Ok(_) => info!("crawler `{name}` has started by its schedule"),
                        Err(fault) => warn!("crawler `{name}` is due by its schedule: {fault}"),
                    }
                }
            }
        }
    }
}

/// When the next crawl is due after `seen`, and whose.
fn next(catalogue: &Catalogue, seen: DateTime<Utc>) -> (Option<DateTime<Utc>>, Vec<String>) {
    let due: Vec<(DateTime<Utc>, String)> = catalogue.read(|shelf| {
        let crawlers = shelf.crawlers.values();
        crawlers
            .filter_map(|crawler| {
                let schedule = crawler.schedule.as_ref().filter(|schedule| schedule.state == "SCHEDULED")?;
                let cron = Cron::parse(&schedule.schedule_expression).ok()?;
                Some((cron.after(seen)?, crawler.name.clone()))
            })
            .collect()
    });
    let first = due.iter().map(|(at, _)| *at).min();
    (first, due.into_iter().filter(|(at, _)| Some(*at) == first).map(|(_, name)| name).collect())
}
