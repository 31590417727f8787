//! A walk: the objects and common prefixes of one page of a listing, in the order of keys.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Which page is wanted.
pub(super) struct Wanted {
    pub(super) prefix: String,
    /// Keys with the same text up to the delimiter after the prefix are one item.
    pub(super) delimiter: Option<String>,
    /// The page starts after this item; at the first one if it is empty.
    pub(super) after: String,
    /// How many items at most.
    pub(super) limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The key of an object.
    Object(String),
    /// A common prefix.
    Group(String),
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// Whether there are more items.
    pub(super) is_truncated: bool,
}

pub(super) fn walk(bucket: &Path, wanted: &Wanted) -> io::Result<Page> {
    let mut keys = Vec::new();
    // Only the folder of the prefix can have items.
    let folder = wanted.prefix.rfind('/').map_or("", |end| &wanted.prefix[..=end]);
    gather(bucket, folder, &mut keys)?;
    keys.retain(|key| key.starts_with(&wanted.prefix));
    keys.sort_unstable();
    let start = wanted.prefix.len();
    let items = keys.into_iter().map(|key| {
        let end = wanted.delimiter.as_deref().and_then(|it| Some(start + key[start..].find(it)? + it.len()));
        end.map_or_else(|| Item::Object(key.clone()), |end| Item::Group(key[..end].to_owned()))
    });
    let mut items: Vec<Item> = items.filter(|item| item.name() > wanted.after.as_str()).collect();
    items.dedup();
    let is_truncated = wanted.limit > 0 && items.len() > wanted.limit;
    items.truncate(wanted.limit);
    Ok(Page { items, is_truncated })
}

/// Collects the keys of all objects in a folder of a bucket.
fn gather(bucket: &Path, folder: &str, keys: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(bucket.join(folder)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // A name that is not UTF-8 is not a key.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            gather(bucket, &format!("{folder}{name}/"), keys)?;
        } else {
            keys.push(format!("{folder}{name}"));
        }
    }
    Ok(())
}

impl Item {
    pub(super) fn name(&self) -> &str {
        match self {
            Item::Object(name) | Item::Group(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_all_sizes_have_the_same_sorted_items() {
        let bucket = tempfile::tempdir().unwrap();
        for key in ["a", "b-1", "b/1", "b/2/x", "b/2/y", "b0", "c d/e", "ä"] {
            let path = bucket.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        fs::create_dir_all(bucket.path().join("b/empty/empty")).unwrap();
        for (prefix, delimiter, after, expected) in [
            ("", None, "", "a b-1 b/1 b/2/x b/2/y b0 c d/e ä"),
            ("", Some("/"), "", "a b-1 b/ b0 c d/ ä"),
            ("", Some("/"), "b/", "b0 c d/ ä"),
            ("b", None, "b/2/x", "b/2/y b0"),
            ("b/", Some("/"), "", "b/1 b/2/"),
            ("b/2", Some("-"), "", "b/2/x b/2/y"),
            ("x/", None, "", ""),
        ] {
            for limit in [1, 2, 100] {
                let delimiter = delimiter.map(Into::into);
                let mut wanted = Wanted { prefix: prefix.into(), delimiter, after: after.into(), limit };
                let mut names = Vec::new();
                loop {
                    let page = walk(bucket.path(), &wanted).unwrap();
                    names.extend(page.items.iter().map(|item| item.name().to_owned()));
                    if !page.is_truncated {
                        break;
                    }
                    assert_eq!(page.items.len(), limit);
                    wanted.after = names.last().unwrap().clone();
                }
                assert_eq!(names.join(" "), expected, "{prefix:?} after {after:?}, {limit} a page");
            }
        }
    }
}
