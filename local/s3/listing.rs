//! A listing: the two calls that ask for the objects of a bucket, page by page.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use base64_simd::URL_SAFE_NO_PAD;
use s3s::dto;
use s3s::{S3Result, s3_error};

use super::object::refusal;
use super::walk::{Item, Wanted, walk};
use super::{Shelf, Store};

/// Items on a page where nobody says, and at most.
const PAGE: i32 = 1_000;

/// A page as both calls need it.
struct Listed {
    objects: Vec<dto::Object>,
    groups: Vec<dto::CommonPrefix>,
    /// The last item, if there are more behind it.
    last: Option<String>,
}

impl Store {
    pub(super) async fn first_listing(
        &self,
        input: dto::ListObjectsInput,
    ) -> S3Result<dto::ListObjectsOutput> {
        let code = Code::of(input.encoding_type.as_ref())?;
        let max_keys = page_size(input.max_keys)?;
        let after = input.marker.clone().unwrap_or_default();
        let listed = self
            .list(&input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), after, max_keys, code)
            .await?;
        Ok(dto::ListObjectsOutput {
            is_truncated: Some(listed.last.is_some()),
            next_marker: listed.last.map(|it| code.write(it)),
            contents: Some(listed.objects),
            common_prefixes: Some(listed.groups),
            marker: input.marker.map(|it| code.write(it)),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: input.prefix.map(|it| code.write(it)),
            delimiter: input.delimiter.map(|it| code.write(it)),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    pub(super) async fn second_listing(
        &self,
        input: dto::ListObjectsV2Input,
    ) -> S3Result<dto::ListObjectsV2Output> {
        let code = Code::of(input.encoding_type.as_ref())?;
        let max_keys = page_size(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => read_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let listed = self
            .list(&input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), after, max_keys, code)
            .await?;
        Ok(dto::ListObjectsV2Output {
            is_truncated: Some(listed.last.is_some()),
            next_continuation_token: listed.last.map(|it| URL_SAFE_NO_PAD.encode_to_string(it)),
            key_count: Some((listed.objects.len() + listed.groups.len()) as i32),
            contents: Some(listed.objects),
            common_prefixes: Some(listed.groups),
            continuation_token: input.continuation_token,
            start_after: input.start_after.map(|it| code.write(it)),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: input.prefix.map(|it| code.write(it)),
            delimiter: input.delimiter.map(|it| code.write(it)),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: Option<&String>,
        delimiter: Option<&String>,
        after: String,
        max_keys: i32,
        code: Code,
    ) -> S3Result<Listed> {
        let folder = self.0.bucket(bucket)?;
        let wanted = Wanted {
            prefix: prefix.cloned().unwrap_or_default(),
            delimiter: delimiter.filter(|it| !it.is_empty()).cloned(),
            after,
            limit: max_keys as usize,
        };
        let (shelf, bucket) = (self.0.clone(), bucket.to_owned());
        // Thousands of files are looked at: no work for a thread that has connections to serve.
        let listed = tokio::task::spawn_blocking(move || shelf.page(&bucket, &folder, &wanted, code)).await;
        listed.map_err(|error| s3_error!(InternalError, "The listing broke off: {error}"))?
    }
}

impl Shelf {
    fn page(&self, bucket: &str, folder: &Path, wanted: &Wanted, code: Code) -> S3Result<Listed> {
        let page = walk(&self.folders, folder, wanted).map_err(refusal)?;
        let last = page.items.last().filter(|_| page.is_truncated).map(|item| match item {
            Item::Object(name) | Item::Group(name) => name.clone(),
        });
        let mut listed = Listed { objects: Vec::new(), groups: Vec::new(), last };
        for item in page.items {
            match item {
                Item::Object(key) => listed.objects.extend(self.object(bucket, folder, key, code)?),
                Item::Group(prefix) => {
                    listed.groups.push(dto::CommonPrefix { prefix: Some(code.write(prefix)) });
                }
            }
        }
        Ok(listed)
    }

    /// `None` if it was deleted meanwhile.
    fn object(&self, bucket: &str, folder: &Path, key: String, code: Code) -> S3Result<Option<dto::Object>> {
        let path = folder.join(&key);
        let read = || -> io::Result<_> {
            let object = fs::metadata(&path)?;
            let e_tag = self.e_tag(bucket, &key, &path, &object)?;
            Ok((object.len(), object.modified()?, e_tag))
        };
        let (size, modified, e_tag) = match read() {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refusal(error)),
        };
        Ok(Some(dto::Object {
            key: Some(code.write(key)),
            size: Some(size as i64),
            last_modified: Some(modified.into()),
            e_tag: Some(dto::ETag::Strong(e_tag)),
            storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
            ..Default::default()
        }))
    }
}

fn page_size(max_keys: Option<i32>) -> S3Result<i32> {
    match max_keys {
        Some(n) if n < 0 => Err(s3_error!(InvalidArgument, "max-keys is {n}, and must not be negative.")),
        n => Ok(n.unwrap_or(PAGE).min(PAGE)),
    }
}

fn read_token(token: &str) -> S3Result<String> {
    let text = URL_SAFE_NO_PAD.decode_to_vec(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect."))
}

/// How names are written in an answer.
#[derive(Clone, Copy)]
enum Code {
    Plain,
    /// Percent-encoded, for names that XML cannot carry; boto3 always asks for it.
    Url,
}

impl Code {
    fn of(asked: Option<&dto::EncodingType>) -> S3Result<Code> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Code::Plain),
            Some("url") => Ok(Code::Url),
            Some(other) => {
                Err(s3_error!(InvalidArgument, "The encoding type is {other:?}; there is only \"url\"."))
            }
        }
    }

    fn write(self, name: String) -> String {
        let Code::Url = self else { return name };
        let mut text = String::with_capacity(name.len());
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
                text.push(byte.into());
            } else {
                // Writing to a string does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }
}
