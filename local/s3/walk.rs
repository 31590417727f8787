//! A walk: the objects and common prefixes of one page of a listing, in the order of their keys.

use std::io;
use std::path::Path;

use super::folders::{Folders, holds_a_file};

/// Which page is wanted.
pub(super) struct Wanted {
    pub(super) prefix: String,
    /// Keys that share what stands before it behind the prefix count as one item.
    pub(super) delimiter: Option<String>,
    /// Items that sort after this one; all if it is empty.
    pub(super) after: String,
    /// How many items at most.
    pub(super) limit: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The key of an object.
    Object(String),
    /// A common prefix.
    Group(String),
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// Whether there are items behind these.
    pub(super) is_truncated: bool,
}

/// Walks through the folder of a bucket, and there only where the page lies.
pub(super) fn walk(folders: &Folders, bucket: &Path, wanted: &Wanted) -> io::Result<Page> {
    let page = Page { items: Vec::new(), is_truncated: false };
    let mut walk = Walk { folders, bucket, wanted, page };
    if wanted.limit > 0 {
        walk.enter("")?;
    }
    Ok(walk.page)
}

struct Walk<'a> {
    folders: &'a Folders,
    bucket: &'a Path,
    wanted: &'a Wanted,
    page: Page,
}

impl Walk<'_> {
    /// Goes through a folder, whose keys all begin with `base`.
    fn enter(&mut self, base: &str) -> io::Result<()> {
        let names = self.folders.names(&self.bucket.join(base))?;
        let first =
            first_at(&names, base, &self.wanted.prefix).max(first_at(&names, base, &self.wanted.after));
        for name in &names[first..] {
            if self.page.is_truncated {
                break;
            }
            let key = format!("{base}{name}");
            if key.starts_with(&self.wanted.prefix) {
                self.meet(key)?;
            } else if self.wanted.prefix.starts_with(&key) && key.ends_with('/') {
                self.enter(&key)?;
            } else if key > self.wanted.prefix {
                break;
            }
        }
        Ok(())
    }

    /// Takes a key that begins with the prefix; one that ends in a slash is a folder.
    fn meet(&mut self, key: String) -> io::Result<()> {
        let is_folder = key.ends_with('/');
        let group = self.wanted.delimiter.as_deref().and_then(|delimiter| {
            let rest = &key[self.wanted.prefix.len()..];
            rest.find(delimiter).map(|at| &key[..self.wanted.prefix.len() + at + delimiter.len()])
        });
        match group {
            Some(group) => {
                let is_new = self.page.items.last().is_none_or(|it| *it != Item::Group(group.to_owned()));
                if is_new && group > self.wanted.after.as_str() {
                    // A folder may have been left empty by the deletion of its objects.
                    let group = group.to_owned();
                    if !is_folder || holds_a_file(&self.bucket.join(&key))? {
                        self.push(Item::Group(group));
                    }
                }
            }
            None if is_folder => self.enter(&key)?,
            None if key > self.wanted.after => self.push(Item::Object(key)),
            None => {}
        }
        Ok(())
    }

    fn push(&mut self, item: Item) {
        if self.page.items.len() == self.wanted.limit {
            self.page.is_truncated = true;
        } else {
            self.page.items.push(item);
        }
    }
}

/// Where the keys begin that are `bound` or sort after it; a folder that `bound` lies in counts.
fn first_at(names: &[String], base: &str, bound: &str) -> usize {
    let Some(bound) = bound.strip_prefix(base) else { return 0 };
    names.partition_point(|name| name.as_str() < bound && !(name.ends_with('/') && bound.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEYS: [&str; 9] = ["a", "b-1", "b/1", "b/2/x", "b/2/y", "b0", "c d/e", "c/f", "ä"];

    fn bucket() -> tempfile::TempDir {
        let bucket = tempfile::tempdir().unwrap();
        for key in KEYS {
            let path = bucket.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        fs::create_dir_all(bucket.path().join("b/empty/empty")).unwrap();
        bucket
    }

    fn all(bucket: &Path, prefix: &str, delimiter: Option<&str>, after: &str, limit: usize) -> Vec<String> {
        let folders = Folders::default();
        let mut wanted = Wanted {
            prefix: prefix.into(),
            delimiter: delimiter.map(Into::into),
            after: after.into(),
            limit,
        };
        let mut names = Vec::new();
        loop {
            let page = walk(&folders, bucket, &wanted).unwrap();
            assert!(page.items.len() <= limit && (page.items.len() == limit || !page.is_truncated));
            names.extend(page.items.into_iter().map(|item| match item {
                Item::Object(key) => key,
                Item::Group(prefix) => format!("[{prefix}]"),
            }));
            if !page.is_truncated {
                return names;
            }
            wanted.after = names.last().unwrap().trim_matches(['[', ']']).to_owned();
        }
    }

    /// What a listing is, told of keys in memory.
    fn told(prefix: &str, delimiter: Option<&str>, after: &str) -> Vec<String> {
        let mut keys = KEYS;
        keys.sort_unstable();
        let mut names: Vec<String> = Vec::new();
        for key in keys {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let end = delimiter.and_then(|it| rest.find(it).map(|at| prefix.len() + at + it.len()));
            let (item, name) = match end {
                Some(end) => (&key[..end], format!("[{}]", &key[..end])),
                None => (key, key.to_owned()),
            };
            if item > after && names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    }

    #[test]
    fn pages_of_any_size_hold_the_same_sorted_items() {
        let bucket = bucket();
        let bounds =
            ["", "a", "b", "b/", "b/2", "b/2/", "b/2/x", "b/2/xx", "b0", "c", "c d/", "ä", "zz", "b/z"];
        for prefix in bounds {
            for delimiter in [None, Some("/"), Some("2/"), Some("-"), Some(" ")] {
                for after in bounds {
                    for limit in [1, 2, 3, 100] {
                        assert_eq!(
                            all(bucket.path(), prefix, delimiter, after, limit),
                            told(prefix, delimiter, after),
                            "prefix {prefix:?} delimiter {delimiter:?} after {after:?} limit {limit}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn no_items_are_asked_for_and_none_are_behind() {
        let wanted = Wanted { prefix: String::new(), delimiter: None, after: String::new(), limit: 0 };
        let page = walk(&Folders::default(), bucket().path(), &wanted).unwrap();
        assert!(page.items.is_empty() && !page.is_truncated);
    }
}
