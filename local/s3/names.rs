//! Names: the keys that a file can carry, and the files that `s3s-fs` keeps beside an object.

use std::path::{Path, PathBuf};

use base64_simd::URL_SAFE_NO_PAD;
use s3s::{S3Result, s3_error};

/// What file systems allow for one name.
const LONGEST_FILE_NAME: usize = 255;
const FRAME: usize = ".bucket-.object-.metadata.json".len();
const UPLOAD: usize = ".upload-00000000-0000-0000-0000-000000000000".len();

/// Refuses keys that are no plain path below the bucket: a file system would read them as
/// another object's key, or as a place outside.
pub(super) fn check(key: &str) -> S3Result<()> {
    let path = key.strip_suffix('/').unwrap_or(key);
    let reason = if key.contains('\0') {
        "it contains a NUL"
    } else if path.starts_with('/') || path.is_empty() {
        "it begins with a slash"
    } else if path.split('/').any(str::is_empty) {
        "it has two slashes in a row"
    } else if path.split('/').any(|segment| segment == "." || segment == "..") {
        "it has `.` or `..` between slashes"
    } else {
        return Ok(());
    };
    Err(s3_error!(
        InvalidArgument,
        "The key {key:?} cannot be used here: {reason}. Objects are kept as files, so a key must be a plain path."
    ))
}

/// Refuses keys whose side-cars would have too long a name.
pub(super) fn check_length(bucket: &str, key: &str, is_upload: bool) -> S3Result<()> {
    let allowed = longest_key(bucket, is_upload);
    if key.len() <= allowed {
        return Ok(());
    }
    let what = if is_upload { "uploaded in parts to" } else { "in" };
    Err(s3_error!(
        KeyTooLongError,
        "The key is {} bytes long; {allowed} are allowed for an object {what} the bucket {bucket}. Objects are kept \
         as files here, with the key in a file name.",
        key.len()
    ))
}

/// In bytes. The names of bucket and key stand in a side-car's name as base64.
fn longest_key(bucket: &str, is_upload: bool) -> usize {
    let taken = FRAME + if is_upload { UPLOAD } else { 0 } + URL_SAFE_NO_PAD.encoded_length(bucket.len());
    (LONGEST_FILE_NAME - taken) * 3 / 4
}

/// Where the `ETag` and the checksums of an object lie.
pub(super) fn sums(root: &Path, bucket: &str, key: &str) -> PathBuf {
    side_car(root, bucket, key, "internal.json")
}

/// Where the headers and the metadata of an object lie.
pub(super) fn headers(root: &Path, bucket: &str, key: &str) -> PathBuf {
    side_car(root, bucket, key, "metadata.json")
}

/// The file that is there as long as an upload in parts of this object goes on.
pub(super) fn upload(root: &Path, bucket: &str, key: &str, id: &str) -> PathBuf {
    side_car(root, bucket, key, &format!("upload-{id}.metadata.json"))
}

/// A part of an upload.
pub(super) fn part(root: &Path, id: &str, number: i32) -> PathBuf {
    root.join(format!(".upload_id-{id}.part-{number}"))
}

/// How the names of the side-cars of a bucket begin.
pub(super) fn side_cars_of(bucket: &str) -> String {
    format!(".bucket-{}.object-", URL_SAFE_NO_PAD.encode_to_string(bucket))
}

fn side_car(root: &Path, bucket: &str, key: &str, what: &str) -> PathBuf {
    let key = URL_SAFE_NO_PAD.encode_to_string(key);
    root.join(format!("{}{key}.{what}", side_cars_of(bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_file_system_would_read_differently_are_refused() {
        for key in ["../x", "a/../b", "a/./b", "..", ".", "/a", "//", "/", "a//b", "a/b//", "a\0b"] {
            let error = check(key).expect_err(key);
            assert_eq!(error.code().as_str(), "InvalidArgument", "{key:?}");
        }
        for key in ["a", "a/b", "a/", "a/b/", ".a", "..a", "a..", "a/.b", "ä ö", "a\\b", "...", "a:b?c*d"] {
            check(key).expect(key);
        }
    }

    #[test]
    fn the_longest_key_fills_the_name_of_its_side_car() {
        for bucket in ["abc", "abcd", "abcde", "a-bucket-with-a-name-of-some-length"] {
            let key = "k".repeat(longest_key(bucket, false));
            let name = headers(Path::new(""), bucket, &key);
            assert!((254..=255).contains(&name.as_os_str().len()), "{name:?}");
            let key = "k".repeat(longest_key(bucket, true));
            let name = upload(Path::new(""), bucket, &key, "00000000-0000-0000-0000-000000000000");
            assert!((254..=255).contains(&name.as_os_str().len()), "{name:?}");
        }
    }
}
