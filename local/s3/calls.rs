//! The calls of S3.

use std::fs;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};

use async_trait::async_trait;
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::Store;
use super::listing::{first_version, keys_below};
use super::object::{e_tag, failed};

/// The region of all buckets.
const REGION: &str = "us-east-1";

/// The content type of all objects: that of S3 for an object that was stored without one.
const CONTENT_TYPE: &str = "binary/octet-stream";

type Asks<T> = S3Request<T>;
type Answers<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Store {
    async fn create_bucket(&self, request: Asks<dto::CreateBucketInput>) -> Answers<dto::CreateBucketOutput> {
        let bucket = request.input.bucket;
        match fs::create_dir(self.0.root.join(&bucket)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket {bucket} exists and is yours."));
            }
            created => created.map_err(failed)?,
        }
        let location = Some(format!("/{bucket}"));
        Ok(S3Response::new(dto::CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, request: Asks<dto::DeleteBucketInput>) -> Answers<dto::DeleteBucketOutput> {
        let bucket = request.input.bucket;
        let path = self.0.bucket(&bucket)?;
        let _lock = self.0.lock();
        let mut keys = Vec::new();
        keys_below(&path, "", &mut keys).map_err(failed)?;
        if !keys.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty: {bucket}"));
        }
        fs::remove_dir_all(&path).map_err(failed)?;
        Ok(S3Response::new(dto::DeleteBucketOutput {}))
    }

    async fn head_bucket(&self, request: Asks<dto::HeadBucketInput>) -> Answers<dto::HeadBucketOutput> {
        self.0.bucket(&request.input.bucket)?;
        let output = dto::HeadBucketOutput { bucket_region: Some(REGION.into()), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn list_buckets(&self, _: Asks<dto::ListBucketsInput>) -> Answers<dto::ListBucketsOutput> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.0.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.0.bucket(&name).is_ok() {
                let created = entry.metadata().and_then(|it| it.modified()).map_err(failed)?;
                let creation_date = Some(created.into());
                buckets.push(dto::Bucket { name: Some(name), creation_date, ..Default::default() });
            }
        }
        buckets.sort_by(|a, b| a.name.cmp(&b.name));
        let output = dto::ListBucketsOutput { buckets: Some(buckets), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn put_object(&self, request: Asks<dto::PutObjectInput>) -> Answers<dto::PutObjectOutput> {
        let input = request.input;
        self.0.path(&input.bucket, &input.key)?;
        if input.key.ends_with('/') {
            // A folder, as created by the AWS console, exists only through its objects.
            return Ok(S3Response::new(dto::PutObjectOutput::default()));
        }
        let staged = self.0.stage(input.body).await?;
        let (if_match, if_none_match) = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let e_tag = self.0.store(staged, (&input.bucket, &input.key), if_match, if_none_match)?;
        self.0.metadata.set(&input.bucket, &input.key, &e_tag, input.metadata);
        Ok(S3Response::new(dto::PutObjectOutput { e_tag: Some(e_tag), ..Default::default() }))
    }

    async fn get_object(&self, request: Asks<dto::GetObjectInput>) -> Answers<dto::GetObjectOutput> {
        let input = request.input;
        let (path, _) = self.0.find(&input.bucket, &input.key)?;
        // The metadata of the open file: the object may be replaced while it is read.
        let mut file = fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let length = metadata.len();
        let range = input.range.map_or(Ok(0..length), |range| range.check(length))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        file.take(range.end - range.start).read_to_end(&mut bytes).map_err(failed)?;
        let content_range = || format!("bytes {}-{}/{length}", range.start, range.end - 1);
        Ok(S3Response::new(dto::GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: Some(bytes.len() as i64),
            content_range: input.range.map(|_| content_range()),
            content_type: Some(CONTENT_TYPE.into()),
            metadata: self.0.metadata.get(&input.bucket, &input.key, &e_tag(&metadata)),
            e_tag: Some(e_tag(&metadata)),
            last_modified: Some(metadata.modified().map_err(failed)?.into()),
            body: Some(dto::StreamingBlob::from(s3s::Body::from(bytes))),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: Asks<dto::HeadObjectInput>) -> Answers<dto::HeadObjectOutput> {
        let input = request.input;
        let (_, metadata) = self.0.find(&input.bucket, &input.key)?;
        Ok(S3Response::new(dto::HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: Some(metadata.len() as i64),
            content_type: Some(CONTENT_TYPE.into()),
            metadata: self.0.metadata.get(&input.bucket, &input.key, &e_tag(&metadata)),
            e_tag: Some(e_tag(&metadata)),
            last_modified: Some(metadata.modified().map_err(failed)?.into()),
            ..Default::default()
        }))
    }

    async fn copy_object(&self, request: Asks<dto::CopyObjectInput>) -> Answers<dto::CopyObjectOutput> {
        let input = request.input;
        let dto::CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "The offline cloud has no access points."));
        };
        let (source, _) = self.0.find(bucket, key)?;
        let staged = self.0.staged_file()?;
        fs::copy(source, staged.path()).map_err(failed)?;
        let e_tag = self.0.store(staged, (&input.bucket, &input.key), None, None)?;
        let result = dto::CopyObjectResult { e_tag: Some(e_tag), ..Default::default() };
        let output = dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, request: Asks<dto::DeleteObjectInput>) -> Answers<dto::DeleteObjectOutput> {
        self.0.remove(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: Asks<dto::DeleteObjectsInput>,
    ) -> Answers<dto::DeleteObjectsOutput> {
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        self.0.bucket(&bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in delete.objects {
            let removed = self.0.remove(&bucket, &object.key);
            let key = Some(object.key);
            match removed {
                Ok(()) => deleted.push(dto::DeletedObject { key, ..Default::default() }),
                Err(error) => errors.push(dto::Error {
                    key,
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(Into::into),
                    ..Default::default()
                }),
            }
        }
        let is_quiet = delete.quiet == Some(true);
        let output = dto::DeleteObjectsOutput {
            deleted: (!is_quiet && !deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_objects(&self, request: Asks<dto::ListObjectsInput>) -> Answers<dto::ListObjectsOutput> {
        let listed = self.list_objects_v2(request.map_input(Into::into)).await?;
        Ok(listed.map_output(first_version))
    }

    async fn list_objects_v2(
        &self,
        request: Asks<dto::ListObjectsV2Input>,
    ) -> Answers<dto::ListObjectsV2Output> {
        let buckets = self.0.clone();
        // Reads thousands of files, which would block the connections of this thread.
        let listed = tokio::task::spawn_blocking(move || buckets.list(request.input)).await;
        listed.map_err(|error| s3_error!(InternalError, "The listing failed: {error}"))?.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        request: Asks<dto::CreateMultipartUploadInput>,
    ) -> Answers<dto::CreateMultipartUploadOutput> {
        self.0.create_upload(request.input).map(S3Response::new)
    }

    async fn upload_part(&self, request: Asks<dto::UploadPartInput>) -> Answers<dto::UploadPartOutput> {
        self.0.upload_part(request.input).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: Asks<dto::CompleteMultipartUploadInput>,
    ) -> Answers<dto::CompleteMultipartUploadOutput> {
        self.0.complete_upload(request.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: Asks<dto::AbortMultipartUploadInput>,
    ) -> Answers<dto::AbortMultipartUploadOutput> {
        let input = request.input;
        let folder = self.0.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        fs::remove_dir_all(folder).map_err(failed)?;
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }
}
