//! Listings: the objects and common prefixes of a bucket, page by page, in the order of keys.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use s3s::S3Result;
use s3s::dto;
use url::form_urlencoded::byte_serialize;

use super::Buckets;
use super::object::{e_tag, failed};

/// The default and largest number of items on a page.
const PAGE: i32 = 1_000;

/// The answer to the first version of the call.
pub(super) fn first_version(listed: dto::ListObjectsV2Output) -> dto::ListObjectsOutput {
    let is_encoded = listed.encoding_type.is_some();
    dto::ListObjectsOutput {
        is_truncated: listed.is_truncated,
        next_marker: listed.next_continuation_token.map(|it| if is_encoded { encoded(&it) } else { it }),
        contents: listed.contents,
        common_prefixes: listed.common_prefixes,
        marker: listed.start_after,
        max_keys: listed.max_keys,
        name: listed.name,
        prefix: listed.prefix,
        delimiter: listed.delimiter,
        encoding_type: listed.encoding_type,
        ..Default::default()
    }
}

impl Buckets {
    /// The answer to the second version of the call.
    pub(super) fn list(&self, input: dto::ListObjectsV2Input) -> S3Result<dto::ListObjectsV2Output> {
        let bucket = self.bucket(&input.bucket)?;
        let is_encoded = input.encoding_type.is_some();
        let write = |name: String| if is_encoded { encoded(&name) } else { name };
        let max_keys = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let limit = max_keys as usize;
        let delimiter = input.delimiter.as_deref().filter(|it| !it.is_empty());
        let mut items = items(&bucket, input.prefix.as_deref().unwrap_or_default(), delimiter)?;
        // A continuation token is the last item of the page before.
        if let Some(after) = input.continuation_token.as_ref().or(input.start_after.as_ref()) {
            items.retain(|item| item.name > *after);
        }
        let is_truncated = limit > 0 && items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| is_truncated).map(|item| item.name.clone());
        let (groups, objects): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.is_group);
        let mut contents = Vec::new();
        for Item { name, .. } in objects {
            let metadata = match fs::metadata(bucket.join(&name)) {
                // Deleted in the meantime.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.map_err(failed)?,
            };
            contents.push(dto::Object {
                key: Some(write(name)),
                size: Some(metadata.len() as i64),
                last_modified: Some(metadata.modified().map_err(failed)?.into()),
                e_tag: Some(e_tag(&metadata)),
                storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
                ..Default::default()
            });
        }
        let groups = groups.into_iter().map(|it| dto::CommonPrefix { prefix: Some(write(it.name)) });
        let groups: Vec<_> = groups.collect();
        Ok(dto::ListObjectsV2Output {
            is_truncated: Some(is_truncated),
            next_continuation_token: last,
            key_count: Some((contents.len() + groups.len()) as i32),
            contents: Some(contents),
            common_prefixes: Some(groups),
            continuation_token: input.continuation_token,
            start_after: input.start_after.map(write),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            prefix: input.prefix.map(write),
            delimiter: input.delimiter.map(write),
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }
}

/// The key of an object, or a common prefix.
#[derive(PartialEq)]
struct Item {
    name: String,
    is_group: bool,
}

/// All items with a prefix, sorted. Keys with the same text up to the delimiter after the prefix are one item.
fn items(bucket: &Path, prefix: &str, delimiter: Option<&str>) -> S3Result<Vec<Item>> {
    let mut keys = Vec::new();
    // Only the folder of the prefix can have items.
    let folder = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
    keys_below(bucket, folder, &mut keys).map_err(failed)?;
    keys.retain(|key| key.starts_with(prefix));
    keys.sort_unstable();
    let items = keys.into_iter().map(|mut name| {
        let rest = &name[prefix.len()..];
        let end = delimiter.and_then(|it| Some(prefix.len() + rest.find(it)? + it.len()));
        name.truncate(end.unwrap_or(name.len()));
        Item { name, is_group: end.is_some() }
    });
    let mut items: Vec<Item> = items.collect();
    items.dedup();
    Ok(items)
}

/// Collects the keys of all objects in a folder of a bucket.
pub(super) fn keys_below(bucket: &Path, folder: &str, keys: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(bucket.join(folder)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // A name that is not UTF-8 is not a key.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            keys_below(bucket, &format!("{folder}{name}/"), keys)?;
        } else {
            keys.push(format!("{folder}{name}"));
        }
    }
    Ok(())
}

/// Encoded for names that are not valid in XML; boto3 always asks for it.
fn encoded(name: &str) -> String {
    let parts: Vec<String> = name.split('/').map(|part| byte_serialize(part.as_bytes()).collect()).collect();
    parts.join("/")
}
