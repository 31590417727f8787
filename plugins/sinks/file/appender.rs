//! An appender adds whole batches of lines to a file, or nothing of them.

use std::fs::{File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
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
    /// Opens the file, locks it and puts aside what a crash has left half written.
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

/// Moves what stands behind the last whole line or frame into a file of its own: a crash may
/// have left it, and so may whoever had the file before us, to whom it is worth something.
fn mend(file: &File, path: &Path, packing: Packing) -> Result<()> {
    let shown = path.display();
    let length = file.metadata()?.len();
    let whole = tail::whole_length(file, length, packing).with_context(|| format!("reading {shown}"))?;
    if whole < length {
        let n_torn = length - whole;
        let torn = torn_path(path);
        let (what, shown_torn) = (if packing == Packing::None { "line" } else { "frame" }, torn.display());
        keep(file, whole, &torn, packing).with_context(|| {
            format!(
                "the last {n_torn} bytes of {shown} are no whole {what} and belong into {shown_torn}, which \
                 cannot be written: put an end to the {what}, or choose another `path`"
            )
        })?;
        file.set_len(whole).and_then(|()| file.sync_all()).with_context(|| format!("mending {shown}"))?;
        warn!(
            "{shown} did not end with a whole {what}, as a crash leaves it: its last {n_torn} bytes were moved \
             to the end of {shown_torn}"
        );
    }
    Ok(())
}

/// Appends what `file` has from `start` on to the file at `torn`, and waits until it is on the disk.
fn keep(mut file: &File, start: u64, torn: &Path, packing: Packing) -> io::Result<()> {
    let mut kept = OpenOptions::new().create(true).append(true).open(torn)?;
    file.seek(SeekFrom::Start(start))?;
    io::copy(&mut file, &mut kept)?;
    if packing == Packing::None {
        // What is cut off another time begins on a line of its own.
        kept.write_all(b"\n")?;
    }
    kept.sync_all()?;
    sync_folder_of(torn)
}

fn torn_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    name.into()
}

fn make_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    runner_core::create_folder(folder).with_context(|| format!("creating the folder {}", folder.display()))
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
    fn half_a_line_is_moved_aside_and_no_byte_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (path, torn) = (folder.path().join("out.jsonl"), folder.path().join("out.jsonl.torn"));
        for (before, after, aside) in [
            ("one\n", "one\nnew\n", None),
            ("", "new\n", None),
            ("one\ntwo\nthr", "one\ntwo\nnew\n", Some("thr\n")),
            ("never ended", "new\n", Some("thr\nnever ended\n")),
        ] {
            std::fs::write(&path, before).unwrap();
            Appender::open(&path, Packing::None).unwrap().append(b"new\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            assert_eq!(std::fs::read_to_string(&torn).ok().as_deref(), aside);
        }
    }

    #[test]
    fn half_a_frame_is_moved_aside_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, torn) = (folder.path().join("out.gz"), folder.path().join("out.gz.torn"));
        let frame = Packing::Gzip.pack(b"one\n").unwrap();
        let half = &frame[..frame.len() / 2];
        std::fs::write(&path, [&*frame, half].concat()).unwrap();
        drop(Appender::open(&path, Packing::Gzip).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), frame);
        assert_eq!(std::fs::read(&torn).unwrap(), half);
    }

    #[test]
    fn nothing_is_cut_off_that_cannot_be_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "one\ntw").unwrap();
        std::fs::create_dir(folder.path().join("out.torn")).unwrap();
        let error = Appender::open(&path, Packing::None).err().unwrap();
        assert!(format!("{error:#}").contains("out.torn, which cannot be written"), "{error:#}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw");
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
