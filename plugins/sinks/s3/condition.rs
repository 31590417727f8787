//! Whether a server keeps the condition of a write (`If-None-Match`).
//!
//! Some servers and proxies ignore the header and replace objects. So the first object of a run is compared before it
//! is written, and then written twice: the second write must be refused. This needs no other object and no other
//! right, and costs two requests. AWS keeps the condition, so nothing is tried there.
//!
//! The list of objects says whether the first one exists: a request for a missing object is denied where the right to
//! list is missing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Class, Failure, Record};
use tokio::sync::{Mutex, MutexGuard};

use super::bucket::Bucket;
use crate::shared::aws::AwsError;

/// Whether the server has shown that it keeps the condition.
#[derive(Debug)]
pub(super) struct Condition {
    is_proven: AtomicBool,
    /// How many trials have failed in a way that a retry may mend.
    n_failed: AtomicU64,
    /// Held by the write that tries it. Why the last of these trials failed.
    trial: Mutex<Option<Reason>>,
}

/// A failure that can be given to several writes.
#[derive(Debug)]
struct Reason {
    class: Class,
    text: String,
    retry_after: Option<Duration>,
}

/// The right to try the condition.
pub(super) struct Trial<'a> {
    condition: &'a Condition,
    last: MutexGuard<'a, Option<Reason>>,
}

impl Trial<'_> {
    /// Ends the trial. The writes that wait for it share a failure that a retry may mend.
    pub(super) fn end(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(failure) = &outcome
            && failure.is_retryable()
        {
            *self.last = Some(Reason {
                class: failure.class(),
                text: format!("{:#}", failure.error()),
                retry_after: failure.retry_after(),
            });
            self.condition.n_failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl Condition {
    /// `is_trusted`: no proof is needed.
    pub(super) fn new(is_trusted: bool) -> Condition {
        Condition {
            is_proven: AtomicBool::new(is_trusted),
            n_failed: AtomicU64::default(),
            trial: Mutex::default(),
        }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Waits for the write that tries the condition; `None` if it has proven it. If it failed, this one fails with
    /// it: many writes that wait would otherwise repeat the failure one after the other.
    pub(super) async fn trial(&self) -> Result<Option<Trial<'_>>, Failure> {
        let n_failed = self.n_failed.load(Ordering::Relaxed);
        let last = self.trial.lock().await;
        if self.is_proven() {
            return Ok(None);
        }
        if self.n_failed.load(Ordering::Relaxed) != n_failed
            && let Some(Reason { class, text, retry_after }) = &*last
        {
            let error = anyhow!("not tried, since the write of another object has failed: {text}");
            return Err(Failure::new(*class, error).with_retry_after(*retry_after));
        }
        Ok(Some(Trial { condition: self, last }))
    }
}

impl Bucket {
    /// Whether the bucket has no object of this name.
    async fn is_missing(&self, key: &str) -> Result<bool, AwsError> {
        let list = self.client().list_objects_v2().bucket(&self.config.bucket).prefix(key).max_keys(1);
        let list = list.set_expected_bucket_owner(self.config.expected_bucket_owner.clone()).send().await?;
        // Of the names that begin with the key, the key itself is the first one.
        Ok(list.contents().first().is_none_or(|first| first.key() != Some(key)))
    }

    /// Stores the object of a record, and proves that the server keeps the condition. Until then it replaces no object.
    pub(super) async fn put_and_prove(
        &self,
        key: &str,
        body: &Bytes,
        record: &Record,
    ) -> Result<(), Failure> {
        let object = match self.is_missing(key).await {
            Ok(true) => None,
            // Without the right to list, the object itself says it.
            _ => match self.existing(key).await {
                Ok(object) => Some(object),
                Err(error) if error.status == 404 || error.is_denied() => None,
                Err(error) => return Err(self.put_error("reading", key, error).await),
            },
        };
        match object {
            Some(object) => Box::pin(self.compare(object, key, body, record)).await?,
            None => self.put_if_none_exists(key, body, record).await?,
        }
        match self.put_object(key, body, record, true).await {
            Err(error) if error.status == 412 => {
                self.set_stored();
                self.condition.is_proven.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.put_error("writing", key, error).await),
            Ok(()) => Err(Failure::fatal(anyhow!(
                "{} ignores the condition of a write (If-None-Match): it wrote s3://{}/{key} twice. So it would replace \
                 objects that have other content, which `overwrite = \"same\"` (the default) rules out. Use a newer \
                 version of the server, or no proxy that removes the header; or set `overwrite = \"always\"` to write \
                 without this protection",
                self.access.location(),
                self.config.bucket
            ))),
        }
    }
}
