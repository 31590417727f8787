//! `file`: appends every record to a file, one per line.

mod appender;
mod delimiters;
mod tail;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use memchr::memchr2;
use runner_core::{
    Batch, Body, BuildContext, Error, Failure, OptionError, Plugin, Record, Result, Sink, SinkConfig,
    WriteError, Written, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tracing::warn;

use appender::Appender;
use delimiters::Delimiters;

use crate::shared::compression::Compression;
use crate::shared::file_loop;
use crate::shared::json_text::is_name_of_json;

runner_core::register! {
    Plugin::sink::<FileConfig>("file").example(
        r#"type = "file"
inputs = ["json"]
path = "out/stocks.jsonl""#,
    )
}

/// Appends every record to a file, one per line.
///
/// A body is written as it is. A row that no `to_json` has converted is written as its CSV line, with the delimiter of
/// its source; the sink warns of a file with lines of several delimiters, and of a file whose name is that of JSON.
/// Each batch is synced to disk (`fsync`) before its records count as delivered, so the disk
/// limits the number of batches per second. When the file is opened, an incomplete last
/// line, as after a crash, is moved to the file `PATH.torn`. Lines that were written but not
/// acknowledged when a run was killed are written again by the next run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    /// The file to append to. The file and its folder are created if missing. The file is
    /// locked against other runs while a run writes to it. The path has no templates: `{{ … }}` and `%Y` are refused.
    path: PathBuf,
    /// How the file is compressed; `"auto"` uses the file name: `.gz` is gzip, `.zst` is
    /// zstd, anything else is not compressed. Each batch is a separate gzip member or zstd
    /// frame, which all tools read as one stream.
    #[serde(default)]
    compression: Compression,
}

impl SinkConfig for FileConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        if self.path.as_os_str().is_empty() {
            return Err(OptionError::new("path", "the path is empty; name the file to append to"));
        }
        if let Some(template) = self.path.to_str().and_then(template_in) {
            let message = format!(
                "`{template}` would be part of the name: this sink writes all records to one file, and its path has no \
                 templates. Give it a fixed name (`${{NAME}}` of the environment is possible); the `s3` sink has a name for \
                 each record (`key`)"
            );
            return Err(OptionError::new("path", message));
        }
        let path = context.resolve(&self.path);
        Ok(Box::new(FileSink::new(path, self.compression, context.is_dead_letter)))
    }
}

/// What other sinks and programs replace in a path: `{{ … }}`, or the parts of a date for `strftime`.
fn template_in(path: &str) -> Option<&str> {
    if path.contains("{{") {
        return Some("{{ … }}");
    }
    // The percent sign of `100%.csv`, `50%discount` or `a%20b` is a part of the name.
    let is_part_of_date = |&(at, _): &(usize, &str)| {
        let mut after = path[at + 1..].chars();
        after.next().is_some_and(|it| "YymdHMSjFTs".contains(it))
            && !after.next().is_some_and(char::is_alphanumeric)
    };
    path.match_indices('%').find(is_part_of_date).map(|(at, _)| &path[at..at + 2])
}

struct FileSink {
    path: PathBuf,
    compression: Compression,
    /// Whether the file holds dead letters, which only its owner may read.
    is_private: bool,
    delimiters: Delimiters,
    /// Whether the name of the file is that of JSON, and the sink has not warned of a row of a CSV file.
    warns_of_rows: AtomicBool,
    /// Shared with the blocking thread that writes; there is one write at a time.
    appender: Arc<Mutex<Option<Appender>>>,
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&mut self) -> Result<(), Failure> {
        let (path, compression, is_private) = (self.path.clone(), self.compression, self.is_private);
        let opening = spawn_blocking(move || Appender::open(&path, compression, is_private));
        let appender = opening.await.context("opening a file")??;
        *self.appender.lock().unwrap_or_else(PoisonError::into_inner) = Some(appender);
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        if let Some(warning) = self.delimiters.warning_about(batch.records()) {
            warn!("{}: {warning}", self.path.display());
        }
        if self.is_first_row(batch.records()) {
            warn!(
                "{}: CSV rows are written as CSV lines, although the name is that of JSON; put the transform `to_json` \
                 before this sink to write JSON",
                self.path.display()
            );
        }
        let (lines, failures) = lines(batch.records());
        if !lines.is_empty() {
            let (path, appender) = (self.path.clone(), Arc::clone(&self.appender));
            let append = move || -> Result<(), Failure> {
                let mut appender = appender.lock().unwrap_or_else(PoisonError::into_inner);
                let appender = appender.as_mut().context("the file has not been opened")?;
                appender.append(&lines).map_err(|error| write_error(&path, error))
            };
            spawn_blocking(append).await.context("writing a file")??;
        }
        WriteError::of_records(failures)
    }

    fn written(&self) -> Option<Written> {
        Some(file_loop::written(&self.path))
    }

    fn destination(&self, record: &Record) -> Result<Option<String>> {
        let (_, failures) = lines(std::slice::from_ref(record));
        match failures.into_iter().next() {
            Some((_, failure)) => Err(failure.into_error()),
            None => Ok(Some(format!("a line of {}", self.path.display()))),
        }
    }
}

