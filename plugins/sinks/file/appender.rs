//! Appends batches of lines to a file, each completely or not at all.

use std::fs::{File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use runner_core::Result;
use tracing::{info, warn};

use super::tail;
use crate::shared::compression::Compression;

pub(super) struct Appender {
    path: PathBuf,
    compression: Compression,
    file: File,
    /// Pipes and devices (`/dev/stdout`) cannot be locked, truncated or synced.
    is_regular: bool,
    /// Whether only the owner may read the files that are created.
    is_private: bool,
    /// Where a failed write began that could not be truncated yet.
    failed_at: Option<u64>,
}

impl Appender {
    /// Opens and locks the file, and moves an incomplete tail of an earlier run away.
    pub(super) fn open(path: &Path, compression: Compression, is_private: bool) -> Result<Appender> {
        let shown = path.display();
        let existing = match path.metadata() {
            Ok(metadata) => Some(metadata.file_type()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("opening {shown}")),
        };
        if existing.is_some_and(|kind| kind.is_dir()) {
            bail!("{shown} is a folder: add a file name to `path`");
        }
        let is_regular = existing.is_none_or(|kind: FileType| kind.is_file());
        if existing.is_none() {
            create_parent(path, is_private)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(is_regular)
            .mode(mode(is_private))
            .open(path)
            .with_context(|| format!("opening {shown} for writing"))?;
        if is_regular {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    bail!("another run or sink writes to {shown}: use a different file, or wait")
                }
                Err(TryLockError::Error(error)) => {
                    // Some network file systems do not support locks.
                    warn!("{shown} cannot be locked against a second run ({error})");
                }
            }
            move_incomplete_tail(&file, path, compression, is_private)?;
        }
        if existing.is_none() {
            // The folder entry of a new file must be durable as well.
            runner_core::sync_parent(path).with_context(|| format!("creating {shown}"))?;
        }
        Ok(Appender { path: path.into(), compression, file, is_regular, is_private, failed_at: None })
    }

    /// Appends the lines and syncs them to disk. A failed write is truncated, so a retry
    /// writes nothing twice.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.reopen_if_moved()?;
        let frame = self.compression.compress(lines)?;
        if !self.is_regular {
            return self.file.write_all(&frame);
        }
        if let Some(start) = self.failed_at {
            self.file.set_len(start)?;
            self.failed_at = None;
        }
        let start = self.file.metadata()?.len();
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if written.is_err() && self.file.set_len(start).is_err() {
            self.failed_at = Some(start);
        }
        written
    }

    /// Reopens the path if the file was removed, where lines would be lost, or moved, as `logrotate` does.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if !self.is_regular {
            return Ok(());
        }
        match self.path.metadata() {
            Ok(named) if identity(&named) == identity(&self.file.metadata()?) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => info!("{} was moved or removed; creating it again", self.path.display()),
        }
        *self = Appender::open(&self.path, self.compression, self.is_private).map_err(io::Error::other)?;
        Ok(())
    }
}

/// Moves bytes after the last complete line or frame to a separate file. A crash may have left
/// them, or another program that used the file, so they are not deleted.
fn move_incomplete_tail(file: &File, path: &Path, compression: Compression, is_private: bool) -> Result<()> {
    let shown = path.display();
    let length = file.metadata()?.len();
    let complete =
        tail::complete_length(file, length, compression).with_context(|| format!("reading {shown}"))?;
    if complete < length {
        let n_bytes = length - complete;
        let tail = tail_path(path);
        let (what, shown_tail) =
            (if compression == Compression::None { "line" } else { "frame" }, tail.display());
        append_tail(file, complete, &tail, compression, is_private).with_context(|| {
            format!(
                "the last {n_bytes} bytes of {shown} are not a complete {what} and must be moved to {shown_tail}, \
                 which cannot be written: complete the {what}, or choose another `path`"
            )
        })?;
        file.set_len(complete)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("truncating {shown}"))?;
        warn!(
            "{shown} did not end with a complete {what}, as after a crash: its last {n_bytes} bytes were \
             appended to {shown_tail}"
        );
    }
    Ok(())
}

/// Appends the bytes of `file` from `start` to the file at `tail` and syncs it to disk.
fn append_tail(
    mut file: &File,
    start: u64,
    tail: &Path,
    compression: Compression,
    is_private: bool,
) -> io::Result<()> {
    let mut target = OpenOptions::new().create(true).append(true).mode(mode(is_private)).open(tail)?;
    file.seek(SeekFrom::Start(start))?;
    io::copy(&mut file, &mut target)?;
    if compression == Compression::None {
        // The next tail must begin on a new line.
        target.write_all(b"\n")?;
    }
    target.sync_all()?;
    runner_core::sync_parent(tail)
}

fn tail_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    name.into()
}

/// The mode of new files, before the umask.
fn mode(is_private: bool) -> u32 {
    if is_private { 0o600 } else { 0o666 }
}

fn create_parent(path: &Path, is_private: bool) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let create = if is_private { runner_core::create_private_folder } else { runner_core::create_folder };
    create(folder).with_context(|| format!("creating the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_line_is_moved_to_the_torn_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, torn) = (folder.path().join("out.jsonl"), folder.path().join("out.jsonl.torn"));
        for (before, after, aside) in [
            ("one\n", "one\nnew\n", None),
            ("", "new\n", None),
            ("one\ntwo\nthr", "one\ntwo\nnew\n", Some("thr\n")),
            ("never ended", "new\n", Some("thr\nnever ended\n")),
        ] {
            std::fs::write(&path, before).unwrap();
            Appender::open(&path, Compression::None, false).unwrap().append(b"new\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(std::fs::read_to_string(&torn).ok().as_deref(), aside);
        }
    }

    #[test]
    fn incomplete_frame_is_moved_to_the_torn_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, torn) = (folder.path().join("out.gz"), folder.path().join("out.gz.torn"));
        let frame = Compression::Gzip.compress(b"one\n").unwrap();
        let half = &frame[..frame.len() / 2];
        std::fs::write(&path, [&*frame, half].concat()).unwrap();
        drop(Appender::open(&path, Compression::Gzip, false).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), frame);
        assert_eq!(std::fs::read(&torn).unwrap(), half);
    }

    #[test]
    fn incomplete_tail_stays_if_it_cannot_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "one\ntw").unwrap();
        std::fs::create_dir(folder.path().join("out.torn")).unwrap();
        let error = Appender::open(&path, Compression::None, false).err().unwrap();
        assert!(format!("{error:#}").contains("out.torn, which cannot be written"), "{error:#}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw");
    }

    #[test]
    fn failed_write_is_truncated_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut appender = Appender::open(&path, Compression::None, false).unwrap();
        appender.append(b"one\n").unwrap();
        // A full disk leaves part of the lines.
        appender.failed_at = Some(4);
        appender.file.write_all(b"two\nthr").unwrap();
        appender.append(b"two\nthree\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }
}
