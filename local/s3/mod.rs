//! A store: S3 over a folder. A bucket is a folder in it, an object a plain file in its bucket.
//!
//! `s3s` speaks the protocol and `s3s-fs` keeps the objects, with the `ETag` and the headers of each in
//! side-cars: dotfiles beside the buckets. What `s3s-fs` does otherwise than S3 is mended here.

mod calls;
mod copies;
mod folders;
mod listing;
mod names;
mod object;
mod puts;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use s3s::access::S3Access;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;

use crate::keys::Keys;
use folders::Folders;
use object::Locks;

/// The buckets in one folder. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Shelf>);

struct Shelf {
    root: PathBuf,
    files: FileSystem,
    locks: Locks,
    folders: Folders,
}

impl Store {
    /// Opens the store in this folder, which is made if it is missing; fails where nothing can be written.
    pub fn open(root: &Path) -> Result<Store> {
        let what = || format!("keeping objects in the folder {}", root.display());
        fs::create_dir_all(root).with_context(what)?;
        // Better now than at the first object.
        tempfile::Builder::new().prefix(".tmp.").tempfile_in(root).with_context(what)?;
        let root = root.canonicalize().with_context(what)?;
        puts::clear_stage(&root).with_context(what)?;
        let files =
            FileSystem::new(&root).map_err(|error| anyhow::anyhow!("{error:?}")).with_context(what)?;
        Ok(Store(Arc::new(Shelf { root, files, locks: Locks::default(), folders: Folders::default() })))
    }

    /// Makes a bucket, or leaves the one of this name as it is.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        ensure!(s3s::path::check_bucket_name(name), "{name:?} is no name for a bucket");
        match fs::create_dir(self.0.root.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("making the bucket {name} in {}", self.0.root.display()))
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

    /// Like [`Store::service`], but `access` looks at each request first, be it signed or not.
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

/// Who may ask.
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
