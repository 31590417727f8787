//! Dead letters in a bucket, for `runner dlq`: the objects in the folder of the key, one letter each.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{Failure, LetterId, LetterReader, LetterStore, StoredLetter, async_trait};
use tokio::sync::OnceCell;
use tracing::info;

use super::S3Config;
use super::bucket::Bucket;
use crate::shared::aws::{AccessOptions, AwsError};

/// The dead letters of a folder.
pub(super) struct FolderLetters {
    config: Arc<S3Config>,
    access: AccessOptions,
    bucket: OnceCell<Arc<Bucket>>,
}

/// How many letters are read at once.
const MAX_LETTERS: usize = 500;

impl FolderLetters {
    pub(super) fn new(config: Arc<S3Config>, access: AccessOptions) -> Self {
        FolderLetters { config, access, bucket: OnceCell::new() }
    }

    async fn bucket(&self) -> Result<Arc<Bucket>, Failure> {
        let connect = async || {
            let bucket = Bucket::connect(Arc::clone(&self.config), self.access.clone(), true).await;
            bucket.map(Arc::new)
        };
        Ok(Arc::clone(self.bucket.get_or_try_init(connect).await?))
    }
}

#[async_trait]
impl LetterStore for FolderLetters {
    fn location(&self) -> String {
        format!("s3://{}/{}", self.config.bucket, self.config.key.folder())
    }

    async fn read(&self) -> Result<Box<dyn LetterReader>, Failure> {
        let bucket = self.bucket().await?;
        bucket.check().await?;
        Ok(Box::new(FolderReader { bucket, keys: VecDeque::new(), after: None, is_listed: false }))
    }

    async fn begin(&self, _: Vec<LetterId>) -> Result<(), Failure> {
        info!(
            "{} cannot be locked: do not start another replay of it before this one ends, or both deliver all letters",
            self.location()
        );
        Ok(())
    }

    /// A run may replace a letter by a later one about the same record: only the version that was read is deleted.
    async fn remove(&self, letters: &[LetterId]) -> Result<(), Failure> {
        let bucket = self.bucket().await?;
        for LetterId { place: key, version } in letters {
            let (client, name) = (bucket.client(), &self.config.bucket);
            let owner = &self.config.expected_bucket_owner;
            let head = client.head_object().bucket(name).key(key).set_expected_bucket_owner(owner.clone());
            match head.send().await.map_err(AwsError::from) {
                Ok(object) if object.e_tag().is_some_and(|tag| tag == version) => {}
                Ok(_) => continue,
                Err(error) if error.status == 404 => continue,
                Err(error) => return Err(bucket.put_error("reading", key, error).await),
            }
            let delete =
                client.delete_object().bucket(name).key(key).set_expected_bucket_owner(owner.clone());
            let deleted = delete.send().await.map(drop).map_err(AwsError::from);
            bucket.put_result("deleting (this needs s3:DeleteObject)", key, deleted).await?;
        }
        Ok(())
    }

    /// Kept letters have not been deleted.
    async fn end(&self, _: &[LetterId]) -> Result<(), Failure> {
        Ok(())
    }
}

/// Reads the objects in the order of their keys.
struct FolderReader {
    bucket: Arc<Bucket>,
    keys: VecDeque<String>,
    /// The last key that was listed.
    after: Option<String>,
    is_listed: bool,
}

impl FolderReader {
    async fn list(&mut self) -> Result<(), Failure> {
        let config = &self.bucket.config;
        let list = self.bucket.client().list_objects_v2().bucket(&config.bucket).prefix(config.key.folder());
        let list = list.set_start_after(self.after.clone());
        let list = list.set_expected_bucket_owner(config.expected_bucket_owner.clone());
        let page = match list.send().await.map_err(AwsError::from) {
            Ok(page) => page,
            Err(error) => {
                return Err(self
                    .bucket
                    .put_error("listing (this needs s3:ListBucket)", config.key.folder(), error)
                    .await);
            }
        };
        self.is_listed = page.is_truncated() != Some(true);
        self.keys.extend(page.contents().iter().filter_map(|object| object.key()).map(str::to_owned));
        self.after = self.keys.back().cloned().or(self.after.take());
        // A folder that a console has created is an empty object.
        self.keys.retain(|key| !key.ends_with('/'));
        Ok(())
    }
}

#[async_trait]
impl LetterReader for FolderReader {
    async fn next(&mut self) -> Result<Vec<StoredLetter>, Failure> {
        let mut letters = Vec::new();
        while letters.len() < MAX_LETTERS {
            let Some(key) = self.keys.pop_front() else {
                if self.is_listed {
                    break;
                }
                self.list().await?;
                continue;
            };
            let config = &self.bucket.config;
            let get = self.bucket.client().get_object().bucket(&config.bucket).key(&key);
            let get = get.set_expected_bucket_owner(config.expected_bucket_owner.clone());
            let object = match get.send().await.map_err(AwsError::from) {
                Ok(object) => object,
                // Removed since it was listed.
                Err(error) if error.status == 404 => continue,
                Err(error) => return Err(self.bucket.put_error("reading", &key, error).await),
            };
            let version = object.e_tag().unwrap_or_default().to_owned();
            let bytes =
                object.body.collect().await.context("reading a dead letter").map_err(Failure::transient)?;
            letters.push(StoredLetter { id: LetterId { place: key, version }, bytes: bytes.into_bytes() });
        }
        Ok(letters)
    }
}
