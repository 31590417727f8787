//! An upload: an object that comes in parts, each a file of its own until the last one has come.

use std::fs;

use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::object::{md5, refusal, spoken};
use super::{Shelf, Store, names};

/// Of every part but the last, in bytes.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// What is read of a part.
struct Part {
    size: u64,
    e_tag: String,
}

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

    /// `None` if it has not come.
    fn part(&self, id: &str, number: i32) -> S3Result<Option<Part>> {
        let path = names::part(&self.root, id, number);
        match fs::metadata(&path) {
            Ok(file) => Ok(Some(Part { size: file.len(), e_tag: md5(&path).map_err(refusal)? })),
            Err(_) => Ok(None),
        }
    }
}

impl Store {
    /// Reads parts, which may be large: no work for a thread that has connections to serve.
    async fn read_parts(&self, id: &str, numbers: Vec<i32>) -> S3Result<Vec<Option<Part>>> {
        let (shelf, id) = (self.0.clone(), id.to_owned());
        let read = move || numbers.into_iter().map(|number| shelf.part(&id, number)).collect();
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| s3_error!(InternalError, "The parts could not be read: {error}"))?
    }

    /// Fails if the parts are not the ones that came: `s3s-fs` would find out too late, when the upload is gone.
    pub(super) async fn check_parts(&self, input: &dto::CompleteMultipartUploadInput) -> S3Result<()> {
        let parts = input.multipart_upload.as_ref().and_then(|it| it.parts.as_deref()).unwrap_or_default();
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "An upload is completed with at least one part."));
        }
        let numbers: Vec<i32> = parts.iter().map(|part| part.part_number.unwrap_or_default()).collect();
        if let Some((number, expected)) =
            numbers.iter().zip(1..).find(|(number, expected)| *number != expected)
        {
            return Err(s3_error!(
                InvalidPartOrder,
                "Part {number} stands where part {expected} should: parts are numbered 1, 2, 3 and so on here."
            ));
        }
        let n_parts = parts.len();
        let came = self.read_parts(&input.upload_id, numbers).await?;
        for ((part, came), number) in parts.iter().zip(came).zip(1..) {
            let Some(came) = came else {
                return Err(s3_error!(InvalidPart, "Part {number} has not been uploaded."));
            };
            if number < n_parts && came.size < SMALLEST_PART {
                return Err(s3_error!(
                    EntityTooSmall,
                    "Part {number} has {} bytes; every part but the last must have {SMALLEST_PART}.",
                    came.size
                ));
            }
            if let Some(e_tag) = part.e_tag.as_ref().filter(|it| it.value() != came.e_tag) {
                return Err(s3_error!(InvalidPart, "Part {number} has another ETag than {}.", e_tag.value()));
            }
        }
        Ok(())
    }

    /// All parts of an upload that have come, in order.
    pub(super) async fn parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let input = &request.input;
        let id = input.upload_id.clone();
        self.0.find_upload(&input.bucket, &input.key, &id)?;
        let mut answer = self.0.files.list_parts(request).await.map_err(spoken)?;
        let parts = answer.output.parts.get_or_insert_default();
        parts.sort_by_key(|part| part.part_number);
        let numbers = parts.iter().map(|part| part.part_number.unwrap_or_default()).collect();
        for (part, came) in parts.iter_mut().zip(self.read_parts(&id, numbers).await?) {
            part.e_tag = came.map(|it| dto::ETag::Strong(it.e_tag));
        }
        answer.output.is_truncated = Some(false);
        Ok(answer)
    }
}
