//! Crawlers: create, get, update, delete.

use serde_json::{Value, json};

use super::runs::Runs;
use super::{GLUE, Named, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Crawler, Description, now};
use crate::request::Page;

pub(super) fn create(catalogue: &Catalogue, fields: Description) -> Result<Value, Fault> {
    let text = |field| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("Name").is_empty() || text("Role").is_empty() {
        return Err(GLUE.invalid("a crawler needs a Name and a Role; offline any role works"));
    }
    let name = text("Name").to_owned();
    let policy = json!({ "UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE" });
    let mut crawler = Crawler {
        name: name.clone(),
        description: [("SchemaChangePolicy".into(), policy)].into_iter().collect(),
        created: now(),
        updated: now(),
        version: 0,
        last_crawl: None,
    };
    catalogue.change(|entries| {
        if entries.crawlers.contains_key(&name) {
            return Err(exists(format!("Crawler with name {name} already exists")));
        }
        change(&mut crawler, fields)?;
        entries.crawlers.insert(name, crawler);
        Ok(json!({}))
    })
}

pub(super) fn get(catalogue: &Catalogue, runs: &Runs, Named { name }: &Named) -> Result<Value, Fault> {
    catalogue.read(|entries| Ok(json!({ "Crawler": show(entries.crawler(name)?, runs) })))
}

pub(super) fn list(catalogue: &Catalogue, runs: &Runs, page: &Page) -> Result<Value, Fault> {
    catalogue.read(|entries| GLUE.cut(page, "Crawlers", entries.crawlers.values(), |it| show(it, runs)))
}

pub(super) fn names(catalogue: &Catalogue, page: &Page) -> Result<Value, Fault> {
    catalogue.read(|entries| GLUE.cut(page, "CrawlerNames", entries.crawlers.keys(), |name| json!(name)))
}

pub(super) fn update(catalogue: &Catalogue, runs: &Runs, fields: Description) -> Result<Value, Fault> {
    let name = fields.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned();
    catalogue.change(|entries| {
        let crawler = entries.crawler_mut(&name)?;
        runs.idle(&name)?;
        change(crawler, fields)
    })
}

pub(super) fn delete(catalogue: &Catalogue, runs: &Runs, Named { name }: &Named) -> Result<Value, Fault> {
    catalogue.change(|entries| {
        entries.crawler(name)?;
        runs.idle(name)?;
        entries.crawlers.remove(name);
        Ok(json!({}))
    })
}

/// Fields that the request lacks stay as they are.
fn change(crawler: &mut Crawler, mut fields: Description) -> Result<Value, Fault> {
    // A request has the expression only. An empty one removes the schedule.
    if let Some(Value::String(expression)) = fields.remove("Schedule") {
        crawler.description.remove("Schedule");
        let schedule = json!({ "ScheduleExpression": expression, "State": "SCHEDULED" });
        fields.extend((!expression.is_empty()).then(|| ("Schedule".into(), schedule)));
    }
    if let Some(Value::String(database)) = fields.get_mut("DatabaseName") {
        *database = database.to_lowercase();
    }
    crawler.description.extend(fields);
    if crawler.targets().map_err(|error| GLUE.invalid(error))?.is_empty() {
        return Err(GLUE
            .invalid("a crawler needs a target: Targets.S3Targets with a Path such as s3://bucket/folder/"));
    }
    crawler.updated = now();
    crawler.version += 1;
    Ok(json!({}))
}

fn show(crawler: &Crawler, runs: &Runs) -> Value {
    let mut description = crawler.description.clone();
    description.remove("Tags");
    let mut shown = Value::Object(description);
    shown["State"] = json!(runs.state(&crawler.name));
    shown["CrawlElapsedTime"] = json!(runs.elapsed(&crawler.name));
    shown["CreationTime"] = json!(crawler.created);
    shown["LastUpdated"] = json!(crawler.updated);
    shown["Version"] = json!(crawler.version);
    if let Some(last) = &crawler.last_crawl {
        shown["LastCrawl"] = last.clone();
    }
    shown
}
