//! Objects as files: their paths, and how they are staged, stored and removed.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use s3s::dto::{ETag, ETagCondition, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use tempfile::NamedTempFile;

use super::{Buckets, STAGE};

impl Buckets {
    /// The folder of a bucket that exists.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.root.join(bucket);
        if s3s::path::check_bucket_name(bucket) && path.is_dir() {
            return Ok(path);
        }
        Err(no_such_bucket(bucket))
    }

    /// The path of an object, which need not exist.
    pub(super) fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let folder = self.bucket(bucket)?;
        check_key(key)?;
        Ok(folder.join(key))
    }

    /// The path and the metadata of an object that exists.
    pub(super) fn find(&self, bucket: &str, key: &str) -> S3Result<(PathBuf, Metadata)> {
        let path = self.path(bucket, key)?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && !key.ends_with('/') => Ok((path, metadata)),
            _ => Err(s3_error!(NoSuchKey, "The specified key does not exist: {key}")),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new file that is not an object yet. Others may read it, unlike other temporary files.
    pub(super) fn staged_file(&self) -> S3Result<NamedTempFile> {
        let permissions = fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(permissions).tempfile_in(self.root.join(STAGE));
        file.map_err(failed)
    }

    /// Writes the content of an object to a staged file.
    pub(super) async fn stage(&self, body: Option<StreamingBlob>) -> S3Result<NamedTempFile> {
        let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let mut file = self.staged_file()?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            file.write_all(&bytes).map_err(failed)?;
        }
        Ok(file)
    }

    /// Makes a staged file an object if the conditions are met, and returns its `ETag`.
    pub(super) fn store(
        &self,
        file: NamedTempFile,
        (bucket, key): (&str, &str),
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<ETag> {
        // DeleteBucket waits; only another program can remove the folder meanwhile.
        let _lock = self.lock();
        let (root, path) = (self.bucket(bucket)?, self.path(bucket, key)?);
        let existing = fs::metadata(&path).ok().filter(Metadata::is_file).map(|it| e_tag(&it));
        if if_match.is_some() && existing.is_none() {
            return Err(s3_error!(NoSuchKey, "If-Match names a missing object: {key}"));
        }
        if if_match.is_some_and(|it| !meets(it, existing.as_ref())) {
            return Err(s3_error!(PreconditionFailed, "The object has another ETag: {key}"));
        }
        if if_none_match.is_some_and(|it| meets(it, existing.as_ref())) {
            return Err(s3_error!(PreconditionFailed, "The object exists already: {key}"));
        }
        let conflict = |what: &str| {
            s3_error!(InvalidRequest, "Objects are files here: there cannot be an object {key} and {what}.")
        };
        if path.is_dir() {
            return Err(conflict("objects below it"));
        }
        if let Some(folder) = path.parent() {
            create_folders(&root, folder).map_err(|error| match error.kind() {
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                    conflict("one with a prefix of its key")
                }
                ErrorKind::NotFound => no_such_bucket(bucket),
                _ => failed(error),
            })?;
        }
        let stored = file.persist(&path).map_err(|error| match error.error.kind() {
            ErrorKind::NotFound => no_such_bucket(bucket),
            _ => failed(error.error),
        })?;
        Ok(e_tag(&stored.metadata().map_err(failed)?))
    }

    /// Removes an object, if it exists, and the folders that are empty then.
    pub(super) fn remove(&self, bucket: &str, key: &str) -> S3Result<()> {
        let (folder, path) = (self.bucket(bucket)?, self.path(bucket, key)?);
        let _lock = self.lock();
        match fs::remove_file(&path) {
            Err(error) if path.is_file() => return Err(failed(error)),
            _ => {}
        }
        for empty in path.ancestors().skip(1).take_while(|it| *it != folder) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn no_such_bucket(bucket: &str) -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist: {bucket}")
}

/// Creates the folders between a bucket and an object, and never the bucket, which may have been removed meanwhile.
fn create_folders(bucket: &Path, folder: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|it| *it != bucket).collect();
    while let Some(folder) = missing.pop() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The longest name of a file or folder.
const MAX_SEGMENT_BYTES: usize = 255;

/// Refuses keys that are not a plain path: a file system would read them as another path.
fn check_key(key: &str) -> S3Result<()> {
    let path = key.strip_suffix('/').unwrap_or(key);
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    if path.split('/').any(|segment| segment.len() > MAX_SEGMENT_BYTES) {
        return Err(s3_error!(
            KeyTooLongError,
            "A part of the key between two slashes has more than {MAX_SEGMENT_BYTES} bytes, the longest name of a file here."
        ));
    }
    if !key.contains('\0') && path.split('/').all(is_plain) {
        return Ok(());
    }
    Err(s3_error!(
        InvalidArgument,
        "The key {key:?} is not a plain path: objects are files here, so it cannot have `.`, `..` or nothing between slashes."
    ))
}

/// Changes with every write of an object. Unlike the `ETag` of S3 it is not an MD5 sum, which would read the whole file.
pub(super) fn e_tag(metadata: &Metadata) -> ETag {
    let written = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    ETag::Strong(format!("{written:x}{:x}-{:x}", metadata.ino(), metadata.len()))
}

/// Whether an object with this `ETag`, or a missing one, meets a condition.
fn meets(condition: &ETagCondition, e_tag: Option<&ETag>) -> bool {
    match condition {
        ETagCondition::Any => e_tag.is_some(),
        ETagCondition::ETag(wanted) => e_tag.is_some_and(|it| it.weak_cmp(wanted)),
    }
}

/// The error of the operating system as an answer.
pub(super) fn failed(error: io::Error) -> S3Error {
    let message = format!("The folder of the offline cloud cannot be used: {error}");
    S3Error::with_message(S3ErrorCode::InternalError, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_with_a_part_that_is_too_long_for_a_file_is_refused() {
        let code = |key: &str| check_key(key).unwrap_err().code().clone();
        assert_eq!(code(&format!("a/{}/b", "x".repeat(256))), S3ErrorCode::KeyTooLongError);
        assert_eq!(code("a//b"), S3ErrorCode::InvalidArgument);
        check_key(&format!("a/{}/b", "x".repeat(255))).unwrap();
    }

    #[test]
    fn folders_are_created_below_a_bucket_that_exists_only() {
        let root = tempfile::tempdir().unwrap();
        let bucket = root.path().join("bucket");
        let folder = bucket.join("a/b");
        assert_eq!(create_folders(&bucket, &folder).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!bucket.exists());

        fs::create_dir(&bucket).unwrap();
        create_folders(&bucket, &folder).unwrap();
        create_folders(&bucket, &folder).unwrap();
        assert!(folder.is_dir());

        fs::write(folder.join("object"), "x").unwrap();
        let below = folder.join("object");
        assert_eq!(create_folders(&bucket, &below).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
