//! Rows of the source: types, rejects, resuming after every record.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use runner_core::{Position, Positions as _, Record, testing};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::reader::Reader;
use super::*;

/// A folder with files in it, and the options of a source that reads them.
struct TestFiles {
    folder: tempfile::TempDir,
    options: Value,
    max_records: usize,
    max_bytes: usize,
}

/// A record as JSON, or why the row was rejected.
type Item = Result<String, String>;

impl TestFiles {
    fn new(options: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        TestFiles { folder, options, max_records: 1024, max_bytes: 1 << 20 }
    }

    /// One file, `t.csv`.
    fn of(text: impl AsRef<[u8]>) -> Self {
        let files = TestFiles::new(json!({ "path": "t.csv" }));
        files.write("t.csv", text);
        files
    }

    fn with(mut self, option: &str, value: Value) -> Self {
        self.options[option] = value;
        self
    }

    /// With several options.
    fn with_all(mut self, options: Value) -> Self {
        let Value::Object(options) = options else { panic!("{options} is not a table") };
        self.options.as_object_mut().unwrap().extend(options);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, as if that were a minute ago.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
        self.settle(name);
    }

    /// Makes a file look as if it were a minute old.
    fn settle(&self, name: &str) {
        let file = std::fs::File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = std::fs::File::options().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
        self.settle(name);
    }

    fn settings(&self) -> Arc<Settings> {
        let mut context = testing::context();
        context.folder = self.folder.path().to_owned();
        (context.batch.max_records, context.batch.max_bytes) = (self.max_records, self.max_bytes);
        CsvConfig::deserialize(&self.options).unwrap().settings(&context).unwrap().into()
    }

    fn open(&self, position: Option<Position>) -> Result<Reader> {
        Reader::open(self.settings(), position.map(|position| position.to_json().unwrap()))
    }

    /// The error of opening and reading, without the name of the folder.
    fn open_error(&self, position: Option<Position>) -> String {
        let error = match self.open(position) {
            Ok(mut reader) => items(&mut reader).err().expect("reading should fail"),
            Err(error) => error,
        };
        self.shortened(format!("{error:#}"))
    }

    fn shortened(&self, text: String) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn read(&self) -> Vec<Item> {
        self.read_after(None)
    }

    fn read_after(&self, position: Option<Position>) -> Vec<Item> {
        let items = items(&mut self.open(position).unwrap()).unwrap();
        items.into_iter().map(|(item, _)| item.map_err(|reason| self.shortened(reason))).collect()
    }

    /// Reads these rows, and the rest of them after each one.
    #[track_caller]
    fn assert_rows(&self, rows: &[&str]) {
        self.assert_rows_after(None, rows);
    }

    #[track_caller]
    fn assert_rows_after(&self, position: Option<Position>, rows: &[&str]) {
        let all = items(&mut self.open(position).unwrap()).unwrap();
        let read: Vec<Item> = all.iter().map(|(item, _)| item.clone()).collect();
        assert_eq!(read, ok(rows));
        for (n, (_, after)) in all.iter().enumerate() {
            assert_eq!(self.read_after(Some(after.position())), ok(&rows[n + 1..]), "after row {n}");
        }
    }

    /// Reading fails with an error that begins in this way and has these parts.
    #[track_caller]
    fn assert_error(&self, position: Option<Position>, start: &str, parts: &[&str]) {
        let error = self.open_error(position);
        assert!(error.starts_with(start) && parts.iter().all(|part| error.contains(part)), "{error}");
    }

    /// The position at the end of the input.
    fn last_position(&self) -> Position {
        items(&mut self.open(None).unwrap()).unwrap().pop().unwrap().1.position()
    }
}

impl BatchPosition {
    fn position(&self) -> Position {
        Position::new(self.clone())
    }
}

