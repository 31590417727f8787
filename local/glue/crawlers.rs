//! Crawlers: create, get, update, delete.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::runs::Runs;
use super::{GLUE, Named, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Crawl, Crawler, Entries, Schedule, Target, Targets, now};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: String,
    role: Option<String>,
    targets: Option<Targets>,
    database_name: Option<String>,
    table_prefix: Option<String>,
    /// Only the expression; answers have a structure.
    schedule: Option<String>,
    configuration: Option<String>,
    schema_change_policy: Option<std::collections::BTreeMap<String, String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

pub(super) fn call(
    catalogue: &Catalogue,
    runs: &Runs,
    operation: &str,
    input: Value,
) -> Result<Value, Fault> {
    match operation {
        "CreateCrawler" => create(catalogue, GLUE.read(input)?),
        "UpdateCrawler" => update(catalogue, runs, GLUE.read(input)?),
        "GetCrawler" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.read(|entries| Ok(json!({ "Crawler": show(entries.crawler(&name)?, runs) })))
        }
        "DeleteCrawler" => {
            let Named { name } = GLUE.read(input)?;
            catalogue.change(|entries| {
                entries.crawler(&name)?;
                runs.idle(&name)?;
                entries.crawlers.remove(&name);
                Ok(json!({}))
            })
        }
        "ListCrawlers" => {
            let page: Page = GLUE.read(input)?;
            catalogue
                .read(|entries| GLUE.cut(&page, "CrawlerNames", entries.crawlers.keys(), |name| json!(name)))
        }
        _ => {
            let page: Page = GLUE.read(input)?;
            catalogue
                .read(|entries| GLUE.cut(&page, "Crawlers", entries.crawlers.values(), |it| show(it, runs)))
        }
    }
}

fn create(catalogue: &Catalogue, input: Input) -> Result<Value, Fault> {
    if input.role.as_ref().is_none_or(String::is_empty) {
        return Err(GLUE.invalid("a crawler needs a Role; offline any name works"));
    }
    catalogue.change(|entries| {
        if entries.crawlers.contains_key(&input.name) {
            return Err(exists(format!("Crawler with name {} already exists", input.name)));
        }
        let targets = input.targets.clone().unwrap_or_default();
        check(&targets)?;
        let name = input.name.clone();
        let mut crawler = Crawler { name: name.clone(), creation_time: now(), ..Crawler::default() };
        crawler.schema_change_policy.insert("UpdateBehavior".into(), "UPDATE_IN_DATABASE".into());
        crawler.schema_change_policy.insert("DeleteBehavior".into(), "DEPRECATE_IN_DATABASE".into());
        change(&mut crawler, input)?;
        entries.crawlers.insert(name, crawler);
        Ok(json!({}))
    })
}

fn update(catalogue: &Catalogue, runs: &Runs, input: Input) -> Result<Value, Fault> {
    catalogue.change(|entries: &mut Entries| {
        let crawler = entries.crawler_mut(&input.name)?;
        runs.idle(&input.name)?;
        change(crawler, input)?;
        Ok(json!({}))
    })
}

/// Fields that the input lacks stay as they are.
fn change(crawler: &mut Crawler, input: Input) -> Result<(), Fault> {
    if let Some(targets) = input.targets {
        check(&targets)?;
        crawler.targets = targets;
    }
    if let Some(configuration) = input.configuration {
        let is_json = configuration.is_empty() || serde_json::from_str::<Value>(&configuration).is_ok();
        if !is_json {
            return Err(GLUE.invalid("the Configuration is not JSON"));
        }
        crawler.configuration = Some(configuration);
    }
    if let Some(expression) = input.schedule {
        crawler.schedule = schedule(expression)?;
    }
    if let Some(role) = input.role {
        crawler.role = role;
    }
    // Glue lowers the case of database names.
    crawler.database_name = input.database_name.map(|it| it.to_lowercase()).or(crawler.database_name.take());
    crawler.table_prefix = input.table_prefix.or(crawler.table_prefix.take());
    crawler.schema_change_policy.extend(input.schema_change_policy.unwrap_or_default());
    crawler.rest.extend(input.rest);
    crawler.last_updated = now();
    crawler.version += 1;
    Ok(())
}

/// An empty expression removes the schedule.
fn schedule(expression: String) -> Result<Option<Schedule>, Fault> {
    if expression.is_empty() {
        return Ok(None);
    }
    let fields = expression.strip_prefix("cron(").and_then(|it| it.strip_suffix(')'));
    if fields.is_none_or(|fields| fields.split_whitespace().count() != 6) {
        return Err(
            GLUE.invalid(format!("the Schedule `{expression}` is not like cron(0 3 * * ? *), with 6 fields"))
        );
    }
    Ok(Some(Schedule { schedule_expression: expression, state: "SCHEDULED".into() }))
}

fn check(targets: &Targets) -> Result<(), Fault> {
    if targets.s3.is_empty() {
        return Err(GLUE
            .invalid("a crawler needs a target: Targets.S3Targets with a Path such as s3://bucket/folder/"));
    }
    for Target { path, .. } in &targets.s3 {
        let has_bucket =
            path.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !has_bucket {
            return Err(GLUE.invalid(format!("`{path}` is not an S3 path: write s3://bucket/folder/")));
        }
    }
    Ok(())
}

fn show(crawler: &Crawler, runs: &Runs) -> Value {
    let mut shown = json!(crawler);
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("Crawls");
        shown.remove("Tags");
    }
    shown["State"] = json!(runs.state(&crawler.name));
    shown["CrawlElapsedTime"] = json!(runs.elapsed(&crawler.name));
    if let Some(last) = crawler.crawls.last() {
        shown["LastCrawl"] = last_crawl(&crawler.name, last);
    }
    shown
}

fn last_crawl(crawler: &str, crawl: &Crawl) -> Value {
    json!({
        "Status": crawl.status, "ErrorMessage": crawl.error_message, "LogGroup": "/aws-glue/crawlers",
        "LogStream": crawler, "MessagePrefix": crawl.id, "StartTime": crawl.start_time,
    })
}
