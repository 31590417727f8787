//! The client of one Glue crawler: creates or checks it, starts it, and reads its status.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use aws_sdk_glue::Client;
use aws_sdk_glue::primitives::DateTime;
use aws_sdk_glue::types::{
    Crawler as ExistingCrawler, CrawlerState, DatabaseInput, DeleteBehavior, LastCrawlInfo, LastCrawlStatus,
    SchemaChangePolicy, UpdateBehavior,
};
use runner_core::async_trait;
use tokio::time::{Duration, Instant, sleep};
use tracing::{info, warn};

use super::scheduler::{CrawlApi, LastCrawl, Status};
use super::settings::CrawlerSettings;
use super::tables::{self, Types};
use crate::shared::aws::{Access, AccessOptions, AwsError, ReloadingClient};

/// A crawler that exists.
pub(super) struct GlueCrawler {
    connection: ReloadingClient<Client>,
    settings: Arc<CrawlerSettings>,
    /// The types of the columns before the next crawl; `None` before the first one of the run.
    types: Mutex<Option<Types>>,
}

impl GlueCrawler {
    /// Creates the database and the crawler if they are missing.
    pub(super) async fn open(
        access: Access,
        options: AccessOptions,
        settings: Arc<CrawlerSettings>,
    ) -> Result<GlueCrawler> {
        let connection = ReloadingClient::new(access, options, client);
        let crawler = GlueCrawler { connection, settings, types: Mutex::default() };
        crawler.ensure_database().await?;
        let is_created = match crawler.describe().await {
            Err(error) if error.is("EntityNotFoundException") => crawler.create().await?,
            existing => {
                crawler.reconcile(existing).await?;
                return Ok(crawler);
            }
        };
        if !is_created {
            // Another process was faster, perhaps with another pipeline file.
            crawler.reconcile(crawler.describe().await).await?;
        }
        Ok(crawler)
    }

    async fn ensure_database(&self) -> Result<()> {
        let name = &self.settings.config.database;
        let client = self.connection.client();
        match client.get_database().name(name).send().await.map_err(AwsError::from) {
            Ok(_) => return Ok(()),
            Err(error) if error.is("EntityNotFoundException") => {}
            Err(error) => return Err(self.open_error(error, &format!("looking for the database `{name}`"))),
        }
        let input = DatabaseInput::builder().name(name).build().context("describing the database")?;
        let create = client.create_database().database_input(input).send().await;
        self.created(create.map_err(AwsError::from), &format!("database `{name}`")).map(drop)
    }

    async fn create(&self) -> Result<bool> {
        let (settings, config) = (&*self.settings, &self.settings.config);
        let create = self
            .connection
            .client()
            .create_crawler()
            .name(&config.crawler)
            .description("Created by runner")
            .role(&config.role)
            .database_name(&config.database)
            .targets(settings.targets())
            .table_prefix(&config.table_prefix)
            .set_schedule(config.schedule.clone())
            .schema_change_policy(schema_change_policy())
            .configuration(settings.configuration());
        self.created(create.send().await.map_err(AwsError::from), &self.name())
    }

    /// False if another process has created it first.
    fn created<T>(&self, created: Result<T, AwsError>, what: &str) -> Result<bool> {
        match created {
            Ok(_) => {
                info!("created the {what}");
                Ok(true)
            }
            Err(error) if error.is("AlreadyExistsException") => Ok(false),
            Err(error) => Err(self.open_error(error, &format!("creating the {what}"))),
        }
    }

    /// Compares an existing crawler with the pipeline file.
    async fn reconcile(&self, existing: Result<ExistingCrawler, AwsError>) -> Result<()> {
        let looking = |error| self.open_error(error, &format!("looking for the {}", self.name()));
        let differences = self.settings.differences(&existing.map_err(looking)?);
        if differences.is_empty() {
            return Ok(());
        }
        let list: Vec<&str> = differences.iter().map(|difference| &*difference.text).collect();
        let list = list.join("; ");
        if self.settings.config.update {
            return self.update(&list).await;
        }
        if differences.iter().any(|difference| difference.is_serious) {
            bail!(
                "{} exists with other settings: {list}; choose another name in `crawler`, or set `update = true` to \
                 change the crawler",
                self.name()
            );
        }
        warn!(
            "{} exists with other settings and is not changed: {list}; set `update = true` to change it",
            self.name()
        );
        Ok(())
    }

