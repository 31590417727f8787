//! A store: S3 over a folder. A bucket is a folder, an object is a plain file in its bucket.
//!
//! `s3s` implements the protocol. The store keeps no content types and no checksums, and metadata in memory only.

mod calls;
mod listing;
mod metadata;
mod object;
#[cfg(test)]
mod tests;
mod uploads;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use s3s::access::S3Access;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};

use self::metadata::UserMetadata;
use crate::keys::Keys;

/// The folder of staged objects and uploads; it is not a valid bucket name.
const STAGE: &str = ".stage";

/// The buckets in one folder. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Buckets>);

struct Buckets {
    root: PathBuf,
    /// Held while an object is checked and replaced or removed, so that only one conditional PUT succeeds, and while a
    /// bucket is removed, so that it stays empty.
    changes: Mutex<()>,
    metadata: UserMetadata,
}

impl Store {
    /// Opens the store in a folder, which is created if it is missing; fails if the folder is not writable.
    pub fn open(root: &Path) -> Result<Store> {
        let what = || format!("storing objects in the folder {}", root.display());
        fs::create_dir_all(root).with_context(what)?;
        let root = root.canonicalize().with_context(what)?;
        // What a store has left that was killed.
        match fs::remove_dir_all(root.join(STAGE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(what),
            _ => fs::create_dir(root.join(STAGE)).with_context(what)?,
        }
        Ok(Store(Arc::new(Buckets { root, changes: Mutex::default(), metadata: UserMetadata::default() })))
    }

    /// Creates a bucket unless it exists.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        match fs::create_dir(self.0.root.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("creating the bucket {name} in {}", self.0.root.display()))
            }
            _ => Ok(()),
        }
    }

    /// The folder with the buckets.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Answers requests that are signed with these keys.
    pub fn service(&self, keys: &Keys) -> S3Service {
        self.builder(keys).build()
    }

    /// Like [`Store::service`], but `access` checks every request first, signed or not.
    pub fn guarded_service(&self, keys: &Keys, access: impl S3Access) -> S3Service {
        let mut builder = self.builder(keys);
        builder.set_access(access);
        builder.build()
    }

    fn builder(&self, keys: &Keys) -> S3ServiceBuilder {
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(Known(keys.clone()));
        builder
    }
}

/// The accepted keys.
struct Known(Keys);

#[async_trait]
impl S3Auth for Known {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.access_key {
            return Ok(self.0.secret_key.as_str().into());
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        ))
    }
}
