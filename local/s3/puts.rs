//! A put: an object that comes whole.
//!
//! Its bytes are taken in aside, however long its writer takes, and move to their place at once under the lock
//! of the key. So nobody waits for a slow writer, and an object stays as it is if its successor comes damaged.

use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use s3s::dto::{ETag, ETagCondition, PutObjectInput, PutObjectOutput};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::object::{fits, refusal, remove_file, spoken};
use super::{Shelf, names};

/// The folder of objects that are on their way; no bucket can have this name.
const STAGE: &str = ".stage";

/// The files of an object on its way; what is left of them when this is dropped, is removed.
struct Staged<'a> {
    root: &'a Path,
    id: String,
    has_moved: bool,
}

impl Staged<'_> {
    fn content(&self) -> PathBuf {
        self.root.join(STAGE).join(&self.id)
    }

    /// To be called under the lock of the key.
    fn move_to(mut self, target: &Path, bucket: &str, key: &str) -> io::Result<()> {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(self.content(), target)?;
        let (headers, sums) = (names::headers, names::sums);
        fs::rename(headers(self.root, STAGE, &self.id), headers(self.root, bucket, key))?;
        fs::rename(sums(self.root, STAGE, &self.id), sums(self.root, bucket, key))?;
        self.has_moved = true;
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.has_moved {
            return;
        }
        // A file that stays is cleared away at the next start.
        drop(remove_file(&self.content()));
        drop(remove_file(&names::headers(self.root, STAGE, &self.id)));
        drop(remove_file(&names::sums(self.root, STAGE, &self.id)));
    }
}

/// Removes what a store that was killed has left on its way.
pub(super) fn clear_stage(root: &Path) -> io::Result<()> {
    if !root.join(STAGE).is_dir() {
        return Ok(());
    }
    let left = names::side_cars_of(STAGE);
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&left) {
            remove_file(&entry.path())?;
        }
    }
    fs::remove_dir_all(root.join(STAGE))
}

impl Shelf {
    pub(super) async fn put(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let target = self.place(&request.input.bucket, &request.input.key)?;
        names::check_length(&request.input.bucket, &request.input.key, false)?;
        if request.input.key.ends_with('/') {
            // A folder, such as consoles make: it holds nothing that could come slowly or damaged.
            self.make_room(&request.input.bucket, &request.input.key)?;
            return self.files.put_object(request).await.map_err(spoken);
        }
        let (wanted, unwanted) = (request.input.if_match.take(), request.input.if_none_match.take());
        let staged = Staged { root: &self.root, id: Uuid::new_v4().to_string(), has_moved: false };
        let bucket = mem::replace(&mut request.input.bucket, STAGE.into());
        let key = mem::replace(&mut request.input.key, staged.id.clone());

        // Who has lost already need not send everything; but only the look under the lock decides.
        self.check_put(&bucket, &key, wanted.as_ref(), unwanted.as_ref())?;
        let answer = self.files.put_object(request).await.map_err(spoken)?;
        let _alone = self.locks.write(&bucket, &key).await;
        self.check_put(&bucket, &key, wanted.as_ref(), unwanted.as_ref())?;
        self.make_room(&bucket, &key)?;
        staged.move_to(&target, &bucket, &key).map_err(refusal)?;
        Ok(answer)
    }

    fn check_put(
        &self,
        bucket: &str,
        key: &str,
        wanted: Option<&ETagCondition>,
        unwanted: Option<&ETagCondition>,
    ) -> S3Result<()> {
        if wanted.is_none() && unwanted.is_none() {
            return Ok(());
        }
        let path = self.place(bucket, key)?;
        let object = fs::metadata(&path).ok().filter(|it| it.is_file());
        let e_tag =
            object.map(|object| self.e_tag(bucket, key, &path, &object)).transpose().map_err(refusal)?;
        let e_tag = e_tag.map(ETag::Strong);
        if wanted.is_some() && e_tag.is_none() {
            return Err(s3_error!(NoSuchKey, "If-Match names an object that is not there: {key}"));
        }
        if wanted.is_some_and(|it| !fits(it, e_tag.as_ref())) {
            return Err(s3_error!(PreconditionFailed, "The object has another ETag: {key}"));
        }
        if unwanted.is_some_and(|it| fits(it, e_tag.as_ref())) {
            return Err(s3_error!(PreconditionFailed, "The object is there already: {key}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_store_left_on_its_way_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let staged = mem::ManuallyDrop::new(Staged { root: root.path(), id: "x".into(), has_moved: false });
        let kept = names::sums(root.path(), "bucket", "key");
        fs::create_dir(root.path().join(STAGE)).unwrap();
        let left =
            [staged.content(), names::sums(root.path(), STAGE, "x"), names::headers(root.path(), STAGE, "x")];
        for file in left.iter().chain([&kept]) {
            fs::write(file, "").unwrap();
        }
        clear_stage(root.path()).unwrap();
        assert!(kept.exists() && !left.iter().any(|it| it.exists()));
    }
}