    async fn update(&self, differences: &str) -> Result<()> {
        let (settings, config) = (&*self.settings, &self.settings.config);
        let (started, timeout) = (Instant::now(), config.timeout.unless_zero());
        let mut is_waiting = false;
        loop {
            let update = self
                .connection
                .client()
                .update_crawler()
                .name(&config.crawler)
                .role(&config.role)
                .database_name(&config.database)
                .targets(settings.targets())
                .table_prefix(&config.table_prefix)
                // An empty schedule removes the existing one.
                .schedule(config.schedule.as_deref().unwrap_or_default())
                .schema_change_policy(schema_change_policy())
                .configuration(settings.configuration());
            match update.send().await.map_err(AwsError::from) {
                Ok(_) => {
                    info!("changed the {}: {differences}", self.name());
                    return Ok(());
                }
                Err(error) if error.is("CrawlerRunningException") => {
                    if let Some(timeout) = timeout.filter(|timeout| started.elapsed() >= *timeout) {
                        bail!(
                            "the {} cannot be changed (`update = true`) while it is running, and it has been running for \
                             {timeout:?} (`timeout`): stop it (`aws glue stop-crawler --name {}`), or start the run again \
                             when it has ended",
                            self.name(),
                            config.crawler
                        );
                    }
                    if !std::mem::replace(&mut is_waiting, true) {
                        info!("the {} cannot be changed while it is running: waiting", self.name());
                    }
                    sleep(Duration::from_secs(5).min(timeout.unwrap_or(Duration::MAX))).await;
                }
                Err(error) => return Err(self.open_error(error, &format!("changing the {}", self.name()))),
            }
        }
    }

    async fn describe(&self) -> Result<ExistingCrawler, AwsError> {
        let find = || async {
            let found =
                self.connection.client().get_crawler().name(&self.settings.config.crawler).send().await?;
            Ok(found.crawler.unwrap_or_else(|| ExistingCrawler::builder().build()))
        };
        let found = find().await;
        if self.reload_after_denial(&found).await { find().await } else { found }
    }

    /// After a denial loads the credentials again; whether the call is to be made once more.
    async fn reload_after_denial<T: Sync>(&self, answer: &Result<T, AwsError>) -> bool {
        answer.as_ref().is_err_and(AwsError::is_denied) && self.connection.reload().await
    }

    fn open_error(&self, error: AwsError, action: &str) -> Error {
        let text = error.to_string();
        let role = &self.settings.config.role;
        if text.contains("iam:PassRole") {
            return anyhow!(error).context(format!(
                "{action}: these credentials may not pass the role `{role}` to Glue; they need iam:PassRole on it, \
                 with glue.amazonaws.com as the service"
            ));
        }
        if text.contains("assume") && text.contains("role") {
            return anyhow!(error).context(format!(
                "{action}: Glue cannot assume the role `{role}`: it must exist and trust glue.amazonaws.com; a new \
                 role can be used after some seconds"
            ));
        }
        error.into_open_failure(&self.connection.access, action).into()
    }

    fn last_crawl(&self, last: &LastCrawlInfo) -> LastCrawl {
        let started = last.start_time().map(ToString::to_string).unwrap_or_default();
        let id = format!("{started} {}", last.message_prefix().unwrap_or_default());
        let has_failed =
            matches!(last.status(), None | Some(LastCrawlStatus::Failed | LastCrawlStatus::Cancelled));
        LastCrawl {
            id,
            started: last.start_time().and_then(started_at),
            failure: has_failed.then(|| self.failure(last)),
        }
    }

