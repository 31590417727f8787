//! An object as it lies in the folder: found, locked, made room for and removed.

use std::fs;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::folders::{holds_a_file, remove_empty};
use super::{Shelf, names};

const SHARES: usize = 256;

/// One lock for a share of all keys each, so that only uses of one object surely wait for each other.
///
/// An object and its side-cars are several files: without locks a reader could see the bytes of one writer
/// with the checksum of another, and two conditional writers could both win.
pub(super) struct Locks([RwLock<()>; SHARES]);

impl Default for Locks {
    fn default() -> Self {
        Locks(std::array::from_fn(|_| RwLock::default()))
    }
}

impl Locks {
    pub(super) async fn read(&self, bucket: &str, key: &str) -> RwLockReadGuard<'_, ()> {
        self.0[share(bucket, key)].read().await
    }

    pub(super) async fn write(&self, bucket: &str, key: &str) -> RwLockWriteGuard<'_, ()> {
        self.0[share(bucket, key)].write().await
    }

    /// The lock of a copy's source and of its target. Always in the same order, or two copies could
    /// wait for each other.
    pub(super) async fn both(
        &self,
        from: (&str, &str),
        to: (&str, &str),
    ) -> [Option<RwLockWriteGuard<'_, ()>>; 2] {
        let (from, to) = (share(from.0, from.1), share(to.0, to.1));
        let first = self.0[from.min(to)].write().await;
        let second = if from == to { None } else { Some(self.0[from.max(to)].write().await) };
        [Some(first), second]
    }
}

fn share(bucket: &str, key: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((bucket, key));
    hash as usize % SHARES
}

impl Shelf {
    /// The folder of a bucket that exists.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        // A copy's source is a name that nobody looked at before.
        if s3s::path::check_bucket_name(bucket) && path.is_dir() {
            return Ok(path);
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist: {bucket}"))
    }

    /// Where an object lies or would lie.
    pub(super) fn place(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let folder = self.bucket(bucket)?;
        names::check(key)?;
        Ok(folder.join(key))
    }

    /// Where an object lies that exists. To be called under its lock.
    pub(super) fn find(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = self.place(bucket, key)?;
        match fs::metadata(&path) {
            Ok(object) if object.is_file() && !key.ends_with('/') => {
                let sums = names::sums(&self.root, bucket, key);
                if is_stale(&object, &sums) {
                    remove_file(&sums).map_err(refusal)?;
                }
                Ok(path)
            }
            _ => Err(s3_error!(NoSuchKey, "The specified key does not exist: {key}")),
        }
    }

    /// Makes room for an object's file, where only folders without objects are in the way.
    pub(super) fn make_room(&self, bucket: &str, key: &str) -> S3Result<()> {
        let folder = self.bucket(bucket)?;
        let path = folder.join(key);
        if path.is_dir() && !key.ends_with('/') {
            if holds_a_file(&path).map_err(refusal)? {
                return Err(s3_error!(
                    InvalidRequest,
                    "There are objects below {key}/, so there cannot be an object {key} here: objects are kept as \
                     files, and a folder of that name is in the way."
                ));
            }
            remove_empty(&path).map_err(refusal)?;
        }
        let taken = if key.ends_with('/') { path.as_path() } else { path.parent().unwrap_or(&folder) };
        let taken = taken.ancestors().take_while(|it| *it != folder).find(|it| it.is_file());
        let Some(taken) = taken.and_then(|it| it.strip_prefix(&folder).ok()) else { return Ok(()) };
        Err(s3_error!(
            InvalidRequest,
            "There is an object {}, so there cannot be an object {key} here: objects are kept as files, and a file \
             cannot be a folder too.",
            taken.display()
        ))
    }

    /// Removes an object, if it is there, with all that lies beside it. To be called under its lock.
    pub(super) fn remove(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.place(bucket, key)?;
        if key.ends_with('/') {
            // A folder that is not empty stands for its objects and stays.
            return match fs::remove_dir(&path) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(refusal(error)),
                _ => Ok(()),
            };
        }
        if path.is_file() {
            remove_file(&path).map_err(refusal)?;
            remove_file(&names::sums(&self.root, bucket, key)).map_err(refusal)?;
            remove_file(&names::headers(&self.root, bucket, key)).map_err(refusal)?;
        }
        Ok(())
    }

    /// The `ETag` of an object, as PUT answered it.
    pub(super) fn e_tag(
        &self,
        bucket: &str,
        key: &str,
        path: &Path,
        object: &fs::Metadata,
    ) -> io::Result<String> {
        let sums = names::sums(&self.root, bucket, key);
        if !is_stale(object, &sums)
            && let Ok(text) = fs::read(&sums)
            && let Ok(sums) = serde_json::from_slice::<serde_json::Value>(&text)
            && let Some(e_tag) = sums["e_tag"].as_str()
        {
            return Ok(e_tag.to_owned());
        }
        md5(path)
    }
}

/// Whether an object was written after its sums: behind the store's back, or in a store that was killed
/// between the two. The sums are then not of these bytes.
fn is_stale(object: &fs::Metadata, sums: &Path) -> bool {
    let Ok(sums) = fs::metadata(sums) else { return false };
    matches!((object.modified(), sums.modified()), (Ok(object), Ok(sums)) if object > sums)
}

/// In hexadecimal.
pub(super) fn md5(path: &Path) -> io::Result<String> {
    let mut sum = Sum(Md5::new());
    io::copy(&mut fs::File::open(path)?, &mut sum)?;
    Ok(sum.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Sum(Md5);

impl io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the operating system said, as an answer.
pub(super) fn refusal(error: io::Error) -> S3Error {
    let message = format!("The folder of the offline cloud cannot be used: {error}");
    S3Error::with_message(S3ErrorCode::InternalError, message)
}

/// Lets an error of `s3s-fs` say its cause, which it would keep to itself.
pub(super) fn spoken(mut error: S3Error) -> S3Error {
    let cause = error.source().map(|source| source.to_string());
    if let (None, Some(cause)) = (error.message(), cause) {
        error.set_message(format!("The folder of the offline cloud cannot be used: {cause}"));
    }
    error
}

/// Whether an object that has this `ETag`, or that is missing, meets a condition.
pub(super) fn fits(condition: &ETagCondition, e_tag: Option<&ETag>) -> bool {
    match condition {
        ETagCondition::Any => e_tag.is_some(),
        ETagCondition::ETag(wanted) => e_tag.is_some_and(|it| it.weak_cmp(wanted)),
    }
}
