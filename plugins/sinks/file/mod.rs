//! `file`: appends every record to a file, one a line.

mod appender;
mod tail;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use memchr::memchr2;
use runner_core::{
    Body, BuildContext, Error, Failure, OptionError, Plugin, Record, Result, Sink, SinkConfig, WriteError,
    async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use appender::Appender;

use crate::shared::packing::Packing;

runner_core::register! {
    Plugin::sink::<FileConfig>("file").example(
        r#"type = "file"
inputs = ["json"]
path = "out/stocks.jsonl""#,
    )
}

/// Appends every record to a file, one a line.
///
/// A body is written as it is; a row that met no `to_json` as its CSV line. Each
/// batch is on the disk (`fsync`) before it counts as delivered, which bounds how
/// many batches a second a disk takes. Half a line at the end, as a crash leaves it, is
/// moved to a file beside it, `PATH.torn`, before anything is appended; whole lines that
/// were written but not yet counted when a run was killed are written again by the next one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    /// The file to append to; it and its folder are created if missing. While a run
    /// writes to it the file is locked against other runs.
    path: PathBuf,
    /// How the file is compressed. Each batch is a gzip member or zstd frame of its
    /// own, which every tool reads as one stream.
    #[serde(default = "auto")]
    compression: Compression,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Compression {
    /// As the name says: `.gz` is gzip, `.zst` is zstd, anything else is plain.
    Auto,
    /// Plain lines.
    None,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

fn auto() -> Compression {
    Compression::Auto
}

impl Compression {
    fn settled_for(self, path: &Path) -> Packing {
        match (self, path.extension().and_then(|extension| extension.to_str())) {
            (Compression::Gzip, _) | (Compression::Auto, Some("gz")) => Packing::Gzip,
            (Compression::Zstd, _) | (Compression::Auto, Some("zst")) => Packing::Zstd,
            (Compression::None | Compression::Auto, _) => Packing::None,
        }
    }
}

impl SinkConfig for FileConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        if self.path.as_os_str().is_empty() {
            return Err(OptionError::new("path", "the path is empty; name the file to append to"));
        }
        Ok(Box::new(FileSink::new(context.resolve(&self.path), self.compression)))
    }
}

struct FileSink {
    path: PathBuf,
    packing: Packing,
    /// Shared with the blocking thread that writes; there is one at a time.
    appender: Arc<Mutex<Option<Appender>>>,
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&mut self) -> Result<()> {
        let (path, packing) = (self.path.clone(), self.packing);
        let appender = spawn_blocking(move || Appender::open(&path, packing)).await??;
        *self.appender.lock().unwrap_or_else(PoisonError::into_inner) = Some(appender);
        Ok(())
    }

    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let (lines, failures) = lines(records);
        if !lines.is_empty() {
            let (path, appender) = (self.path.clone(), Arc::clone(&self.appender));
            let append = move || {
                let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
                let appender = appender.as_mut().context("the file has not been opened")?;
                appender.append(&lines).map_err(|error| refusal(&path, error))
            };
            spawn_blocking(append).await.context("writing a file")??;
        }
        WriteError::unless_empty(failures)
    }
}

impl FileSink {
    fn new(path: PathBuf, compression: Compression) -> Self {
        let packing = compression.settled_for(&path);
        FileSink { path, packing, appender: Arc::default() }
    }
}

/// The records as lines, and those that cannot be a line.
fn lines(records: &[Record]) -> (Vec<u8>, Vec<Failure>) {
    let size = records.iter().map(|record| record.size() + 1).sum();
    let mut lines = Vec::with_capacity(size);
    let mut failures = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let start = lines.len();
        match &record.body {
            Body::Row(row) => row.write_csv(&mut lines),
            body => match record.to_bytes() {
                Some(bytes) => lines.extend_from_slice(&bytes),
                None => debug_assert!(matches!(body, Body::Tombstone)),
            },
        }
        if let Some(error) = why_not_a_line(record, &lines[start..]) {
            lines.truncate(start);
            failures.push(Failure { index, error, retry: false });
        } else {
            lines.push(b'\n');
        }
    }
    (lines, failures)
}

fn why_not_a_line(record: &Record, line: &[u8]) -> Option<Error> {
    if matches!(record.body, Body::Tombstone) {
        return Some(anyhow!("a record without a body (a tombstone) cannot be a line of a file"));
    }
    memchr2(b'\n', b'\r', line).map(|at| {
        anyhow!(
            "the body has a line break at byte {at}, and a file holds one record a line: \
             put a `to_json` in front of the sink, which writes it on one line"
        )
    })
}

