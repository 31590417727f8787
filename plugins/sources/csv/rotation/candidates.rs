//! The files among which a renamed one may be.

use std::collections::{HashMap, HashSet};
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::super::files::{file_name, is_compressed, modified, uncompressed};
use super::super::position::Cursor;

/// A file that may be one which was renamed.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// Whether a pattern matches it.
    pub(super) is_found: bool,
}

impl Candidate {
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some(Candidate { path: path.to_owned(), metadata, is_found: false })
    }

    pub(super) fn inode(&self) -> u64 {
        self.metadata.ino()
    }

    pub(super) fn modified(&self) -> u64 {
        modified(&self.metadata)
    }

    pub(super) fn name(&self) -> &str {
        file_name(&self.path)
    }

    /// Whether it is the archive that a program is making of another file.
    pub(super) fn is_being_compressed(&self) -> bool {
        is_compressed(self.name()) && self.path.with_file_name(uncompressed(self.name())).exists()
    }
}

/// The files that the patterns match and, with `follow`, those beside a file that was moved, without those of cursors.
pub(super) struct Candidates {
    files: Vec<Candidate>,
    by_inode: HashMap<u64, Vec<usize>>,
    by_second: HashMap<u64, Vec<usize>>,
    archives: Vec<usize>,
    /// The paths of cursors.
    claimed: HashSet<PathBuf>,
}

impl Candidates {
    /// The files for the cursors at the indices `lost`, among them those that are beside some cursors.
    pub(super) fn new<'a>(
        cursors: &[Cursor],
        lost: &[usize],
        found: &[PathBuf],
        beside: impl Iterator<Item = &'a Cursor>,
    ) -> Self {
        let is_lost: HashSet<usize> = lost.iter().copied().collect();
        let known = cursors.iter().enumerate().filter(|(index, it)| !it.is_gone && !is_lost.contains(index));
        let claimed = known.map(|(_, cursor)| PathBuf::from(&cursor.path)).collect();
        let mut it = Candidates {
            files: Vec::new(),
            by_inode: HashMap::new(),
            by_second: HashMap::new(),
            archives: Vec::new(),
            claimed,
        };
        let mut listed = HashSet::new();
        for path in found {
            it.add(path, true, &mut listed);
        }
        for path in beside.flat_map(siblings) {
            it.add(&path, false, &mut listed);
        }
        it
    }

    fn add(&mut self, path: &Path, is_found: bool, listed: &mut HashSet<PathBuf>) {
        if self.claimed.contains(path) || !listed.insert(path.to_owned()) {
            return;
        }
        let Some(at_path) = Candidate::at(path) else { return };
        let (index, candidate) = (self.files.len(), Candidate { is_found, ..at_path });
        self.by_inode.entry(candidate.inode()).or_default().push(index);
        self.by_second.entry(second(candidate.modified())).or_default().push(index);
        if is_compressed(candidate.name()) {
            self.archives.push(index);
        }
        self.files.push(candidate);
    }

    /// Gives a path to a cursor.
    pub(super) fn claim(&mut self, path: PathBuf) {
        self.claimed.insert(path);
    }

    pub(super) fn is_claimed(&self, path: &Path) -> bool {
        self.claimed.contains(path)
    }

    /// All files without a cursor.
    pub(super) fn all(&self) -> impl Iterator<Item = &Candidate> {
        self.files.iter().filter(|file| !self.is_claimed(&file.path))
    }

    fn at<'a>(&'a self, indices: &'a [usize]) -> impl Iterator<Item = &'a Candidate> {
        indices.iter().map(|&index| &self.files[index]).filter(|file| !self.is_claimed(&file.path))
    }

    pub(super) fn with_inode(&self, inode: u64) -> impl Iterator<Item = &Candidate> {
        self.at(self.by_inode.get(&inode).map_or(&[], Vec::as_slice))
    }

    /// Those that were modified in the same second.
    pub(super) fn modified_in_second_of(&self, modified: u64) -> impl Iterator<Item = &Candidate> {
        self.at(self.by_second.get(&second(modified)).map_or(&[], Vec::as_slice))
    }

    /// The archives in the folder of a file, by their names, that were not modified before it.
    pub(super) fn archives_beside(&self, path: &Path, modified: u64) -> impl Iterator<Item = &Candidate> {
        let is_beside = move |file: &&Candidate| {
            second(file.modified()) >= second(modified)
                && file.path.parent() == path.parent()
                && !file.is_being_compressed()
        };
        self.at(&self.archives).filter(is_beside)
    }
}

/// The seconds of a time in nanoseconds: some programs that copy a file keep no more of its time.
fn second(modified: u64) -> u64 {
    modified / 1_000_000_000
}

/// Files in the folder of a lost file that may be it: with its inode, or named alike.
fn siblings(lost: &Cursor) -> Vec<PathBuf> {
    let path = Path::new(&lost.path);
    let Some(Ok(entries)) = path.parent().map(std::fs::read_dir) else { return Vec::new() };
    let is_sibling =
        |entry: &DirEntry| entry.ino() == lost.inode || is_named_alike(path, file_name(&entry.path()));
    let mut siblings: Vec<PathBuf> = entries.flatten().filter(is_sibling).map(|entry| entry.path()).collect();
    siblings.sort();
    siblings
}

/// Whether a name begins like that of a file, as those that rotation gives.
pub(super) fn is_named_alike(path: &Path, name: &str) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| name.starts_with(stem))
}
