//! A file of dead letters that a replay works on: locked, and replaced as a whole.
//!
//! It always holds what has not come through yet: a crash leaves the old file or the new one.

use std::fs::{File, Metadata, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use runner_plugins::compression::Compression;

use super::letters::{Line, Lines};

/// How much is packed into one frame.
const FRAME: usize = 1 << 20;

/// The number of a letter, counted from 1 over all files of a replay.
pub(super) type Number = u32;

pub(super) struct LetterFile {
    path: PathBuf,
    compression: Compression,
    /// Held as long as this lives: nobody else appends or replays.
    lock: File,
    /// For each line the letter that is being replayed; `None` for what stays as it is.
    lines: Vec<Option<Number>>,
}

/// What becomes of a letter's line.
pub(super) enum Fate<'a> {
    /// It has not come through.
    Stays,
    /// It has; these letters stand in its place.
    Replaced(&'a [bytes::Bytes]),
}

impl LetterFile {
    /// Locks a file and asks of each of its lines whether it is to be replayed.
    pub(super) fn open(path: &Path, mut judge: impl FnMut(&Line) -> Option<Number>) -> Result<LetterFile> {
        let shown = path.display();
        let what = || format!("opening {shown}");
        // What is a link stays one.
        let path = path.canonicalize().with_context(what)?;
        let lock = File::open(&path).with_context(what)?;
        let is_same =
            |file: &Metadata, named: &Metadata| (file.dev(), file.ino()) == (named.dev(), named.ino());
        let about = lock.metadata().with_context(what)?;
        if !about.is_file() {
            bail!("{shown} is no file that delivered letters could be removed from");
        }
        match lock.try_lock() {
            Ok(()) if is_same(&about, &path.metadata().with_context(what)?) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => {
                bail!("somebody writes to {shown}, a run or another replay: wait for its end, or stop it")
            }
            Err(TryLockError::Error(error)) => return Err(error).context(format!("locking {shown}")),
        }
        // What is delivered must leave the file: whether it can is asked before anything is.
        let new_path = beside(&path);
        File::create(&new_path)
            .and_then(|_| std::fs::remove_file(&new_path))
            .with_context(|| format!("{shown} cannot be replaced: writing {}", new_path.display()))?;
        let mut walk = Lines::open(&path)?;
        let lines = walk.by_ref().map(|line| Ok(judge(&line?))).collect::<Result<_>>()?;
        walk.say_what_is_torn();
        Ok(LetterFile { path, compression: walk.compression(), lock, lines })
    }

    /// Another walk over its lines, each with the letter that it is.
    pub(super) fn walk(&self) -> Result<impl Iterator<Item = Result<(Line, Option<Number>)>> + Send + use<>> {
        let numbers = self.lines.clone();
        let lines = Lines::open(&self.path)?;
        Ok(lines.zip(numbers).map(|(line, number)| line.map(|line| (line, number))))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.lines.iter().copied().flatten()
    }

    /// Replaces the file by what is left of it; durable once this returns.
    pub(super) fn rewrite<'a>(&mut self, fate_of: impl Fn(Number) -> Fate<'a>) -> Result<()> {
        let new_path = beside(&self.path);
        let what = || format!("writing {}", new_path.display());
        let mut new = File::create(&new_path).with_context(what)?;
        new.set_permissions(self.lock.metadata().with_context(what)?.permissions()).with_context(what)?;
        new.lock().with_context(what)?;
        let mut left = Vec::new();
        let mut frame = Vec::new();
        for walked in self.walk()? {
            let (line, number) = walked?;
            match number.map(&fate_of) {
                None | Some(Fate::Stays) => {
                    frame.extend_from_slice(&line.bytes);
                    left.push(number);
                }
                Some(Fate::Replaced(letters)) => {
                    for letter in letters {
                        frame.extend_from_slice(letter);
                        frame.push(b'\n');
                        left.push(None);
                    }
                }
            }
            if frame.len() >= FRAME {
                new.write_all(&self.compression.compress(&frame)?).with_context(what)?;
                frame.clear();
            }
        }
        if !frame.is_empty() {
            new.write_all(&self.compression.compress(&frame)?).with_context(what)?;
        }
        new.sync_all().with_context(what)?;
        let replaced = std::fs::rename(&new_path, &self.path)
            .and_then(|()| File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all());
        replaced.with_context(|| format!("replacing {}", self.path.display()))?;
        // The lock of the old file goes only now.
        self.lock = new;
        self.lines = left;
        Ok(())
    }
}

/// Where a file is written that is to replace `path`.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.replay"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line but the first is a letter, numbered from 1.
    fn open(path: &Path) -> LetterFile {
        LetterFile::open(path, |line| (line.number > 1).then(|| line.number as Number - 1)).unwrap()
    }

    fn text(path: &Path) -> String {
        let lines = Lines::open(path).unwrap().map(|line| String::from_utf8(line.unwrap().bytes).unwrap());
        lines.collect()
    }

    #[test]
    fn a_file_keeps_what_is_left_in_its_order_and_its_compression() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            std::fs::write(&path, compression.compress(b"note\none\ntwo\nthree\nfour").unwrap()).unwrap();
            let mut file = open(&path);
            let again = ["two again".into(), "and again".into()];
            let fate = |number| match number {
                1 => Fate::Replaced(&[]),
                2 => Fate::Replaced(&again),
                _ => Fate::Stays,
            };
            file.rewrite(fate).unwrap();
            assert_eq!(text(&path), "note\ntwo again\nand again\nthree\nfour");
            assert_eq!(file.numbers().collect::<Vec<_>>(), [3, 4]);
            let fate = |number| if number == 3 { Fate::Replaced(&[]) } else { Fate::Stays };
            file.rewrite(fate).unwrap();
            assert_eq!(text(&path), "note\ntwo again\nand again\nfour");
            let mut bytes = File::open(&path).unwrap();
            assert_eq!(Compression::detect(&mut bytes).unwrap(), compression);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
        }
    }

    #[test]
    fn a_file_that_somebody_writes_to_is_refused_before_and_after_a_rewrite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, "note\none\n").unwrap();
        let mut file = open(&path);
        let refused = || LetterFile::open(&path, |_| None).err().unwrap().to_string();
        assert!(refused().contains("somebody writes to"), "{}", refused());
        file.rewrite(|_| Fate::Replaced(&[])).unwrap();
        assert!(refused().contains("somebody writes to"), "{}", refused());
        drop(file);
        LetterFile::open(&path, |_| None).unwrap();
    }

    #[test]
    fn a_walk_goes_over_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, "note\none\ntwo\n").unwrap();
        let mut file = open(&path);
        let walk = file.walk().unwrap();
        file.rewrite(|_| Fate::Replaced(&[])).unwrap();
        let walked: Vec<_> = walk.map(|line| line.unwrap().1).collect();
        assert_eq!(walked, [None, Some(1), Some(2)]);
    }
}