/// Reads all remaining items, with the position after each.
fn items(reader: &mut Reader) -> Result<Vec<(Item, BatchPosition)>> {
    let mut items = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        let start = BatchPosition::at_start(chunk.positions);
        let mut rejects = chunk.rejects.iter().peekable();
        let mut n_items = 0;
        let mut push = |item| {
            n_items += 1;
            items.push((item, start.after_items(n_items)));
        };
        for index in 0..=chunk.records.len() {
            while let Some(reject) = rejects.next_if(|reject| reject.n_before <= index) {
                push(Err(reject.reason.to_string()));
            }
            if let Some(record) = chunk.records.get(index) {
                push(Ok(json_of(record)));
            }
        }
    }
    Ok(items)
}

#[track_caller]
fn assert_rejected(item: &Item, start: &str, parts: &[&str]) {
    let reason = item.as_ref().unwrap_err();
    assert!(reason.starts_with(start) && parts.iter().all(|part| reason.contains(part)), "{reason}");
}

fn json_of(record: &Record) -> String {
    record.clone().value().unwrap().to_string()
}

fn ok(rows: &[&str]) -> Vec<Item> {
    rows.iter().map(|&row| Ok(row.to_owned())).collect()
}

#[test]
fn rows_are_typed_and_numbers_keep_their_digits() {
    let files = TestFiles::of(
        "\u{feff}Index,Open,n,Volume,ok\r\nNYA,528.690002,1,0,True\r\n\r\n007,1e5,,1.50,FALSE\r\n",
    );
    let rows = [
        r#"{"Index":"NYA","Open":528.690002,"n":1,"Volume":0.0,"ok":true}"#,
        r#"{"Index":"007","Open":1e5,"n":null,"Volume":1.50,"ok":false}"#,
    ];
    let mut chunk = files.open(None).unwrap().next_chunk().unwrap().unwrap();
    for (record, row) in chunk.records.iter_mut().zip(rows) {
        let runner_core::Body::Row(body) = &record.body else { panic!("not a row") };
        let mut json = Vec::new();
        body.write_json(&mut json);
        assert_eq!(String::from_utf8(json).unwrap(), row);
    }
    let last = chunk.records[1].origin;
    assert_eq!((last.offset, last.partition), (1, 0));
    assert!(last.source.as_str().ends_with("t.csv"));
}

#[test]
fn bad_row_is_rejected_with_its_location() {
    let good: String = (0..10_000).map(|n| format!("{n},{n}.5,\"x\ny\"\n")).collect();
    let files = TestFiles::of(format!("n,f,s\n{good}1,2\n1,2,3,4\n1.5,2,x\n1,é,x\n1,2,z\n"));
    let items = files.read();
    let tail: Vec<String> =
        items[10_000..].iter().map(|item| item.clone().unwrap_or_else(|error| error)).collect();
    assert_eq!(
        tail,
        [
            "t.csv:20002:4: too few cells: the row has 2, the file has 3 columns; add the missing cells, which may \
             be empty, or set missing_cells = \"null\"",
            "t.csv:20003:7: too many cells: the row has 4, the file has 3 columns; remove the extra cells, or quote a \
             cell that contains `,`",
            "t.csv:20004:1: column `n` is an integer (inferred from its first rows), and this cell is a float; \
             correct the row, or add to the source: types = { n = \"float\" }",
            "t.csv:20005:3: column `f` is a float (inferred from its first rows), and this cell is text; \
             correct the row, or add to the source: types = { f = \"string\" }",
            r#"{"n":1,"f":2.0,"s":"z"}"#,
        ]
    );
}

