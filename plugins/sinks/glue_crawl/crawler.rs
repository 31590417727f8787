//! A crawler of Glue: made where it is missing, compared where it is there, started and looked at.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use aws_sdk_glue::Client;
use aws_sdk_glue::error::SdkError;
use aws_sdk_glue::types::{
    Crawler as Description, CrawlerState, DatabaseInput, DeleteBehavior, LastCrawlInfo, LastCrawlStatus,
    SchemaChangePolicy, UpdateBehavior,
};
use runner_core::async_trait;
use tokio::time::{Duration, sleep};
use tracing::{info, warn};

use super::options::Cron;
#[cfg(test)]
use super::options::Folder;
use super::plan::{Difference, Plan};
use super::rounds::{Crawl, Crawls, Look};
use super::tables;
use crate::shared::aws::{Access, Service, Trouble};

/// A crawler that exists.
pub(super) struct Crawler {
    client: Client,
    access: Access,
    plan: Plan,
    /// Some may start crawlers but not read their history.
    may_read_history: AtomicBool,
}

impl Crawler {
    /// Makes the database and the crawler where they are missing.
    pub(super) async fn open(access: Access, plan: Plan, update: bool) -> Result<Crawler> {
        let mut config = aws_sdk_glue::config::Builder::from(&access.config);
        config.set_endpoint_url(access.endpoint.clone());
        let client = Client::from_conf(config.build());
        let crawler = Crawler { client, access, plan, may_read_history: AtomicBool::new(true) };
        crawler.ensure_database().await?;
        match crawler.describe().await {
            Ok(found) => crawler.reconcile(&found, update).await?,
            Err(trouble) if trouble.is("EntityNotFoundException") => crawler.create().await?,
            Err(trouble) => return Err(crawler.on_open(trouble, "looking for the crawler")),
        }
        Ok(crawler)
    }

    async fn ensure_database(&self) -> Result<()> {
        let name = &self.plan.database;
        let Err(error) = self.client.get_database().name(name).send().await else { return Ok(()) };
        let trouble = Trouble::of(&error);
        if !trouble.is("EntityNotFoundException") {
            return Err(self.on_open(trouble, &format!("looking for the database `{name}`")));
        }
        let input = DatabaseInput::builder().name(name).build().context("describing the database")?;
        match self.client.create_database().database_input(input).send().await {
            Ok(_) => info!("created the database `{name}`"),
            Err(error) => {
                let trouble = Trouble::of(&error);
                if !trouble.is("AlreadyExistsException") {
                    return Err(self.on_open(trouble, &format!("creating the database `{name}`")));
                }
            }
        }
        Ok(())
    }

    async fn create(&self) -> Result<()> {
        let plan = &self.plan;
        let create = self
            .client
            .create_crawler()
            .name(&plan.name)
            .description("Made by runner")
            .role(&plan.role)
            .database_name(&plan.database)
            .targets(plan.targets())
            .table_prefix(&plan.table_prefix)
            .set_schedule(plan.schedule.as_ref().map(|cron| cron.as_str().to_owned()))
            .schema_change_policy(schema_change_policy())
            .configuration(plan.configuration());
        match create.send().await {
            Ok(_) => info!("created {} over {}", self.name(), plan.target),
            Err(error) => {
                let trouble = Trouble::of(&error);
                if !trouble.is("AlreadyExistsException") {
                    return Err(self.on_open(trouble, "creating the crawler"));
                }
            }
        }
        Ok(())
    }

    /// An existing crawler has to be the one that was asked for, unless we may make it so.
    async fn reconcile(&self, found: &Description, update: bool) -> Result<()> {
        let differences = self.plan.differences(found);
        if differences.is_empty() {
            return Ok(());
        }
        let list = differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ");
        if update {
            return self.update(&list).await;
        }
        if differences.iter().any(|difference| difference.is_serious) {
            bail!(
                "{} exists and is another one: {list}; choose another name in `crawler`, or set `update = true` to \
                 change it",
                self.name()
            );
        }
        warn!("{} exists and is kept as it is: {list}; `update = true` would change it", self.name());
        Ok(())
    }

    async fn update(&self, list: &str) -> Result<()> {
        let plan = &self.plan;
        loop {
            let update = self
                .client
                .update_crawler()
                .name(&plan.name)
                .role(&plan.role)
                .database_name(&plan.database)
                .targets(plan.targets())
                .table_prefix(&plan.table_prefix)
                // An empty schedule takes the old one away.
                .schedule(plan.schedule.as_ref().map_or("", Cron::as_str))
                .schema_change_policy(schema_change_policy())
                .configuration(plan.configuration());
            let Err(error) = update.send().await else {
                info!("changed {}: {list}", self.name());
                return Ok(());
            };
            let trouble = Trouble::of(&error);
            if !trouble.is("CrawlerRunningException") {
                return Err(self.on_open(trouble, "changing the crawler"));
            }
            info!("{} is running and can be changed only afterwards: waiting", self.name());
            sleep(Duration::from_secs(5)).await;
        }
    }

