//! An appender adds whole batches of lines to a file, or nothing of them.

use std::fs::{File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use runner_core::Result;
use tracing::{info, warn};

use super::tail;
use crate::shared::packing::Packing;

pub(super) struct Appender {
    path: PathBuf,
    packing: Packing,
    file: File,
    /// Pipes and devices (`/dev/stdout`) cannot be locked, cut or synced.
    is_regular: bool,
    /// Where a write began that failed and could not be undone yet.
    torn_from: Option<u64>,
}

impl Appender {
    /// Opens the file, locks it and cuts off what a crash has left half written.
    pub(super) fn open(path: &Path, packing: Packing) -> Result<Appender> {
        let shown = path.display();
        let there = match path.metadata() {
            Ok(metadata) => Some(metadata.file_type()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("opening {shown}")),
        };
        if there.is_some_and(|kind| kind.is_dir()) {
            bail!("{shown} is a folder, and the sink needs a file: add a name to `path`");
        }
        let is_regular = there.is_none_or(|kind: FileType| kind.is_file());
        if there.is_none() {
            make_folder_of(path)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(is_regular)
            .open(path)
            .with_context(|| format!("opening {shown} for writing"))?;
        if is_regular {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    bail!("another run or sink writes to {shown}: give this one a file of its own, or wait")
                }
                Err(TryLockError::Error(error)) => {
                    // Some network file systems know no locks; that is no reason to write nothing.
                    warn!("{shown} cannot be locked against a second run ({error})");
                }
            }
            mend(&file, path, packing)?;
        }
        if there.is_none() {
            // The name of a new file lies in its folder, and that must last too.
            sync_folder_of(path).with_context(|| format!("creating {shown}"))?;
        }
        Ok(Appender { path: path.into(), packing, file, is_regular, torn_from: None })
    }

    /// Adds the lines and waits until they are on the disk. A failed write is
    /// undone, so that it can be tried again without writing anything twice.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.follow_the_path()?;
        let frame = self.packing.pack(lines)?;
        if !self.is_regular {
            return self.file.write_all(&frame);
        }
        if let Some(start) = self.torn_from {
            self.file.set_len(start)?;
            self.torn_from = None;
        }
        let start = self.file.metadata()?.len();
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if written.is_err() && self.file.set_len(start).is_err() {
            self.torn_from = Some(start);
        }
        written
    }

    /// Opens the path anew where it names another file than ours: lines written to a
    /// file that has been removed would be lost, and `logrotate` moves them away.
    fn follow_the_path(&mut self) -> io::Result<()> {
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if !self.is_regular {
            return Ok(());
        }
        match self.path.metadata() {
            Ok(named) if identity(&named) == identity(&self.file.metadata()?) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => info!("{} was moved away or removed; it is begun anew", self.path.display()),
        }
        *self = Appender::open(&self.path, self.packing).map_err(io::Error::other)?;
        Ok(())
    }
}

/// Cuts off what stands behind the last whole line or frame.
fn mend(file: &File, path: &Path, packing: Packing) -> Result<()> {
    let shown = path.display();
    let length = file.metadata()?.len();
    let whole = tail::whole_length(file, length, packing).with_context(|| format!("reading {shown}"))?;
    if whole < length {
        let n_torn = length - whole;
        warn!("cutting {n_torn} bytes off the end of {shown}: a crash has left half a record there");
        file.set_len(whole).and_then(|()| file.sync_all()).with_context(|| format!("mending {shown}"))?;
    }
    Ok(())
}

fn make_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).with_context(|| format!("creating the folder {}", folder.display()))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_cut_off_and_whole_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (before, after) in [
            ("one\ntwo\nthr", "one\ntwo\nnew\n"),
            ("one\n", "one\nnew\n"),
            ("", "new\n"),
            ("never ended", "new\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            Appender::open(&path, Packing::None).unwrap().append(b"new\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[test]
    fn a_write_that_failed_is_undone_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut appender = Appender::open(&path, Packing::None).unwrap();
        appender.append(b"one\n").unwrap();
        // As a full disk leaves it: some lines are there, and none may stay.
        appender.torn_from = Some(4);
        appender.file.write_all(b"two\nthr").unwrap();
        appender.append(b"two\nthree\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }
}