    fn failure(&self, last: &LastCrawlInfo) -> String {
        let status = last.status().map_or("no status", LastCrawlStatus::as_str);
        let message = last.error_message().unwrap_or("Glue returned no reason");
        let hint = if message.contains("kms:") || message.contains("KMS") {
            format!("; the role `{}` needs kms:Decrypt on the key of the bucket", self.settings.config.role)
        } else if message.to_lowercase().contains("denied") {
            let (role, bucket) = (&self.settings.config.role, self.settings.target.bucket());
            format!("; the role `{role}` needs s3:GetObject and s3:ListBucket on `{bucket}`")
        } else {
            String::new()
        };
        format!("{status}: {message}{hint}{}", self.log_of(last))
    }

    /// Reads the types of the columns, unless a crawl of this run has. Without them no change is reported.
    async fn note_types(&self) {
        if self.types().is_none() {
            let found = tables::find(&self.connection.client(), &self.settings).await;
            *self.types() = Some(found.unwrap_or_default().types);
        }
    }

    fn types(&self) -> MutexGuard<'_, Option<Types>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the log of a crawl is; other servers than AWS's own do not write one.
    fn log_of(&self, last: &LastCrawlInfo) -> String {
        if self.connection.access.is_other_server() {
            return String::new();
        }
        let group = last.log_group().unwrap_or("/aws-glue/crawlers");
        let stream = last.log_stream().unwrap_or(&self.settings.config.crawler);
        format!("; log: `aws logs tail {group} --log-stream-names {stream} --since 1h`")
    }
}

#[async_trait]
impl CrawlApi for GlueCrawler {
    async fn status(&self) -> Result<Status, AwsError> {
        let found = self.describe().await?;
        let is_ready = found.state() == Some(&CrawlerState::Ready);
        // Zero if Glue has not begun to count.
        let elapsed =
            u64::try_from(found.crawl_elapsed_time()).ok().filter(|millis| *millis > 0 && !is_ready);
        let running_since =
            elapsed.and_then(|millis| Instant::now().checked_sub(Duration::from_millis(millis)));
        let last_crawl = found.last_crawl().map(|last| self.last_crawl(last));
        Ok(Status { is_ready, running_since, last_crawl })
    }

    async fn start(&self) -> Result<bool, AwsError> {
        self.note_types().await;
        let start = || async {
            let start = self.connection.client().start_crawler().name(&self.settings.config.crawler);
            start.send().await.map_err(AwsError::from)
        };
        let started = start().await;
        let started = if self.reload_after_denial(&started).await { start().await } else { started };
        match started {
            Ok(_) => Ok(true),
            Err(error) if error.is("CrawlerRunningException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tables(&self) -> Result<Vec<String>, AwsError> {
        let tables = tables::find(&self.connection.client(), &self.settings).await?;
        let before = self.types().replace(tables.types.clone()).unwrap_or_default();
        tables::warn_of_types(&before, &tables.types);
        let tables = tables.lines;
        if tables.is_empty() {
            let (target, role) = (&self.settings.target, &self.settings.config.role);
            warn!(
                "the {} has found no table: most likely {target} is empty, or the role `{role}` may not read it (it \
                 needs s3:GetObject and s3:ListBucket on `{}`; the policy AWSGlueServiceRole covers only buckets \
                 named aws-glue-*), or the objects are not JSON",
                self.name(),
                target.bucket()
            );
        }
        Ok(tables)
    }

    fn name(&self) -> String {
        format!("crawler `{}`", self.settings.config.crawler)
    }

    fn error(&self, error: AwsError) -> Error {
        error.into_error(&self.connection.access)
    }
}

fn client(access: &Access) -> Client {
    let mut config = aws_sdk_glue::config::Builder::from(&access.config);
    config.set_endpoint_url(access.endpoint.clone());
    Client::from_conf(config.build())
}

/// When a crawl has started, on the clock of this process.
fn started_at(time: &DateTime) -> Option<Instant> {
    let age = SystemTime::now().duration_since(SystemTime::try_from(*time).ok()?);
    Instant::now().checked_sub(age.unwrap_or_default())
}

/// Adds new columns to the table; keeps a table whose objects were deleted.
fn schema_change_policy() -> SchemaChangePolicy {
    SchemaChangePolicy::builder()
        .update_behavior(UpdateBehavior::UpdateInDatabase)
        .delete_behavior(DeleteBehavior::Log)
        .build()
}

#[cfg(test)]
mod tests;
