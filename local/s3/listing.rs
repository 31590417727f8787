//! A listing: the two calls that list the objects of a bucket, page by page.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;

use s3s::dto;
use s3s::{S3Result, s3_error};

use super::object::{e_tag, failed};
use super::walk::{Item, Wanted, walk};
use super::{Buckets, Store};

/// The default and largest number of items on a page.
const PAGE: i32 = 1_000;

/// The page for both calls.
struct Listed {
    objects: Vec<dto::Object>,
    groups: Vec<dto::CommonPrefix>,
    /// The last item, if there are more.
    last: Option<String>,
    max_keys: i32,
}

impl Store {
    pub(super) async fn list_first_version(
        &self,
        input: dto::ListObjectsInput,
    ) -> S3Result<dto::ListObjectsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let after = input.marker.clone();
        let listed = self.list(&input.bucket, prefix, delimiter, after, input.max_keys, encoding).await?;
        Ok(dto::ListObjectsOutput {
            is_truncated: Some(listed.last.is_some()),
            next_marker: listed.last.map(|it| encoding.write(it)),
            contents: Some(listed.objects),
            common_prefixes: Some(listed.groups),
            marker: input.marker.map(|it| encoding.write(it)),
            max_keys: Some(listed.max_keys),
            name: Some(input.bucket),
            prefix: input.prefix.map(|it| encoding.write(it)),
            delimiter: input.delimiter.map(|it| encoding.write(it)),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    pub(super) async fn list_second_version(
        &self,
        input: dto::ListObjectsV2Input,
    ) -> S3Result<dto::ListObjectsV2Output> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        // A continuation token is the last item of the page before.
        let after = input.continuation_token.clone().or(input.start_after.clone());
        let listed = self.list(&input.bucket, prefix, delimiter, after, input.max_keys, encoding).await?;
        Ok(dto::ListObjectsV2Output {
            is_truncated: Some(listed.last.is_some()),
            next_continuation_token: listed.last,
            key_count: Some((listed.objects.len() + listed.groups.len()) as i32),
            contents: Some(listed.objects),
            common_prefixes: Some(listed.groups),
            continuation_token: input.continuation_token,
            start_after: input.start_after.map(|it| encoding.write(it)),
            max_keys: Some(listed.max_keys),
            name: Some(input.bucket),
            prefix: input.prefix.map(|it| encoding.write(it)),
            delimiter: input.delimiter.map(|it| encoding.write(it)),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: Option<String>,
        delimiter: Option<String>,
        after: Option<String>,
        max_keys: Option<i32>,
        encoding: Encoding,
    ) -> S3Result<Listed> {
        self.0.bucket(bucket)?;
        let max_keys = max_keys.unwrap_or(PAGE).min(PAGE);
        let Ok(limit) = usize::try_from(max_keys) else {
            return Err(s3_error!(InvalidArgument, "max-keys is {max_keys}, and must not be negative."));
        };
        let wanted = Wanted {
            prefix: prefix.unwrap_or_default(),
            delimiter: delimiter.filter(|it| !it.is_empty()),
            after: after.unwrap_or_default(),
            limit,
        };
        let (buckets, bucket) = (self.0.clone(), bucket.to_owned());
        // Reads thousands of files, which would block the connections of this thread.
        let listed = tokio::task::spawn_blocking(move || buckets.page(&bucket, &wanted, encoding)).await;
        let listed = listed.map_err(|error| s3_error!(InternalError, "The listing failed: {error}"))?;
        listed.map(|listed| Listed { max_keys, ..listed })
    }
}

impl Buckets {
    fn page(&self, bucket: &str, wanted: &Wanted, encoding: Encoding) -> S3Result<Listed> {
        let folder = self.root.join(bucket);
        let page = walk(&folder, wanted).map_err(failed)?;
        let last = page.items.last().filter(|_| page.is_truncated).map(|item| item.name().to_owned());
        let mut listed = Listed { objects: Vec::new(), groups: Vec::new(), last, max_keys: 0 };
        for item in page.items {
            let key = match item {
                Item::Object(key) => key,
                Item::Group(prefix) => {
                    listed.groups.push(dto::CommonPrefix { prefix: Some(encoding.write(prefix)) });
                    continue;
                }
            };
            let metadata = match fs::metadata(folder.join(&key)) {
                // Deleted in the meantime.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.map_err(failed)?,
            };
            listed.objects.push(dto::Object {
                key: Some(encoding.write(key)),
                size: Some(metadata.len() as i64),
                last_modified: Some(metadata.modified().map_err(failed)?.into()),
                e_tag: Some(e_tag(&metadata)),
                storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
                ..Default::default()
            });
        }
        Ok(listed)
    }
}

/// The encoding of names in an answer.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    /// Percent-encoded, for names that are not valid in XML; boto3 always asks for it.
    Url,
}

impl Encoding {
    fn of(asked: Option<&dto::EncodingType>) -> S3Result<Encoding> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Encoding::Plain),
            Some("url") => Ok(Encoding::Url),
            Some(other) => {
                Err(s3_error!(InvalidArgument, "The encoding type is {other:?}; only \"url\" is supported."))
            }
        }
    }

    fn write(self, name: String) -> String {
        let Encoding::Url = self else { return name };
        let mut text = String::with_capacity(name.len());
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
                text.push(byte.into());
            } else {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }
}
