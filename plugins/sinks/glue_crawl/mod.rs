//! `glue_crawl`: keeps a Glue table over what the upstream sink has stored.

mod crawler;
mod options;
mod scheduler;
mod settings;
mod tables;

use std::sync::Arc;

use anyhow::anyhow;
use runner_core::{
    Background, Batch, BuildContext, CrawlerDefinition, Failure, Gauges, HumanDuration, OptionError,
    OptionErrors, Plugin, Result, Sink, SinkConfig, StopReason, Warnings, WriteError, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::crawler::GlueCrawler;
use self::options::{Folder, check_schedule};
use self::scheduler::CrawlScheduler;
use self::settings::CrawlerSettings;
use crate::shared::aws::{Access, AccessOptions, Endpoint, Role, RoleArn};

runner_core::register! { Plugin::sink::<GlueCrawlConfig>("glue_crawl").example(
r#"type = "glue_crawl"
inputs = ["lake"]
database = "realtime-de-db"
crawler = "stock-market-crawler"
role = "AWSGlueServiceRole-stock-market"
"#) }

/// Keeps a table in the Glue catalog over the objects that the upstream sink has stored.
///
/// The sink creates the database and the crawler if they are missing. It starts a crawl half a minute after
/// the first object, then at most once per `every` and only if new objects were stored. At the end of the
/// input it starts a last crawl, waits for it, and reports the table and its columns. A run that is stopped
/// starts a crawl only if the last one is older than `every`, and does not wait for it.
///
/// Several runs may share a crawler, as the members of a consumer group do. A run starts no crawl if another
/// run has started one that is newer than its objects. Glue bills at least ten minutes per crawl. SQL queries
/// see new objects in a known folder without a crawl.
///
/// The upstream sink rejects records that Athena could not read, because one of them makes every query over
/// the table fail.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GlueCrawlConfig {
    /// The database of the Glue catalog for the table; created if it is missing.
    database: String,
    /// The name of the crawler; created if it is missing.
    crawler: String,
    /// The role of the crawler, by name or ARN. It must trust `glue.amazonaws.com` and be allowed to read the
    /// objects and to write the table and its log (`docs/aws/crawler.json`).
    role: String,
    /// The folder to crawl, `s3://bucket/folder/`; the table is named after it. Default: the folder
    /// that the upstream sink writes to, without folders such as `year=2024`, which become columns.
    #[serde(default)]
    target: Option<Folder>,
    /// A prefix for the name of the table.
    #[serde(default)]
    table_prefix: String,
    /// How many objects of each folder the crawler reads, 1 to 249.
    #[serde(default = "default_sample_size")]
    #[schemars(range(min = 1, max = 249))]
    sample_size: i32,
    /// A schedule on which Glue also starts the crawler by itself: a cron expression of Glue in UTC, such
    /// as `cron(15 12 * * ? *)`. Default: none.
    #[serde(default)]
    #[schemars(extend("pattern" = r"^\s*cron\(.*\)\s*$|\$\{"))]
    schedule: Option<String>,
    /// The minimum time between the starts of two crawls while records arrive, also if different runs start
    /// them; `0s`: crawl only at the end.
    #[serde(default = "default_every")]
    every: HumanDuration,
    /// Whether to change an existing crawler of that name to these options. Otherwise an existing crawler
    /// with another target, role, database or prefix is an error that shows the difference. A crawler that
    /// is running is waited for, at most for `timeout`.
    #[serde(default)]
    update: bool,
    /// How long to wait for a crawl; `0s`: no timeout.
    #[serde(default = "default_timeout")]
    timeout: HumanDuration,
    /// The URL of a server other than AWS's own. Default: `AWS_ENDPOINT_URL_GLUE`, `AWS_ENDPOINT_URL`
    /// or the profile.
    #[serde(default)]
    endpoint: Option<Endpoint>,
    /// The region of the Glue catalog. Default: `AWS_REGION` or the profile.
    #[serde(default)]
    region: Option<String>,
    /// The role with which the sink calls Glue, by ARN, not the role of the crawler. The credentials that were
    /// found must be allowed to assume it. Default: no role.
    #[serde(default)]
    assume_role: Option<RoleArn>,
    /// The external ID that the trust policy of the role requires. Default: none.
    #[serde(default)]
    external_id: Option<String>,
}

fn default_sample_size() -> i32 {
    100
}

fn default_every() -> HumanDuration {
    HumanDuration::from_secs(3600)
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(900)
}

impl SinkConfig for GlueCrawlConfig {
    fn build(mut self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let mut errors = Vec::new();
        if !(1..=249).contains(&self.sample_size) {
            let message =
                format!("a crawler reads 1 to 249 objects of each folder, not {}", self.sample_size);
            errors.push(OptionError::new("sample_size", message));
        }
        self.schedule = self.schedule.map(|text| text.trim().to_owned());
        if let Some(Err(message)) = self.schedule.as_deref().map(check_schedule) {
            errors.push(OptionError::new("schedule", message));
        }
        let target = match self.target.take() {
            Some(target) => Ok(target),
            None => Folder::upstream(&context.upstream.locations),
        };
        let role = Role::of(self.assume_role.clone(), self.external_id.clone());
        let role = role.map_err(|error| errors.push(error)).ok().flatten();
        let target = OptionErrors::with(errors, target)?;
        warn_of_target(&target, &context.upstream.locations, &context.warnings);
        let access = AccessOptions { region: self.region.clone(), endpoint: self.endpoint.clone(), role };
        let settings = Arc::new(CrawlerSettings { target, config: self });
        Ok(Box::new(GlueCrawl { settings, access, gauges: Arc::clone(&context.gauges), scheduler: None }))
    }
}

/// Warns of a crawl of more, or of other objects than the sinks before it store.
fn warn_of_target(target: &Folder, locations: &[String], warnings: &Warnings) {
    if target.depth() == 1 {
        let bucket = target.bucket();
        let message = format!(
            "the crawler reads the whole bucket `{bucket}`: everything in it becomes rows and columns of one table. \
             Begin the `key` of the sink before it with a folder, as in \"stocks/\", unless the bucket holds nothing else"
        );
        warnings.add(OptionError::new("target", message));
    }
    if let Some(other) = locations.iter().find(|location| !target.contains(location)) {
        let message = format!("the crawler reads {target}, but the sink before it writes to {other}");
        warnings.add(OptionError::new("target", message));
    }
}

struct GlueCrawl {
    settings: Arc<CrawlerSettings>,
    access: AccessOptions,
    gauges: Arc<Gauges>,
    /// Set by `open`.
    scheduler: Option<CrawlScheduler<GlueCrawler>>,
}

#[async_trait]
impl Sink for GlueCrawl {
    async fn open(&mut self) -> Result<(), Failure> {
        let config = &self.settings.config;
        let access = Box::pin(Access::load("Glue", &self.access)).await?;
        let crawler = GlueCrawler::open(access, self.access.clone(), Arc::clone(&self.settings)).await?;
        let (every, timeout) = (config.every.unless_zero(), config.timeout.unless_zero());
        self.scheduler = Some(CrawlScheduler::new(crawler, every, timeout, Arc::clone(&self.gauges)));
        Ok(())
    }

    /// Acknowledges at once: the upstream sink has stored the records, and a late crawl loses none.
    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        self.scheduler()?.add_records(batch.len());
        Ok(())
    }

    async fn flush(&self, reason: StopReason) -> Result<(), Failure> {
        let scheduler = self.scheduler()?;
        if reason.is_completed() {
            scheduler.finish().await?;
        } else {
            scheduler.stop().await;
        }
        Ok(())
    }

    fn location(&self) -> Option<String> {
        Some(self.settings.target.as_str().to_owned())
    }

    fn stores_records(&self) -> bool {
        false
    }

    fn background(&self) -> Option<&dyn Background> {
        Some(self)
    }

    fn crawler(&self) -> Option<&dyn runner_core::Crawler> {
        Some(self)
    }
}

#[async_trait]
impl Background for GlueCrawl {
    async fn run(&self) -> Result<(), Failure> {
        self.scheduler()?.run().await;
        Ok(())
    }
}

#[async_trait]
impl runner_core::Crawler for GlueCrawl {
    fn definition(&self) -> CrawlerDefinition {
        let (config, target) = (&self.settings.config, self.settings.target.as_str());
        let endpoint = config.endpoint.as_ref().map(Endpoint::as_str).unwrap_or_default();
        let region = config.region.as_deref().unwrap_or_default();
        let account = config.assume_role.as_ref().map(RoleArn::as_str).unwrap_or_default();
        let (database, role) = (config.database.to_lowercase(), settings::role_name(&config.role));
        let prefix = match &*config.table_prefix {
            "" => String::new(),
            prefix => format!(", table_prefix `{prefix}`"),
        };
        CrawlerDefinition {
            id: format!("{} {region} {endpoint} {account}", config.crawler),
            option: "crawler",
            target: target.to_owned(),
            settings: format!("target {target}, database `{database}`, role `{role}`{prefix}"),
        }
    }

    async fn crawl(&self) -> Result<(), Failure> {
        Ok(self.scheduler()?.crawl().await?)
    }
}

impl GlueCrawl {
    fn scheduler(&self) -> Result<&CrawlScheduler<GlueCrawler>> {
        self.scheduler.as_ref().ok_or_else(|| anyhow!("the sink has not been opened"))
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::context;
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn config(changes: &Value) -> GlueCrawlConfig {
        let mut options = json!({
            "database": "realtime-de-db", "crawler": "stock-market-crawler",
            "role": "AWSGlueServiceRole-stock-market", "target": "s3://lake/stockmarket_project/",
        });
        let changes = changes.as_object().unwrap().clone();
        options.as_object_mut().unwrap().extend(changes);
        serde_json::from_value(options).unwrap()
    }

    pub(super) fn settings(changes: &Value) -> CrawlerSettings {
        let config = config(changes);
        CrawlerSettings { target: config.target.clone().unwrap(), config }
    }

    #[test]
    fn invalid_sample_size_and_schedule_are_rejected() {
        config(&json!({ "sample_size": 249 })).build(&context()).unwrap();
        config(&json!({ "schedule": " cron(15 12 * * ? *) " })).build(&context()).unwrap();
        for (option, value) in [
            ("sample_size", json!(0)),
            ("sample_size", json!(250)),
            ("sample_size", json!(-1)),
            ("schedule", json!("hourly")),
        ] {
            let error = config(&json!({ option: value })).build(&context()).err().unwrap();
            assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, option, "{error:#}");
        }
    }
}
