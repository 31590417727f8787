//! The metadata that users give to objects (`x-amz-meta-…`), in memory: the files have no place for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use s3s::dto::{ETag, Metadata};

/// Of how many objects metadata are kept; those of later objects are lost.
const AT_MOST: usize = 200_000;

/// The metadata of objects by bucket and key, for the version with that `ETag`.
#[derive(Default)]
pub(super) struct UserMetadata(Mutex<HashMap<String, (ETag, Metadata)>>);

impl UserMetadata {
    /// Keeps the metadata of an object that was just stored.
    pub(super) fn set(&self, bucket: &str, key: &str, e_tag: &ETag, metadata: Option<Metadata>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{bucket}/{key}");
        match metadata.filter(|metadata| !metadata.is_empty()) {
            Some(metadata) if all.len() < AT_MOST || all.contains_key(&name) => {
                all.insert(name, (e_tag.clone(), metadata));
            }
            _ => drop(all.remove(&name)),
        }
    }

    /// The metadata of this version of an object.
    pub(super) fn get(&self, bucket: &str, key: &str, e_tag: &ETag) -> Option<Metadata> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, metadata) = all.get(&format!("{bucket}/{key}"))?;
        (version == e_tag).then(|| metadata.clone())
    }
}
