//! `glue_crawl`: keeps a Glue table over what the sink in front of it has stored.

mod crawler;
mod options;
mod plan;
mod rounds;
mod tables;

use std::sync::Arc;

use anyhow::anyhow;
use runner_core::{
    BuildContext, Gauges, HumanDuration, Plugin, Record, Result, ShutdownReason, Sink, SinkConfig,
    WriteError, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::crawler::Crawler;
use self::options::{Cron, Folder, SampleSize};
use self::plan::Plan;
use self::rounds::Rounds;
use crate::shared::aws::{Access, Endpoint, Service};

runner_core::register! { Plugin::sink::<GlueCrawlConfig>("glue_crawl").example(
r#"type = "glue_crawl"
inputs = ["lake"]
database = "realtime-de-db"
crawler = "stock-market-crawler"
role = "AWSGlueServiceRole-stock-market"
"#) }

/// Keeps a table in the Glue catalog over what the sink in front of it has stored.
///
/// It makes the database and the crawler where they are missing, starts a crawl half a minute
/// after the first object, then at most once per `every` and only if something new was stored,
/// and one at the end of the input, which it waits for. It reports the table and its columns.
/// A run that is stopped starts the last crawl and does not wait. Glue bills at least ten
/// minutes a crawl; new objects in a known folder are seen by SQL without one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GlueCrawlConfig {
    /// The database of the Glue catalog that the table belongs to; made if it is missing.
    database: String,
    /// The name of the crawler; made if it is missing.
    crawler: String,
    /// The role that Glue reads the bucket as, by name or ARN. It must trust `glue.amazonaws.com`,
    /// carry the policy `AWSGlueServiceRole`, and be allowed to read the bucket.
    role: String,
    /// The folder to crawl, `s3://bucket/folder/`; the table is named after it. Absent: the folder
    /// that the sink in front of this one writes to.
    #[serde(default)]
    target: Option<Folder>,
    /// Stands before the name of the table.
    #[serde(default)]
    table_prefix: String,
    /// How many objects of each folder the crawler reads, 1 to 249.
    #[serde(default)]
    sample_size: SampleSize,
    /// When Glue starts the crawler by itself, as a cron expression of Glue in UTC such as
    /// `cron(15 12 * * ? *)`; the crawls of this sink come on top. Absent: on demand alone.
    #[serde(default)]
    schedule: Option<Cron>,
    /// How long to wait from one crawl to the next while records come in; `0s`: crawl at the end only.
    #[serde(default = "default_every")]
    every: HumanDuration,
    /// Whether an existing crawler of that name is changed to what stands here. Otherwise one with
    /// another target, role or database is an error that shows the difference.
    #[serde(default)]
    update: bool,
    /// How long to wait for a crawl; `0s`: for ever.
    #[serde(default = "default_timeout")]
    timeout: HumanDuration,
    /// The address of a server other than AWS's own; absent: what `AWS_ENDPOINT_URL_GLUE`,
    /// `AWS_ENDPOINT_URL` or the profile say.
    #[serde(default)]
    endpoint: Option<Endpoint>,
    /// The region of the Glue catalog; absent: what `AWS_REGION` or the profile say.
    #[serde(default)]
    region: Option<String>,
}

fn default_every() -> HumanDuration {
    HumanDuration::from_secs(3600)
}

fn default_timeout() -> HumanDuration {
    HumanDuration::from_secs(900)
}

impl SinkConfig for GlueCrawlConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let target = match self.target {
            Some(target) => target,
            None => Folder::upstream(&context.upstream_locations)?,
        };
        let plan = Plan {
            name: self.crawler,
            database: self.database,
            role: self.role,
            target,
            table_prefix: self.table_prefix,
            sample_size: self.sample_size.into(),
            schedule: self.schedule,
        };
        Ok(Box::new(GlueCrawl {
            plan,
            every: self.every,
            timeout: self.timeout,
            update: self.update,
            endpoint: self.endpoint,
            region: self.region,
            gauges: Arc::clone(&context.gauges),
            rounds: None,
        }))
    }
}

struct GlueCrawl {
    plan: Plan,
    every: HumanDuration,
    timeout: HumanDuration,
    update: bool,
    endpoint: Option<Endpoint>,
    region: Option<String>,
    gauges: Arc<Gauges>,
    /// There once it has been opened.
    rounds: Option<Rounds<Crawler>>,
}

#[async_trait]
impl Sink for GlueCrawl {
    async fn open(&mut self) -> Result<()> {
        let access = Access::load(Service::GLUE, self.region.as_deref(), self.endpoint.as_ref()).await?;
        let crawler = Crawler::open(access, self.plan.clone(), self.update).await?;
        let (every, timeout) = (self.every.unless_zero(), self.timeout.unless_zero());
        self.rounds = Some(Rounds::new(crawler, every, timeout, Arc::clone(&self.gauges)));
        Ok(())
    }

    /// Signs at once: the records are stored already, and a crawl that comes late loses none.
    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        self.rounds()?.hear(records.len());
        Ok(())
    }

    async fn run_background(&self) -> Result<()> {
        self.rounds()?.run().await;
        Ok(())
    }

    async fn flush(&self, ending: ShutdownReason) -> Result<()> {
        let rounds = self.rounds()?;
        match ending {
            ShutdownReason::InputEnded => rounds.finish().await,
            ShutdownReason::Stopped => {
                rounds.leave().await;
                Ok(())
            }
        }
    }

    fn location(&self) -> Option<String> {
        Some(self.plan.target.as_str().to_owned())
    }

    fn keeps_records(&self) -> bool {
        false
    }

    fn is_crawler(&self) -> bool {
        true
    }

    async fn crawl(&self) -> Result<()> {
        self.rounds()?.crawl().await
    }
}

impl GlueCrawl {
    fn rounds(&self) -> Result<&Rounds<Crawler>> {
        self.rounds.as_ref().ok_or_else(|| anyhow!("the sink has not been opened"))
    }
}
