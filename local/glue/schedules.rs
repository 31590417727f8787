//! Schedules: crawlers that start by the clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::GLUE;
use super::crawlers::schedule;
use super::cron::Cron;
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
    let input: Input = GLUE.read(input)?;
    catalogue.change(|shelf| {
        let crawler = shelf.crawler_mut(&input.crawler_name)?;
        crawler.last_updated = now();
        if operation == "UpdateCrawlerSchedule" {
            crawler.schedule = schedule(input.schedule.unwrap_or_default())?;
            return Ok(json!({}));
        }
        let Some(schedule) = &mut crawler.schedule else {
            return Err(GLUE.invalid(format!("crawler {} has no schedule", input.crawler_name)));
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

/// Starts crawlers when they are due after `seen`, until the runs are stopped.
pub(super) async fn keep(catalogue: Arc<Catalogue>, runs: Arc<Runs>, mut seen: DateTime<Utc>) {
    loop {
        let due = next(&catalogue, seen).into_iter().map(|(due, _)| due).min();
        let wait =
            due.map_or(LOOK_AGAIN, |due| (due - Utc::now()).to_std().unwrap_or_default()).min(LOOK_AGAIN);
        tokio::select! {
            () = runs.stop.cancelled() => return,
            () = runs.until_schedules_change() => {}
            () = tokio::time::sleep(wait) => {
                let now = Utc::now();
                let due = next(&catalogue, seen).into_iter().filter(|(due, _)| *due <= now);
                // However often a crawler was due while the clock stood still, it crawls once for all of it.
                seen = now;
                for (_, name) in due {
                    match runs.begin(&name) {
                        Ok(_) => info!("crawler `{name}` has started by its schedule"),
                        Err(fault) => warn!("crawler `{name}` is due by its schedule: {fault}"),
                    }
                }
            }
        }
    }
}

/// When each crawler with a schedule is due first after `seen`.
fn next(catalogue: &Catalogue, seen: DateTime<Utc>) -> Vec<(DateTime<Utc>, String)> {
    catalogue.read(|shelf| {
        let crawlers = shelf.crawlers.values();
        crawlers
            .filter_map(|crawler| {
                let schedule = crawler.schedule.as_ref().filter(|schedule| schedule.state == "SCHEDULED")?;
                let cron = Cron::parse(&schedule.schedule_expression).ok()?;
                // A schedule counts from its last change on: a new one has missed nothing.
                let changed = DateTime::from_timestamp_millis((crawler.last_updated * 1000.0) as i64)?;
                Some((cron.after(seen.max(changed))?, crawler.name.clone()))
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Glue;
    use crate::catalogue::Crawler;

    fn crawler(name: &str, expression: &str, changed: &str) -> Crawler {
        let changed: DateTime<Utc> = changed.parse().unwrap();
        Crawler {
            name: name.into(),
            schedule: schedule(expression.into()).unwrap(),
            last_updated: changed.timestamp() as f64,
            ..Crawler::default()
        }
    }

    #[test]
    fn a_crawl_is_due_by_the_first_time_that_its_schedule_has_not_seen() {
        let catalogue = Catalogue::open(None).unwrap();
        catalogue
            .change(|shelf| {
                for (name, expression, changed) in [
                    ("daily", "cron(0 3 * * ? *)", "2026-01-01T00:00:00Z"),
                    ("nightly", "cron(0 3 ? * * *)", "2026-01-01T00:00:00Z"),
                    ("fresh", "cron(0 2 * * ? *)", "2026-01-01T02:30:00Z"),
                ] {
                    shelf.crawlers.insert(name.into(), crawler(name, expression, changed));
                }
                Ok(())
            })
            .unwrap();
        let due = |seen: &str| -> Vec<String> {
            let due = next(&catalogue, seen.parse().unwrap());
            due.into_iter().map(|(at, name)| format!("{name} {}", at.format("%d %H:%M"))).collect()
        };
        assert_eq!(due("2026-01-01T01:00:00Z"), ["daily 01 03:00", "fresh 02 02:00", "nightly 01 03:00"]);
        assert_eq!(due("2026-01-01T03:00:00Z"), ["daily 02 03:00", "fresh 02 02:00", "nightly 02 03:00"]);
    }

    #[tokio::test]
    async fn a_crawler_that_is_due_is_started() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("lake/prices")).unwrap();
        std::fs::write(root.path().join("lake/prices/1.json"), "{\"close\":1.5}\n").unwrap();
        let glue = Glue::start(Catalogue::open(None).unwrap(), root.path().to_owned());
        let create = json!({
            "Name": "c", "Role": "r", "DatabaseName": "market", "Schedule": "cron(* * * * ? *)",
            "Targets": { "S3Targets": [{ "Path": "s3://lake/prices/" }] },
        });
        glue.call("CreateDatabase", json!({ "DatabaseInput": { "Name": "market" } })).await.unwrap();
        glue.call("CreateCrawler", create).await.unwrap();
        // Made five minutes ago, and the clock has stood still for two: one crawl makes up for both.
        let made_earlier = |shelf: &mut crate::catalogue::Shelf| {
            shelf.crawler_mut("c")?.last_updated -= 300.0;
            Ok(())
        };
        glue.catalogue.change(made_earlier).unwrap();
        let clock =
            keep(glue.catalogue.clone(), glue.runs.clone(), Utc::now() - chrono::Duration::seconds(120));
        let crawled = async {
            loop {
                let answer = glue.call("GetCrawler", json!({ "Name": "c" })).await.unwrap();
                if answer["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED" {
                    return glue
                        .call("GetTable", json!({ "DatabaseName": "market", "Name": "prices" }))
                        .await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            table = crawled => {
                assert_eq!(table.unwrap()["Table"]["Name"], "prices");
                let crawls = glue.call("ListCrawls", json!({ "CrawlerName": "c" })).await.unwrap();
                assert_eq!(crawls["Crawls"].as_array().unwrap().len(), 1, "{crawls}");
            }
            () = clock => panic!("the clock stops with the crawlers alone"),
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("nobody has started the crawler"),
        }
        glue.stop().await;
    }
}
