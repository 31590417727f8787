//! Whether a server keeps the condition of a write (`If-None-Match`).
//!
//! Some servers and proxies ignore the header and replace objects. So the first object of a run is compared before it
//! is written, and then written twice: the second write must be refused. This needs no other object and no other
//! right, and costs two requests. AWS keeps the condition, so nothing is tried there.
//!
//! The list of objects says whether the first one exists: a request for a missing object is denied where the right to
//! list is missing.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use bytes::Bytes;
use runner_core::{Failure, Record};
use tokio::sync::{Mutex, MutexGuard};

use super::bucket::Bucket;
use crate::shared::aws::AwsError;

/// Whether the server has shown that it keeps the condition.
#[derive(Debug)]
pub(super) struct Condition {
    is_proven: AtomicBool,
    /// Held by the write that tries it.
    trial: Mutex<()>,
}

impl Condition {
    /// `is_trusted`: no proof is needed.
    pub(super) fn new(is_trusted: bool) -> Condition {
        Condition { is_proven: AtomicBool::new(is_trusted), trial: Mutex::default() }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Waits for the write that tries the condition; `None` if it has proven it.
    pub(super) async fn trial(&self) -> Option<MutexGuard<'_, ()>> {
        let trial = self.trial.lock().await;
        (!self.is_proven()).then_some(trial)
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
