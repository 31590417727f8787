//! A dead-letter file during a replay: locked against other processes, and replaced atomically.
//!
//! After a crash the file is either the old or the new one, so no undelivered dead letter is lost.

use std::fs::{File, Metadata, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use runner_core::{create_private_file, sync_parent};
use runner_plugins::compression::Compression;

use super::reader::{Line, Lines};

/// The uncompressed size of a frame.
const FRAME: usize = 1 << 20;

/// The number of a dead letter, counted from 1 over all files of a replay.
pub(super) type Number = u32;

pub(super) struct LockedFile {
    path: PathBuf,
    compression: Compression,
    /// Keeps runs from appending to the file, and other replays from changing it.
    lock: File,
    /// For each line the dead letter that is being replayed; `None` for lines that are kept unchanged.
    lines: Vec<Option<Number>>,
}

/// What happens to the line of a dead letter.
pub(super) enum LineEdit<'a> {
    /// It is kept, because it is not delivered yet.
    Keep,
    /// It is replaced by these dead letters, or removed if there are none.
    Replace(&'a [bytes::Bytes]),
}

impl LockedFile {
    /// Locks a file. `number` returns the number of each line to be replayed.
    pub(super) fn open(path: &Path, mut number: impl FnMut(&Line) -> Option<Number>) -> Result<LockedFile> {
        let shown = path.display();
        let what = || format!("opening {shown}");
        // Resolved, so that a symbolic link is not replaced by a file.
        let path = path.canonicalize().with_context(what)?;
        let lock = File::open(&path).with_context(what)?;
        let is_same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let metadata = lock.metadata().with_context(what)?;
        if !metadata.is_file() {
            bail!("{shown} is not a regular file, so delivered dead letters cannot be removed from it");
        }
        match lock.try_lock() {
            Ok(()) if is_same(&metadata, &path.metadata().with_context(what)?) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => {
                bail!("{shown} is in use by a run or another replay; wait until it ends, or stop it")
            }
            Err(TryLockError::Error(error)) => return Err(error).context(format!("locking {shown}")),
        }
        // Fails before anything is delivered if delivered dead letters could not be removed later.
        let new_path = new_path(&path);
        create_private_file(&new_path)
            .and_then(|_| std::fs::remove_file(&new_path))
            .with_context(|| format!("{shown} cannot be replaced: writing {}", new_path.display()))?;
        let mut reader = Lines::open(&path)?;
        let lines = reader.by_ref().map(|line| Ok(number(&line?))).collect::<Result<_>>()?;
        reader.warn_if_truncated();
        Ok(LockedFile { path, compression: reader.compression(), lock, lines })
    }

    /// Reads its lines, each with its number if it is being replayed.
    pub(super) fn lines(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Line, Option<Number>)>> + Send + use<>> {
        let numbers = self.lines.clone();
        let lines = Lines::open(&self.path)?;
        Ok(lines.zip(numbers).map(|(line, number)| line.map(|line| (line, number))))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.lines.iter().copied().flatten()
    }

    /// Applies an edit to each dead letter that is being replayed; durable once this returns.
    pub(super) fn rewrite<'a>(&mut self, edit_of: impl Fn(Number) -> LineEdit<'a>) -> Result<()> {
        let new_path = new_path(&self.path);
        let what = || format!("writing {}", new_path.display());
        let mut new = create_private_file(&new_path).with_context(what)?;
        new.set_permissions(self.lock.metadata().with_context(what)?.permissions()).with_context(what)?;
        new.lock().with_context(what)?;
        let mut kept = Vec::new();
        let mut frame = Vec::new();
        for line in self.lines()? {
            let (line, number) = line?;
            match number.map(&edit_of) {
                None | Some(LineEdit::Keep) => {
                    frame.extend_from_slice(&line.bytes);
                    kept.push(number);
                }
                Some(LineEdit::Replace(letters)) => {
                    for letter in letters {
                        frame.extend_from_slice(letter);
                        frame.push(b'\n');
                        kept.push(None);
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
        let replaced = std::fs::rename(&new_path, &self.path).and_then(|()| sync_parent(&self.path));
        replaced.with_context(|| format!("replacing {}", self.path.display()))?;
        // Unlocks the old file only now that the new one, which is locked too, is in its place.
        self.lock = new;
        self.lines = kept;
        Ok(())
    }
}

/// Where the replacement of `path` is written. The name is fixed, so that a crash leaves at most one such file.
fn new_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.replay"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line except the first is a dead letter, numbered from 1.
    fn open(path: &Path) -> LockedFile {
        LockedFile::open(path, |line| (line.number > 1).then(|| line.number as Number - 1)).unwrap()
    }

    fn text(path: &Path) -> String {
        let lines = Lines::open(path).unwrap().map(|line| String::from_utf8(line.unwrap().bytes).unwrap());
        lines.collect()
    }

    #[test]
    fn rewrite_keeps_order_and_compression() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            std::fs::write(&path, compression.compress(b"note\none\ntwo\nthree\nfour").unwrap()).unwrap();
            let mut file = open(&path);
            let again = ["two again".into(), "and again".into()];
            let edit = |number| match number {
                1 => LineEdit::Replace(&[]),
                2 => LineEdit::Replace(&again),
                _ => LineEdit::Keep,
            };
            file.rewrite(edit).unwrap();
            assert_eq!(text(&path), "note\ntwo again\nand again\nthree\nfour");
            assert_eq!(file.numbers().collect::<Vec<_>>(), [3, 4]);
            let edit = |number| if number == 3 { LineEdit::Replace(&[]) } else { LineEdit::Keep };
            file.rewrite(edit).unwrap();
            assert_eq!(text(&path), "note\ntwo again\nand again\nfour");
            let mut bytes = File::open(&path).unwrap();
            assert_eq!(Compression::detect(&mut bytes).unwrap(), compression);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file remains");
        }
    }

    #[test]
    fn open_fails_while_another_process_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, "note\none\n").unwrap();
        let mut file = open(&path);
        let error = || LockedFile::open(&path, |_| None).err().unwrap().to_string();
        assert!(error().contains("is in use by a run"), "{}", error());
        file.rewrite(|_| LineEdit::Replace(&[])).unwrap();
        assert!(error().contains("is in use by a run"), "{}", error());
        drop(file);
        LockedFile::open(&path, |_| None).unwrap();
    }

    #[test]
    fn lines_are_those_of_the_file_before_a_rewrite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        std::fs::write(&path, "note\none\ntwo\n").unwrap();
        let mut file = open(&path);
        let lines = file.lines().unwrap();
        file.rewrite(|_| LineEdit::Replace(&[])).unwrap();
        let numbers: Vec<_> = lines.map(|line| line.unwrap().1).collect();
        assert_eq!(numbers, [None, Some(1), Some(2)]);
    }
}