impl FileSink {
    fn new(path: PathBuf, compression: Compression, is_private: bool) -> Self {
        let name = path.to_string_lossy();
        let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let warns_of_rows = AtomicBool::new(is_name_of_json(name));
        FileSink {
            compression: compression.for_path(&path),
            path,
            is_private,
            delimiters: Delimiters::default(),
            warns_of_rows,
            appender: Arc::default(),
        }
    }

    /// Whether these are the first rows of a CSV file for a file whose name is that of JSON.
    fn is_first_row(&self, records: &[Record]) -> bool {
        let is_row = records.first().is_some_and(|record| matches!(record.body, Body::Row(_)));
        is_row && self.warns_of_rows.swap(false, Ordering::Relaxed)
    }
}

/// The records as lines, and those that cannot be a line.
fn lines(records: &[Record]) -> (Vec<u8>, Vec<(usize, Failure)>) {
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
        if let Some(error) = line_error(record, &lines[start..]) {
            lines.truncate(start);
            failures.push((index, Failure::rejected(error)));
        } else {
            lines.push(b'\n');
        }
    }
    (lines, failures)
}

fn line_error(record: &Record, line: &[u8]) -> Option<Error> {
    if matches!(record.body, Body::Tombstone) {
        return Some(anyhow!("a record without a body (a tombstone) cannot be written as a line"));
    }
    memchr2(b'\n', b'\r', line).map(|at| {
        anyhow!(
            "the body has a line break at byte {at}, but the file has one record per line: \
             add a `to_json` transform before the sink"
        )
    })
}

