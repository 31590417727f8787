//! An upload: an object that comes in parts, each a file of its own until the last one has come.

use std::fs;

use s3s::dto;
use s3s::{S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::object::{md5, refusal};
use super::{Shelf, names};

/// Of every part but the last, in bytes.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;

impl Shelf {
    /// Fails if there is no such upload of this very object.
    pub(super) fn find_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        self.place(bucket, key)?;
        // The id becomes part of a file name.
        if Uuid::try_parse(id).is_ok_and(|it| it.to_string() == id)
            && names::upload(&self.root, bucket, key, id).is_file()
        {
            return Ok(());
        }
        Err(s3_error!(
            NoSuchUpload,
            "There is no such upload: its id is wrong, or it was completed or aborted."
        ))
    }

    /// Fails if the parts are not the ones that came: `s3s-fs` would find out too late, when the upload is gone.
    pub(super) fn check_parts(&self, input: &dto::CompleteMultipartUploadInput) -> S3Result<()> {
        let parts = input.multipart_upload.as_ref().and_then(|it| it.parts.as_deref()).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "An upload is completed with at least one part."));
        }
        for (part, expected) in parts.iter().zip(1..) {
            let number = part.part_number.unwrap_or_default();
            if number != expected {
                return Err(s3_error!(
                    InvalidPartOrder,
                    "Part {number} stands where part {expected} should: the parts must be numbered 1, 2, 3 and so on here."
                ));
            }
            let path = names::part(&self.root, &input.upload_id, number);
            let Ok(file) = fs::metadata(&path) else {
                return Err(s3_error!(InvalidPart, "Part {number} has not been uploaded."));
            };
            if expected < parts.len() as i32 && file.len() < SMALLEST_PART {
                return Err(s3_error!(
                    EntityTooSmall,
                    "Part {number} has {} bytes; every part but the last must have {SMALLEST_PART}.",
                    file.len()
                ));
            }
            if let Some(e_tag) = &part.e_tag
                && e_tag.value() != md5(&path).map_err(refusal)?
            {
                return Err(s3_error!(InvalidPart, "Part {number} has another ETag than {}.", e_tag.value()));
            }
        }
        Ok(())
    }

    /// All parts of an upload that have come, in order.
    pub(super) async fn list_parts(
        &self,
        request: s3s::S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let id = request.input.upload_id.clone();
        self.find_upload(&request.input.bucket, &request.input.key, &id)?;
        let mut answer = s3s::S3::list_parts(&self.files, request).await.map_err(super::object::spoken)?;
        let parts = answer.output.parts.get_or_insert_default();
        parts.sort_by_key(|part| part.part_number);
        for part in parts {
            let path = names::part(&self.root, &id, part.part_number.unwrap_or_default());
            part.e_tag = Some(dto::ETag::Strong(md5(&path).map_err(refusal)?));
        }
        answer.output.is_truncated = Some(false);
        Ok(answer)
    }
}
