//! Whether a crawl is due: other runs may have started one.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::{Crawl, CrawlApi, CrawlScheduler, Status};

/// By how much the clocks of Glue and of this machine may differ: a crawl is not put off for that.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// What the crawls that others have started leave to do.
pub(super) enum Due {
    /// A crawl that has ended covers all records of this run.
    Covered,
    /// A crawl that is running covers them.
    Running(Crawl),
    /// Another crawl is running, which may miss the newest records.
    Busy,
    /// The last crawl is younger than `every`: the next one may start then.
    Later(Instant),
    /// A crawl may start.
    Now(Status),
}

impl<C: CrawlApi> CrawlScheduler<C> {
    /// What is left to do, seen that other runs may have crawled.
    pub(super) async fn due(&self, every: Option<Duration>) -> Result<Due> {
        let name = self.crawler.name();
        let status =
            self.retry(&format!("reading the status of the {name}"), || self.crawler.status()).await?;
        Ok(self.due_by(status, every))
    }

    pub(super) fn due_by(&self, status: Status, every: Option<Duration>) -> Due {
        let (last_stored, n_stored) = {
            let state = self.state();
            (state.last_stored, state.n_stored)
        };
        let covers = |started: Option<Instant>| {
            started.zip(last_stored).is_some_and(|(started, stored)| started > stored)
        };
        if !status.is_ready {
            let previous = status.last_crawl.map(|last| last.id);
            let is_enough = covers(status.running_since);
            return if is_enough { Due::Running(Crawl { previous, n_stored }) } else { Due::Busy };
        }
        if let Some(last) = &status.last_crawl {
            if last.failure.is_none() && covers(last.started) {
                let mut state = self.state();
                state.n_crawled = state.n_crawled.max(n_stored);
                return Due::Covered;
            }
            let next = last.started.zip(every).map(|(started, every)| started + every);
            if let Some(next) = next.filter(|next| *next > Instant::now() + CLOCK_TOLERANCE) {
                return Due::Later(next);
            }
        }
        Due::Now(status)
    }
}