/// Most errors are retried, for example until a full disk has space. A denied access fails the run.
fn write_error(path: &Path, error: io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no room for more lines in",
        _ => "writing to",
    };
    let is_denied = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory
    );
    let error = Error::new(error).context(format!("{what} {}", path.display()));
    if is_denied { Failure::fatal(error) } else { Failure::transient(error) }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{context, records};
    use runner_core::{Class, ColumnType};

    use super::*;
    use crate::shared::test_rows::rows;

    async fn opened(path: &Path, compression: Compression) -> FileSink {
        let mut sink = FileSink::new(path.into(), compression, false);
        sink.open().await.unwrap();
        sink
    }

    async fn write(sink: &dyn Sink, bodies: &[&str]) -> Result<(), WriteError> {
        let batch = records(bodies.iter().copied());
        let written = sink.write(&batch).await;
        batch.ack();
        written
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
    async fn file_sink_appends_lines_and_creates_the_folder() {
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
    async fn file_sink_rejects_bodies_with_line_breaks_and_writes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let sink = opened(&path, Compression::None).await;
        let mut batch = records(["a", "b\nc", "gone", "d"]);
        batch.records_mut()[2].body = Body::Tombstone;
        let Err(WriteError::Records(failures)) = sink.write(&batch).await else {
            panic!("two of them are not single lines")
        };
        batch.ack();
        let classes: Vec<_> = failures.iter().map(|(index, failure)| (*index, failure.class())).collect();
        assert_eq!(classes, [(1, Class::Rejected), (2, Class::Rejected)]);
        assert!(failures[0].1.to_string().contains("line break at byte 1"));
        assert_eq!(plain(&path), "a\nd\n");
    }

    #[test]
    fn rows_in_a_file_with_the_name_of_json_are_warned_of_once() {
        let rows = rows(&[("a", ColumnType::String)], "", &[&["x"]]);
        let json = records(["{}"]);
        for (name, warns) in
            [("a.json", true), ("a.JSONL", true), ("a.ndjson.gz", true), ("a.csv", false), ("json", false)]
        {
            let sink = FileSink::new(name.into(), Compression::Auto, false);
            let first = [&json, &rows, &rows].map(|batch| sink.is_first_row(batch.records()));
            assert_eq!(first, [false, warns, false], "{name}");
        }
        rows.ack();
        json.ack();
    }

    #[tokio::test]
    async fn file_sink_retries_on_a_full_disk_and_names_the_path() {
        let sink = opened(Path::new("/dev/full"), Compression::None).await;
        let Err(WriteError::All(failure)) = write(&sink, &["a"]).await else { panic!("nothing is written") };
        assert_eq!(failure.class(), Class::Transient);
        let text = format!("{:#}", failure.error());
        assert!(text.contains("no room for more lines in /dev/full"), "{text}");
    }

    #[test]
    fn file_sink_does_not_retry_on_permission_denied() {
        let denied = write_error(Path::new("x"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.class(), Class::Fatal);
    }

    #[tokio::test]
    async fn file_sink_refuses_a_folder_as_path() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(folder.path().into(), Compression::None, false);
        let error = format!("{:#}", sink.open().await.unwrap_err());
        assert!(error.contains("is a folder"), "{error}");
    }

    #[tokio::test]
    async fn file_sink_refuses_a_second_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let first = opened(&path, Compression::None).await;
        let mut second = FileSink::new(path.clone(), Compression::None, false);
        let error = second.open().await.unwrap_err().to_string();
        assert!(error.contains("another run or sink writes to"), "{error}");
        drop(first);
        second.open().await.unwrap();
    }

    #[tokio::test]
    async fn file_sink_recreates_a_moved_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("out"), folder.path().join("out.1"));
        let sink = opened(&path, Compression::None).await;
        write(&sink, &["a"]).await.unwrap();
        std::fs::rename(&path, &moved).unwrap();
        write(&sink, &["b"]).await.unwrap();
        assert_eq!((plain(&moved), plain(&path)), ("a\n".into(), "b\n".into()));
    }

    #[test]
    fn build_refuses_an_empty_path() {
        let config: FileConfig = serde_json::from_str(r#"{ "path": "" }"#).unwrap();
        let error = config.build(&context()).err().unwrap();
        assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, "path");
    }

    #[test]
    fn build_refuses_a_template_as_path() {
        let build = |path: &str| {
            let config: FileConfig = serde_json::from_value(serde_json::json!({ "path": path })).unwrap();
            config.build(&context())
        };
        for path in
            ["out/{{ Index }}.jsonl", "out/%Y/x.jsonl", "%Y%m%d.jsonl", "x-%F.jsonl", "%Y-%m-%dT%H.jsonl"]
        {
            let error = build(path).err().unwrap();
            assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, "path");
            assert!(error.to_string().contains("no templates"), "{error}");
        }
        for path in ["out.jsonl", "100%.jsonl", "50%discount", "a%20b%2Fc", "%F0%9F%98%80", "{x}", "%"] {
            assert!(build(path).is_ok(), "{path}");
        }
    }

    #[tokio::test]
    async fn relative_path_is_resolved_against_the_pipeline_file() {
        let folder = tempfile::tempdir().unwrap();
        let config: FileConfig = serde_json::from_str(r#"{ "path": "out/x.gz" }"#).unwrap();
        let context = BuildContext { folder: folder.path().into(), ..context() };
        let mut sink = config.build(&context).unwrap();
        assert!(!folder.path().join("out").exists(), "build must not touch the disk");
        sink.open().await.unwrap();
        write(&*sink, &["a"]).await.unwrap();
        assert_eq!(plain(&folder.path().join("out/x.gz")), "a\n");
    }
}