    async fn describe(&self) -> Result<Description, Trouble> {
        let found = self.client.get_crawler().name(&self.plan.name).send().await;
        let found = found.map_err(|error| Trouble::of(&error))?;
        Ok(found.crawler.unwrap_or_else(|| Description::builder().build()))
    }

    /// Asks for the newest entry of the crawler's history. Nothing depends on the answer, but
    /// there are servers (moto) whose crawls go on only while somebody reads their history.
    async fn read_history(&self) {
        if !self.may_read_history.load(Ordering::Relaxed) {
            return;
        }
        let history = self.client.list_crawls().crawler_name(&self.plan.name).max_results(1);
        match history.send().await {
            Ok(history) => {
                let newest = history.crawls().first();
                tracing::debug!(state = ?newest.and_then(|crawl| crawl.state()), "{} runs", self.name());
            }
            Err(error) => {
                tracing::debug!("{}: no history: {}", self.name(), Trouble::of(&error));
                self.may_read_history.store(false, Ordering::Relaxed);
            }
        }
    }

    fn on_open(&self, trouble: Trouble, what: &str) -> Error {
        let text = trouble.to_string();
        let plan = &self.plan;
        if text.contains("iam:PassRole") {
            return anyhow!(trouble).context(format!(
                "{what}: these credentials may not hand the role `{}` to Glue; they need iam:PassRole on it, with \
                 glue.amazonaws.com as the service",
                plan.role
            ));
        }
        if text.contains("assume") && text.contains("role") {
            return anyhow!(trouble).context(format!(
                "{what}: Glue cannot take on the role `{}`: it must exist and trust glue.amazonaws.com; a new role \
                 needs some seconds",
                plan.role
            ));
        }
        trouble.on_open(Service::GLUE, &self.access, &format!("{what} of {}", self.name()))
    }
}

#[async_trait]
impl Crawls for Crawler {
    async fn look(&self) -> Result<Look> {
        let mut found = self.describe().await?;
        if found.state() == Some(&CrawlerState::Running) {
            self.read_history().await;
            found = self.describe().await?;
        }
        let is_ready = found.state() == Some(&CrawlerState::Ready);
        Ok(Look { is_ready, last: found.last_crawl().map(|last| self.crawl(last)) })
    }

    async fn start(&self) -> Result<bool> {
        let Err(error) = self.client.start_crawler().name(&self.plan.name).send().await else {
            return Ok(true);
        };
        let is_running =
            matches!(&error, SdkError::ServiceError(it) if it.err().is_crawler_running_exception());
        if is_running { Ok(false) } else { Err(Trouble::of(&error).into()) }
    }

    async fn tables(&self) -> Result<Vec<String>> {
        tables::find(&self.client, &self.plan).await
    }

    fn name(&self) -> String {
        format!("crawler `{}`", self.plan.name)
    }

    fn place(&self) -> String {
        self.access.place()
    }

    fn why_no_table(&self) -> String {
        let Plan { target, role, .. } = &self.plan;
        format!(
            "most likely nothing lies in {target} yet, or the role `{role}` may not read it (it needs s3:GetObject \
             and s3:ListBucket on `{}`; the policy AWSGlueServiceRole covers buckets named aws-glue-* only), or the \
             objects are not JSON",
            target.bucket()
        )
    }
}

impl Crawler {
    fn crawl(&self, last: &LastCrawlInfo) -> Crawl {
        let started = last.start_time().map(ToString::to_string).unwrap_or_default();
        let id = format!("{started} {}", last.message_prefix().unwrap_or_default());
        let went_well = match last.status() {
            Some(LastCrawlStatus::Succeeded) => true,
            // What the history calls the same.
            Some(other) => other.as_str() == "COMPLETED",
            None => false,
        };
        Crawl { id, failure: (!went_well).then(|| self.failure(last)) }
    }

    fn failure(&self, last: &LastCrawlInfo) -> String {
        let status = last.status().map_or("no status", LastCrawlStatus::as_str);
        let message = last.error_message().unwrap_or("Glue gives no reason");
        let group = last.log_group().unwrap_or("/aws-glue/crawlers");
        let stream = last.log_stream().unwrap_or(&self.plan.name);
        let hint = if message.to_lowercase().contains("denied") {
            format!(
                "; the role `{}` needs s3:GetObject and s3:ListBucket on `{}`",
                self.plan.role,
                self.plan.target.bucket()
            )
        } else {
            String::new()
        };
        format!(
            "{status}: {message}{hint}; its log: `aws logs tail {group} --log-stream-names {stream} --since 1h`"
        )
    }
}

/// Columns that come are added; a table whose objects have gone is left alone.
fn schema_change_policy() -> SchemaChangePolicy {
    SchemaChangePolicy::builder()
        .update_behavior(UpdateBehavior::UpdateInDatabase)
        .delete_behavior(DeleteBehavior::Log)
        .build()
}

#[cfg(test)]
mod tests;
