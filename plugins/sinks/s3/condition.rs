//! Checks that a server supports conditional writes (`If-None-Match`).
//!
//! Some servers and proxies ignore the header and replace objects. So the first object of a run is compared with an
//! existing one before it is written, and then written twice: the server must refuse the second write. This needs no
//! additional object and no additional permission, and costs two requests. AWS supports the header, so nothing is
//! checked there.
//!
//! Whether the first object exists is looked up in a list, since without the permission to list a server denies a
//! request for a missing object.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Class, Failure, Record};
use tokio::sync::{Mutex, MutexGuard};

use super::bucket::Bucket;
use crate::shared::aws::AwsError;

/// Whether the server has shown that it supports conditional writes.
#[derive(Debug)]
pub(super) struct Condition {
    is_checked: AtomicBool,
    /// How many checks have failed with an error that is retried.
    n_failed: AtomicU64,
    /// Held by the write that checks it. Holds why the last check failed.
    check: Mutex<Option<Reason>>,
}

/// A failure that can be given to several writes.
#[derive(Debug)]
struct Reason {
    class: Class,
    text: String,
    retry_after: Option<Duration>,
}

/// The check, which one write at a time makes.
pub(super) struct Check<'a> {
    condition: &'a Condition,
    last: MutexGuard<'a, Option<Reason>>,
}

impl Check<'_> {
    /// Ends the check. If it has failed with an error that is retried, the writes that wait for it fail with it too.
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
    /// `is_trusted`: nothing is checked.
    pub(super) fn new(is_trusted: bool) -> Condition {
        Condition {
            is_checked: AtomicBool::new(is_trusted),
            n_failed: AtomicU64::default(),
            check: Mutex::default(),
        }
    }

    pub(super) fn is_checked(&self) -> bool {
        self.is_checked.load(Ordering::Relaxed)
    }

    /// Waits for the write that makes the check; `None` if it has succeeded. If it has failed, this write fails with it:
    /// the waiting writes would otherwise repeat the failing check one after another.
    pub(super) async fn check(&self) -> Result<Option<Check<'_>>, Failure> {
        let n_failed = self.n_failed.load(Ordering::Relaxed);
        let last = self.check.lock().await;
        if self.is_checked() {
            return Ok(None);
        }
        if self.n_failed.load(Ordering::Relaxed) != n_failed
            && let Some(Reason { class, text, retry_after }) = &*last
        {
            let error = anyhow!("not written yet, because the first write to the bucket has failed: {text}");
            return Err(Failure::new(*class, error).with_retry_after(*retry_after));
        }
        Ok(Some(Check { condition: self, last }))
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

    /// Stores the object of a record, and checks that the server supports conditional writes. Replaces no object.
    pub(super) async fn put_first(&self, key: &str, body: &Bytes, record: &Record) -> Result<(), Failure> {
        let object = match self.is_missing(key).await {
            Ok(true) => None,
            // Without the permission to list, request the object itself.
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
                self.condition.is_checked.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.put_error("writing", key, error).await),
            Ok(()) => Err(Failure::fatal(anyhow!(
                "{} ignores the condition of a write (If-None-Match): it wrote s3://{}/{key} twice. So it would replace \
                 objects that have other content, which `overwrite = \"same\"` (the default) rules out. Use a newer \
                 version of the server, or no proxy that removes the header; or set `overwrite = \"always\"` to write \
                 without this protection",
                self.access().location(),
                self.config.bucket
            ))),
        }
    }
}
