//! A copy: an object made of another one without a way through the client.

use std::fs;

use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopySource};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::object::{refusal, remove_file, spoken};
use super::{Shelf, names};

impl Shelf {
    /// The bucket and the key of what is to be copied.
    pub(super) fn source<'a>(&self, source: &'a CopySource) -> S3Result<(&'a str, &'a str)> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(s3_error!(NotImplemented, "There are no access points here."));
        };
        self.place(bucket, key)?;
        Ok((bucket, key))
    }

    pub(super) async fn copy(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let target = self.place(&bucket, &key)?;
        names::check_length(&bucket, &key, false)?;
        let copied = request.input.copy_source.clone();
        let from = self.source(&copied)?;

        let _alone = self.locks.both(from, (&bucket, &key)).await;
        let source = self.find(from.0, from.1)?;
        self.make_room(&bucket, &key)?;
        if source == target {
            return self.files.copy_object(request).await.map_err(spoken);
        }
        // `s3s-fs` writes into a file that is there, which somebody may be reading: that one steps aside, and
        // comes back if the copy fails. `s3s-fs` clears away files of such a name when it starts.
        let aside = self.root.join(format!(".tmp.{}.internal.part", Uuid::new_v4()));
        let was_there = fs::rename(&target, &aside).is_ok();
        let answer = self.files.copy_object(request).await.map_err(spoken);
        if answer.is_ok() {
            remove_file(&aside).map_err(refusal)?;
        } else if was_there {
            fs::rename(&aside, &target).map_err(refusal)?;
        } else {
            remove_file(&target).map_err(refusal)?;
        }
        answer
    }
}
