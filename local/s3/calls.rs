//! The calls of S3 that this store answers: each is checked and locked, and left to `s3s-fs` then.

use std::fs;
use std::io::ErrorKind;

use async_trait::async_trait;
use s3s::dto;
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::folders::{holds_a_file, remove_empty};
use super::object::{fits, refusal, remove_file, spoken};
use super::{Store, names};

/// Where every bucket lies, as far as clients care.
const REGION: &str = "us-east-1";

/// What S3 says of an object whose writer did not say what it is.
const UNTYPED: &str = "binary/octet-stream";

type Asks<T> = S3Request<T>;
type Answers<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Store {
    async fn create_bucket(&self, request: Asks<dto::CreateBucketInput>) -> Answers<dto::CreateBucketOutput> {
        let bucket = request.input.bucket;
        match fs::create_dir(self.0.root.join(&bucket)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(s3_error!(BucketAlreadyOwnedByYou, "You made the bucket {bucket} before."));
            }
            Err(error) => return Err(refusal(error)),
        }
        let location = Some(format!("/{bucket}"));
        Ok(S3Response::new(dto::CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, request: Asks<dto::DeleteBucketInput>) -> Answers<dto::DeleteBucketOutput> {
        let path = self.0.bucket(&request.input.bucket)?;
        if holds_a_file(&path).map_err(refusal)? {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty: {}",
                request.input.bucket
            ));
        }
        remove_empty(&path).map_err(refusal)?;
        Ok(S3Response::new(dto::DeleteBucketOutput {}))
    }

    async fn head_bucket(&self, request: Asks<dto::HeadBucketInput>) -> Answers<dto::HeadBucketOutput> {
        self.0.bucket(&request.input.bucket)?;
        let output = dto::HeadBucketOutput { bucket_region: Some(REGION.into()), ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn get_bucket_location(
        &self,
        request: Asks<dto::GetBucketLocationInput>,
    ) -> Answers<dto::GetBucketLocationOutput> {
        self.0.bucket(&request.input.bucket)?;
        // The first region is the one without a name.
        Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, request: Asks<dto::ListBucketsInput>) -> Answers<dto::ListBucketsOutput> {
        let mut answer = self.0.files.list_buckets(request).await.map_err(spoken)?;
        if let Some(buckets) = &mut answer.output.buckets {
            buckets.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(answer)
    }

    async fn put_object(&self, request: Asks<dto::PutObjectInput>) -> Answers<dto::PutObjectOutput> {
        self.0.put(request).await
    }

    async fn get_object(&self, request: Asks<dto::GetObjectInput>) -> Answers<dto::GetObjectOutput> {
        let input = &request.input;
        self.0.place(&input.bucket, &input.key)?;
        let _steady = self.0.locks.read(&input.bucket, &input.key).await;
        self.0.find(&input.bucket, &input.key)?;
        let (wanted, unwanted) = (input.if_match.clone(), input.if_none_match.clone());
        let mut answer = self.0.files.get_object(request).await.map_err(spoken)?;
        check_conditions(answer.output.e_tag.as_ref(), wanted.as_ref(), unwanted.as_ref())?;
        answer.output.accept_ranges = Some("bytes".into());
        answer.output.content_type.get_or_insert_with(|| UNTYPED.into());
        Ok(answer)
    }

    async fn head_object(&self, request: Asks<dto::HeadObjectInput>) -> Answers<dto::HeadObjectOutput> {
        let input = &request.input;
        self.0.place(&input.bucket, &input.key)?;
        let _steady = self.0.locks.read(&input.bucket, &input.key).await;
        self.0.find(&input.bucket, &input.key)?;
        let (wanted, unwanted) = (input.if_match.clone(), input.if_none_match.clone());
        let mut answer = self.0.files.head_object(request).await.map_err(spoken)?;
        check_conditions(answer.output.e_tag.as_ref(), wanted.as_ref(), unwanted.as_ref())?;
        answer.output.accept_ranges = Some("bytes".into());
        answer.output.content_type.get_or_insert_with(|| UNTYPED.into());
        Ok(answer)
    }

    async fn copy_object(&self, request: Asks<dto::CopyObjectInput>) -> Answers<dto::CopyObjectOutput> {
        self.0.copy(request).await
    }

    async fn delete_object(&self, request: Asks<dto::DeleteObjectInput>) -> Answers<dto::DeleteObjectOutput> {
        let input = request.input;
        let _alone = self.0.locks.write(&input.bucket, &input.key).await;
        self.0.remove(&input.bucket, &input.key)?;
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
            let _alone = self.0.locks.write(&bucket, &object.key).await;
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
        self.first_listing(request.input).await.map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: Asks<dto::ListObjectsV2Input>,
    ) -> Answers<dto::ListObjectsV2Output> {
        self.second_listing(request.input).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        request: Asks<dto::CreateMultipartUploadInput>,
    ) -> Answers<dto::CreateMultipartUploadOutput> {
        let input = &request.input;
        self.0.place(&input.bucket, &input.key)?;
        names::check_length(&input.bucket, &input.key, true)?;
        self.0.files.create_multipart_upload(request).await.map_err(spoken)
    }

    async fn upload_part(&self, request: Asks<dto::UploadPartInput>) -> Answers<dto::UploadPartOutput> {
        let input = &request.input;
        self.0.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        self.0.files.upload_part(request).await.map_err(spoken)
    }

    async fn upload_part_copy(
        &self,
        request: Asks<dto::UploadPartCopyInput>,
    ) -> Answers<dto::UploadPartCopyOutput> {
        let input = &request.input;
        self.0.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        let (bucket, key) = self.0.source(&input.copy_source)?;
        let _steady = self.0.locks.read(bucket, key).await;
        self.0.find(bucket, key)?;
        self.0.files.upload_part_copy(request).await.map_err(spoken)
    }

    async fn list_parts(&self, request: Asks<dto::ListPartsInput>) -> Answers<dto::ListPartsOutput> {
        self.parts(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: Asks<dto::CompleteMultipartUploadInput>,
    ) -> Answers<dto::CompleteMultipartUploadOutput> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let _alone = self.0.locks.write(&bucket, &key).await;
        self.0.find_upload(&bucket, &key, &request.input.upload_id)?;
        self.check_parts(&request.input).await?;
        self.0.make_room(&bucket, &key)?;
        // `s3s-fs` would keep the checksums of the object that this one replaces.
        remove_file(&names::sums(&self.0.root, &bucket, &key)).map_err(refusal)?;
        self.0.files.complete_multipart_upload(request).await.map_err(spoken)
    }

    async fn abort_multipart_upload(
        &self,
        request: Asks<dto::AbortMultipartUploadInput>,
    ) -> Answers<dto::AbortMultipartUploadOutput> {
        let input = &request.input;
        self.0.find_upload(&input.bucket, &input.key, &input.upload_id)?;
        self.0.files.abort_multipart_upload(request).await.map_err(spoken)
    }
}

fn check_conditions(
    e_tag: Option<&ETag>,
    wanted: Option<&ETagCondition>,
    unwanted: Option<&ETagCondition>,
) -> S3Result<()> {
    if wanted.is_some_and(|it| !fits(it, e_tag)) {
        return Err(s3_error!(PreconditionFailed, "The object has another ETag."));
    }
    if unwanted.is_some_and(|it| fits(it, e_tag)) {
        return Err(s3_error!(NotModified, "The object has this ETag."));
    }
    Ok(())
}
