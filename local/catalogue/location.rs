//! A location: `s3://bucket/folder/`, and its folder on the disk.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A folder in a bucket, which need not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    /// The names of the folders below the bucket.
    pub(crate) folders: Vec<String>,
}

impl Location {
    /// Reads `s3://bucket/folder/`, with or without the `/` at the end.
    pub(crate) fn parse(url: &str) -> Result<Location, String> {
        let path = url.strip_prefix("s3://").or_else(|| url.strip_prefix("s3a://"));
        let path = path.ok_or_else(|| format!("`{url}` is not an S3 path: write s3://bucket/folder/"))?;
        let mut names = path.trim_end_matches('/').split('/').map(ToOwned::to_owned);
        let bucket = names.next().filter(|name| !name.is_empty());
        let bucket = bucket.ok_or_else(|| format!("`{url}` has no bucket: write s3://bucket/folder/"))?;
        let folders: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        // On the disk these would point outside the bucket.
        if folders.iter().chain([&bucket]).any(|name| name == "." || name == ".." || name.contains('\\')) {
            return Err(format!("`{url}` has a name that no folder can have"));
        }
        Ok(Location { bucket, folders })
    }

    pub(crate) fn on_disk(&self, root: &Path) -> PathBuf {
        let bucket = root.join(&self.bucket);
        self.folders.iter().fold(bucket, |path, name| path.join(name))
    }

    /// The level as Glue counts it: the bucket is 1.
    pub(crate) fn depth(&self) -> usize {
        1 + self.folders.len()
    }

    /// The location of this level that contains this one.
    pub(crate) fn at(&self, depth: usize) -> Location {
        Location { bucket: self.bucket.clone(), folders: self.folders[..depth - 1].to_vec() }
    }

    /// The last folder, or the bucket.
    pub(crate) fn name(&self) -> &str {
        self.folders.last().unwrap_or(&self.bucket)
    }

    pub(crate) fn below(&self, name: &str) -> Location {
        let mut below = self.clone();
        below.folders.push(name.to_owned());
        below
    }

    /// `s3://bucket/folder/`, with a `/` at the end.
    pub(crate) fn url(&self) -> String {
        let folders: String = self.folders.iter().map(|name| format!("{name}/")).collect();
        format!("s3://{}/{folders}", self.bucket)
    }

    /// Whether `other` is this location or below it.
    pub(crate) fn contains(&self, other: &Location) -> bool {
        self.bucket == other.bucket && other.folders.starts_with(&self.folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_a_folder_inside_its_bucket() {
        let location = Location::parse("s3://lake/a/b").unwrap();
        assert_eq!(location.on_disk(Path::new("/objects")), Path::new("/objects/lake/a/b"));
        assert_eq!((location.url().as_str(), location.depth(), location.name()), ("s3://lake/a/b/", 3, "b"));
        for wrong in ["lake/a", "s3://", "s3://lake/../other", "s3:///a"] {
            assert!(Location::parse(wrong).is_err(), "{wrong}");
        }
    }
}