/// A disk may be emptied and a folder come back; what is not allowed stays so.
fn refusal(path: &Path, error: io::Error) -> WriteError {
    let says = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no room for more lines in",
        _ => "writing to",
    };
    let is_denied = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory
    );
    let error = Error::new(error).context(format!("{says} {}", path.display()));
    if is_denied { WriteError::Fatal(error) } else { WriteError::Retry(error) }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{context, records};

    use super::*;

    async fn opened(path: &Path, compression: Compression) -> FileSink {
        let mut sink = FileSink::new(path.into(), compression);
        sink.open().await.unwrap();
        sink
    }

    async fn write(sink: &dyn Sink, bodies: &[&str]) -> Result<(), WriteError> {
        sink.write(records(bodies.iter().copied()).records()).await
    }

    fn plain(path: &Path) -> String {
        use std::io::Read as _;
        let bytes = std::fs::read(path).unwrap();
        let mut text = String::new();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => flate2::read::MultiGzDecoder::new(&*bytes).read_to_string(&mut text),
            Some("zst") => zstd::Decoder::new(&*bytes).unwrap().read_to_string(&mut text),
            _ => (&*bytes).read_to_string(&mut text),
        }
        .unwrap();
        text
    }

    #[tokio::test]
    async fn runs_append_one_record_a_line_into_a_folder_that_is_made() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"] {
            let path = folder.path().join("new/deep").join(name);
            for run in ["1", "2"] {
                let sink = opened(&path, Compression::Auto).await;
                write(&sink, &["a", run]).await.unwrap();
                write(&sink, &["b"]).await.unwrap();
            }
            assert_eq!(plain(&path), "a\n1\nb\na\n2\nb\n", "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_line_is_rejected_and_the_rest_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let sink = opened(&path, Compression::None).await;
        let mut batch = records(["a", "b\nc", "gone", "d"]);
        batch.records_mut()[2].body = Body::Tombstone;
        let Err(WriteError::Partial(failures)) = sink.write(batch.records()).await else {
            panic!("two of them are no lines")
        };
        assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1, 2]);
        assert!(failures.iter().all(|failure| !failure.retry));
        assert!(failures[0].error.to_string().contains("line break at byte 1"));
        assert_eq!(plain(&path), "a\nd\n");
    }

    #[tokio::test]
    async fn a_full_disk_is_tried_again_and_names_the_path() {
        let sink = opened(Path::new("/dev/full"), Compression::None).await;
        let Err(WriteError::Retry(error)) = write(&sink, &["a"]).await else {
            panic!("a disk may be emptied")
        };
        assert!(format!("{error:#}").contains("no room for more lines in /dev/full"), "{error:#}");
    }

    #[test]
    fn what_is_not_allowed_is_not_tried_again() {
        let denied = refusal(Path::new("x"), io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, WriteError::Fatal(_)));
    }

    #[tokio::test]
    async fn a_folder_in_the_place_of_the_file_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(folder.path().into(), Compression::None);
        let error = format!("{:#}", sink.open().await.unwrap_err());
        assert!(error.contains("is a folder"), "{error}");
    }

    #[tokio::test]
    async fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let first = opened(&path, Compression::None).await;
        let mut second = FileSink::new(path.clone(), Compression::None);
        let error = second.open().await.unwrap_err().to_string();
        assert!(error.contains("another run or sink writes to"), "{error}");
        drop(first);
        second.open().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("out"), folder.path().join("out.1"));
        let sink = opened(&path, Compression::None).await;
        write(&sink, &["a"]).await.unwrap();
        std::fs::rename(&path, &moved).unwrap();
        write(&sink, &["b"]).await.unwrap();
        assert_eq!((plain(&moved), plain(&path)), ("a\n".into(), "b\n".into()));
    }

    #[test]
    fn an_empty_path_is_refused_when_the_file_is_checked() {
        let config: FileConfig = serde_json::from_str(r#"{ "path": "" }"#).unwrap();
        let error = config.build(&context()).err().unwrap();
        assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, "path");
    }

    #[tokio::test]
    async fn a_relative_path_begins_at_the_pipeline_file() {
        let folder = tempfile::tempdir().unwrap();
        let config: FileConfig = serde_json::from_str(r#"{ "path": "out/x.gz" }"#).unwrap();
        let context = BuildContext { folder: folder.path().into(), ..context() };
        let mut sink = config.build(&context).unwrap();
        assert!(!folder.path().join("out").exists(), "build has touched the disk");
        sink.open().await.unwrap();
        write(&*sink, &["a"]).await.unwrap();
        assert_eq!(plain(&folder.path().join("out/x.gz")), "a\n");
    }
}
