//! Uploads: objects in parts. An upload is a folder with its parts until it is completed.

use std::fs;
use std::io;
use std::path::PathBuf;

use s3s::{S3Result, dto, s3_error};
use uuid::Uuid;

use super::object::{e_tag, failed};
use super::{Buckets, STAGE};

/// The file with the bucket and the key of an upload.
const TARGET: &str = "target";

impl Buckets {
    pub(super) fn create_upload(
        &self,
        input: dto::CreateMultipartUploadInput,
    ) -> S3Result<dto::CreateMultipartUploadOutput> {
        self.path(&input.bucket, &input.key)?;
        let id = Uuid::new_v4().to_string();
        let folder = self.root.join(STAGE).join(&id);
        let target = format!("{}/{}", input.bucket, input.key);
        fs::create_dir(&folder).and_then(|()| fs::write(folder.join(TARGET), target)).map_err(failed)?;
        Ok(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        })
    }

    /// The folder of an upload of this object.
    pub(super) fn find_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<PathBuf> {
        self.path(bucket, key)?;
        // The id becomes part of a path.
        let is_id = Uuid::try_parse(id).is_ok_and(|it| it.to_string() == id);
        let folder = self.root.join(STAGE).join(id);
        if is_id && fs::read_to_string(folder.join(TARGET)).is_ok_and(|it| it == format!("{bucket}/{key}")) {
            return Ok(folder);
        }
        Err(s3_error!(NoSuchUpload, "The upload {id} does not exist; it may be completed or aborted."))
    }

    pub(super) async fn upload_part(&self, input: dto::UploadPartInput) -> S3Result<dto::UploadPartOutput> {
        let folder = self.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        let staged = self.stage(input.body).await?;
        let part = staged.persist(folder.join(input.part_number.to_string()));
        let metadata = part.map_err(|error| error.error).and_then(|part| part.metadata()).map_err(failed)?;
        Ok(dto::UploadPartOutput { e_tag: Some(e_tag(&metadata)), ..Default::default() })
    }

    pub(super) fn complete_upload(
        &self,
        input: dto::CompleteMultipartUploadInput,
    ) -> S3Result<dto::CompleteMultipartUploadOutput> {
        let folder = self.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        let parts = input.multipart_upload.and_then(|it| it.parts).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "An upload has at least one part."));
        }
        if !parts.is_sorted_by(|a, b| a.part_number < b.part_number) {
            return Err(s3_error!(InvalidPartOrder, "The parts are not in ascending order."));
        }
        let mut whole = self.staged_file()?;
        for part in &parts {
            let number = part.part_number.unwrap_or_default();
            let Ok(mut file) = fs::File::open(folder.join(number.to_string())) else {
                return Err(s3_error!(InvalidPart, "Part {number} has not been uploaded."));
            };
            let metadata = file.metadata().map_err(failed)?;
            if part.e_tag.as_ref().is_some_and(|wanted| !wanted.weak_cmp(&e_tag(&metadata))) {
                return Err(s3_error!(InvalidPart, "Part {number} has another ETag."));
            }
            io::copy(&mut file, &mut whole).map_err(failed)?;
        }
        let (if_match, if_none_match) = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let e_tag = self.store(whole, (&input.bucket, &input.key), if_match, if_none_match)?;
        fs::remove_dir_all(folder).map_err(failed)?;
        Ok(dto::CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(e_tag),
            ..Default::default()
        })
    }
}