#[test]
fn cell_that_is_not_utf8_is_rejected_with_its_location() {
    let files = TestFiles::of(b"a,b\nx,\xC3\xA9\xFF\ny,z\n");
    let items = files.read();
    assert_rejected(&items[0], "t.csv:2:3: column `b` is not UTF-8: byte 0xFF at 3 of the cell", &[]);
    assert_eq!(items[1], Ok(r#"{"a":"y","b":"z"}"#.into()));
}

#[test]
fn unclosed_quote_rejects_the_line_where_it_opens() {
    let files = TestFiles::of("a,b\n1,\"x\ny\"\n\"m\nn\",\"open\n3,w\n4,v\n");
    let items = files.read();
    assert_eq!(items[0], Ok(r#"{"a":1,"b":"x\ny"}"#.into()));
    assert_rejected(&items[1], "t.csv:5:4: the quote that opens here is never closed", &[]);
    assert_eq!(items[2..], ok(&[r#"{"a":3,"b":"w"}"#, r#"{"a":4,"b":"v"}"#]));
    let files = files.with("types", json!("string"));
    let rejected = files.open(None).unwrap().next_chunk().unwrap().unwrap().rejects.remove(0);
    assert_eq!(rejected.record.to_bytes().unwrap(), "\"m\nn\",\"open");
}

#[test]
fn unclosed_quote_does_not_merge_rows() {
    let files = TestFiles::of("a,b\n0,z\n1,\"x\n1,\"q\"\n2,\"q\"\n\"x\"y,3\n4,\"w\"");
    let all = items(&mut files.open(None).unwrap()).unwrap();
    let results: Vec<String> =
        all.iter().map(|(item, _)| files.shortened(item.clone().unwrap_or_else(|error| error))).collect();
    assert_eq!(results.len(), 6);
    for (result, start) in results.iter().zip([
        r#"{"a":0,"b":"z"}"#,
        "t.csv:3:3: the quote that opens here is never closed",
        r#"{"a":1,"b":"q"}"#,
        r#"{"a":2,"b":"q"}"#,
        "t.csv:6:4: there is text after the closing quote of the cell that begins at 6:1; a quote inside a quoted cell",
        r#"{"a":4,"b":"w"}"#,
    ]) {
        assert!(result.starts_with(start), "{result}");
    }
    for (n, (_, after)) in all.iter().enumerate() {
        let rest = items(&mut files.open(Some(after.position())).unwrap()).unwrap();
        assert!(rest.iter().map(|(item, _)| item).eq(all[n + 1..].iter().map(|(item, _)| item)));
    }
}

#[test]
fn declared_type_overrides_a_saved_one() {
    let sample = "1\n".repeat(10_000);
    let mut files = TestFiles::of(format!("n\n{sample}1.5\n2\n"));
    let all = items(&mut files.open(None).unwrap()).unwrap();
    assert!(all[10_000].0.is_err());
    let position = all[9_999].1.position();
    files = files.with("types", json!({ "n": "float" }));
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"n":1.5}"#, r#"{"n":2.0}"#]));
}

#[test]
fn declared_string_column_has_no_nulls() {
    let files = TestFiles::of("a,b\n,\nNA,NA\n")
        .with("null_values", json!(["", "NA"]))
        .with("types", json!({"a": "string"}));
    assert_eq!(files.read(), ok(&[r#"{"a":"","b":null}"#, r#"{"a":"NA","b":null}"#]));
    let files = TestFiles::of("a\n1\n2\n").with("types", json!("string"));
    assert_eq!(files.read(), ok(&[r#"{"a":"1"}"#, r#"{"a":"2"}"#]));
}

#[test]
fn files_without_a_header_take_column_names_from_the_options() {
    let files = TestFiles::of("x;1\ny;2\n")
        .with("header", json!(false))
        .with("delimiter", json!(";"))
        .with("columns", json!(["s", "n"]));
    assert_eq!(files.read(), ok(&[r#"{"s":"x","n":1}"#, r#"{"s":"y","n":2}"#]));
}

#[test]
fn batch_respects_its_limits() {
    let mut files = TestFiles::of("s\n".to_owned() + &"0123456789\n".repeat(100));
    files.max_bytes = 100;
    let mut reader = files.open(None).unwrap();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        assert!(chunk.records.len() <= 9 && chunk.records.iter().map(Record::size).sum::<usize>() <= 100);
    }
    files.max_bytes = 5;
    assert_eq!(files.open(None).unwrap().next_chunk().unwrap().unwrap().records.len(), 1);
}

#[test]
fn line_longer_than_16_mib_is_an_error() {
    let files =
        TestFiles::of("a,b\n1,2\n3,".to_owned() + &"x".repeat(17 << 20)).with("types", json!("string"));
    let message = "t.csv:3: the row that begins here is longer than 16 MiB";
    match files.open(None) {
        Ok(mut reader) => {
            let first = reader.next_chunk().unwrap().unwrap();
            assert_eq!(first.records.len(), 1, "the rows before it come first");
            let error = reader.next_chunk().err().unwrap();
            assert!(files.shortened(error.to_string()).starts_with(message), "{error}");
        }
        Err(_) => files.assert_error(None, message, &[]),
    }
}

#[test]
fn open_quote_before_more_than_16_mib_rejects_only_its_line() {
    let n_rows = 3 << 20;
    let text = "a\n1\n\"3 inch\n".to_owned() + &"12345\n".repeat(n_rows);
    for compressed in [false, true] {
        let bytes =
            if compressed { zstd::encode_all(text.as_bytes(), 1).unwrap() } else { text.clone().into() };
        let files = TestFiles::of(bytes);
        let mut reader = files.open(None).unwrap();
        let (mut n_read, mut reasons) = (0, Vec::new());
        while let Some(chunk) = reader.next_chunk().unwrap() {
            n_read += chunk.records.len();
            reasons.extend(chunk.rejects.iter().map(|reject| files.shortened(reject.reason.to_string())));
        }
        assert_eq!((n_read, reasons.len()), (n_rows + 1, 1));
        assert_rejected(&Err(reasons.remove(0)), "t.csv:3:1: the quote that opens here is never closed", &[]);
    }
}

#[test]
fn position_json_keeps_its_field_names() {
    let files = TestFiles::of("n\n1\n2\n");
    let position = items(&mut files.open(None).unwrap()).unwrap()[0].1.position().to_json().unwrap();
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&position), "bytes columns delimiter file files header reading");
    let cursor = &position["files"][0];
    // Not all file systems know when a file was made.
    assert_eq!(keys(cursor).replace("born ", ""), "ahead front inode lines modified offset path rows size");
    assert_eq!(keys(&cursor["ahead"]), "is_closed modified size tail");
    assert_eq!(keys(&cursor["front"]), "bytes end xxh3");
}

/// Files that have grown or changed.
mod changed;
/// Compressed files.
mod compressed;
/// Dialects: preambles, comments, quotes, numbers, encodings.
mod dialects;
/// Options and files that cannot be read.
mod errors;
/// Files that are followed and rotated.
mod follow;
/// Files that are changed while they are read.
mod growing;
/// Lists of files: globs, order, new files.
mod many;
/// Lines and files that are not what they seem: headers between rows, empty files, other encodings.
mod odd;
/// Options that change between two runs.
mod options;
/// The progress gauge.
mod progress;
/// Random files against the csv crate.
mod random;
/// Files that are rotated, compressed or moved.
mod rotation;
/// Unread input that has changed since the last run.
mod snapshot;

#[tokio::test]
async fn source_stays_at_its_end() {
    let files = TestFiles::of("n\n1\n2\n");
    let mut context = testing::context();
    context.folder = files.folder.path().to_owned();
    let mut source = CsvConfig::deserialize(&files.options).unwrap().build(&context).unwrap();
    assert_eq!(source.identity(), files.path("t.csv").to_str().unwrap());
    source.open(&Start::default()).await.unwrap();
    let Next::Batch(batch) = source.next().await.unwrap() else { panic!("there are rows") };
    assert_eq!(batch.records().len(), 2);
    for _ in 0..2 {
        assert!(matches!(source.next().await, Ok(Next::End)));
    }
    source.close().await.unwrap();
}
