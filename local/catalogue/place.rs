//! A place: an `s3://bucket/folder/`, and the folder of the disk that stands for it.

use std::path::{Path, PathBuf};

/// A place in a bucket; it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    /// The names of the folders below the bucket.
    pub(crate) folders: Vec<String>,
}

impl Place {
    /// Reads `s3://bucket/folder/`, with or without the `/` at the end.
    pub(crate) fn parse(url: &str) -> Result<Place, String> {
        let path = url.strip_prefix("s3://").or_else(|| url.strip_prefix("s3a://"));
        let path = path.ok_or_else(|| format!("`{url}` is no S3 path: write s3://bucket/folder/"))?;
        let mut names = path.split('/').filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        let bucket =
            names.next().ok_or_else(|| format!("`{url}` names no bucket: write s3://bucket/folder/"))?;
        let folders: Vec<String> = names.collect();
        // On the disk these would lead out of the bucket.
        if folders.iter().chain([&bucket]).any(|name| name == "." || name == ".." || name.contains('\\')) {
            return Err(format!("`{url}` has a name that no folder can have"));
        }
        Ok(Place { bucket, folders })
    }

    pub(crate) fn on_disk(&self, root: &Path) -> PathBuf {
        let bucket = root.join(&self.bucket);
        self.folders.iter().fold(bucket, |path, name| path.join(name))
    }

    /// The level as Glue counts it: the bucket is 1.
    pub(crate) fn depth(&self) -> usize {
        1 + self.folders.len()
    }

    /// The last folder, or the bucket.
    pub(crate) fn name(&self) -> &str {
        self.folders.last().unwrap_or(&self.bucket)
    }

    pub(crate) fn below(&self, name: &str) -> Place {
        let mut below = self.clone();
        below.folders.push(name.to_owned());
        below
    }

    /// `s3://bucket/folder/`, with a `/` at the end.
    pub(crate) fn url(&self) -> String {
        let folders: String = self.folders.iter().map(|name| format!("{name}/")).collect();
        format!("s3://{}/{folders}", self.bucket)
    }

    /// Whether `other` is this place or lies below it.
    pub(crate) fn holds(&self, other: &Place) -> bool {
        self.bucket == other.bucket && other.folders.starts_with(&self.folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_on_the_disk_and_never_outside_its_bucket() {
        let place = Place::parse("s3://lake/a/b").unwrap();
        assert_eq!(place.on_disk(Path::new("/objects")), Path::new("/objects/lake/a/b"));
        assert_eq!((place.url().as_str(), place.depth(), place.name()), ("s3://lake/a/b/", 3, "b"));
        for wrong in ["lake/a", "s3://", "s3://lake/../other", "s3:///a"] {
            assert!(Place::parse(wrong).is_err() || wrong == "s3:///a", "{wrong}");
        }
    }

    #[test]
    fn a_folder_holds_what_lies_below_it_and_not_its_namesakes() {
        let lake = Place::parse("s3://lake/a/").unwrap();
        assert!(lake.holds(&Place::parse("s3://lake/a/b").unwrap()));
        assert!(!lake.holds(&Place::parse("s3://lake/ab").unwrap()));
    }
}
