//! Errors of options and of files that cannot be read.

use super::*;

#[test]
fn build_refuses_invalid_columns() {
    let build = |options: Value| CsvConfig::deserialize(&options).unwrap().build(&testing::context());
    for (options, message) in [
        (json!({ "path": "a.csv", "header": false }), "`header`: files without a header need the names"),
        (
            json!({ "path": "a.csv", "header": false, "columns": ["a", "a"] }),
            "`columns`: duplicate column `a`",
        ),
        (
            json!({ "path": "a.csv", "header": false, "columns": ["a"], "types": { "zz": "float" } }),
            "`types`: declares column `zz`, but `columns` has only a",
        ),
    ] {
        let error = build(options).err().unwrap().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn open_error_explains_why_a_file_cannot_be_read() {
    for (options, message) in [
        (json!({ "path": "none.csv" }), "there is no file none.csv"),
        (json!({ "path": "*.tsv" }), "no file matches `*.tsv` in "),
        (
            json!({ "path": "data" }),
            "data is a folder; name a file in it, or all of them: path = \"data/*.csv\"",
        ),
        (
            json!({ "types": { "b": "float" } }),
            "`types` declares column `b`, but t.csv has no such column; it has a",
        ),
        (json!({ "compression": "gzip" }), "t.csv is not compressed with gzip; set compression = \"auto\""),
    ] {
        let files = TestFiles::of("a\n").with_all(options);
        std::fs::create_dir(files.path("data")).unwrap();
        files.assert_error(None, message, &[]);
    }
}

#[test]
fn path_as_another_program_takes_it_says_how_it_is_written_here() {
    for (path, part) in [
        ("~/none.csv", "`~` does not stand for a folder here"),
        ("{a,b}.csv", "write a list"),
        ("https://example.com/a.csv", "the source `http` reads"),
        ("s3://bucket/a.csv", "not a URL"),
        ("data\\a.csv", "separated by `/`"),
    ] {
        let files = TestFiles::of("a\n").with_all(json!({ "path": path }));
        files.assert_error(None, "there is no file ", &[part]);
    }
}

#[test]
fn unreadable_header_is_an_error_that_names_the_option() {
    let title = ["is this line the header?", "skip_lines = 1"];
    for (text, options, start, parts) in [
        ("", json!({}), "t.csv is empty, and a header row was expected", &[][..]),
        ("\n\n", json!({}), "t.csv is empty, and a header row was expected", &[]),
        (
            "title\n",
            json!({ "skip_lines": 3 }),
            "t.csv is empty after 3 lines (`skip_lines`), and a header row was expected",
            &[],
        ),
        ("\n\"a\n", json!({}), "t.csv:2:1: the quote that opens here is never closed", &[]),
        ("\"a\"b,c\n1,2\n", json!({}), "t.csv:1:4: there is text after the closing quote", &[]),
        ("a,b,\"a\"\n", json!({}), "t.csv:1:5: columns 1 and 3 are both called `a`", &[]),
        (
            "Name,Address,Address\nx,y,z\n",
            json!({}),
            "t.csv:1:",
            &["name the columns in the pipeline file, columns = [\"…\", …] with 3 names"],
        ),
        ("sep=;\na;b\n1;x\n", json!({}), "t.csv:1:1: this line says that \";\"", &["delimiter = \";\""]),
        (
            "+----+---+\n| id | s |\n+----+---+\n|  1 | x |\n+----+---+\n",
            json!({}),
            "t.csv:1:1: this line is the border",
            &["`mysql --batch`"],
        ),
        (
            "Prices of 2024\nid,name,price\n1,a,2\n2,b,3\n",
            json!({}),
            "t.csv:1: the header row has 1 cells",
            &title,
        ),
        (
            "# made today\n# by hand\nid,name\n1,a\n",
            json!({}),
            "t.csv:1: the header row has 1 cells",
            &["is this line the header?", "comment = \"#\""],
        ),
    ] {
        TestFiles::of(text).with_all(options).assert_error(None, start, parts);
    }
    assert_eq!(
        TestFiles::of("\0".repeat(300_000)).open_error(None),
        "t.csv has 300000 NUL bytes and no text, as a file has after a power failure; restore it, or write it again"
    );
}

#[test]
fn wrong_encoding_is_an_error_before_the_first_row() {
    let long = format!("{}\n1\n", "a".repeat(40_000));
    let utf_16_be: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for label in ["utf-16le", "utf-16be"] {
        for text in ["a,b\n1,2\n", "a,b\n1,2\n\n", "a\n1\n", &long, "Größe,b\n1,2\n"] {
            let files = TestFiles::of(text).with("encoding", json!(label));
            files.assert_error(None, "t.csv is not written in UTF-16", &[]);
        }
    }
    let error = TestFiles::of(utf_16_be).with("encoding", json!("utf-16le")).open_error(None);
    assert_eq!(error, "t.csv is written in UTF-16; set encoding = \"utf-16be\"");
    let error = TestFiles::of(b"\xFF\xFEa\0").open_error(None);
    assert_eq!(error, "t.csv is written in UTF-16; set encoding = \"utf-16le\"");
    let marked = TestFiles::of("\u{feff}xxxxxxxxxx,b\n1,2\n").with("encoding", json!("utf-16le"));
    assert_eq!(marked.read().len(), 1, "the byte order mark takes precedence");
}

#[test]
fn file_that_is_not_csv_is_an_error_that_names_it() {
    let twice = Compression::Gzip.compress(&Compression::Gzip.compress(b"a\n1\n").unwrap()).unwrap();
    let zip = Compression::Gzip.compress(b"PK\x03\x04\x14\0\0\0\x08\0").unwrap();
    for (bytes, compression, message) in [
        (b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "auto", "t.csv is a zip archive, not CSV; unpack it"),
        (b"PAR1\x15\x04".to_vec(), "none", "t.csv is a Parquet file, not CSV"),
        (b"BZh91AY&SY".to_vec(), "gzip", "t.csv is compressed with bzip2, not CSV"),
        (
            Compression::Gzip.compress(b"a\n1\n").unwrap(),
            "none",
            "t.csv is compressed with gzip; set compression",
        ),
        (twice, "auto", "t.csv is compressed twice"),
        (zip, "auto", "t.csv is a zip archive"),
    ] {
        TestFiles::of(bytes).with("compression", json!(compression)).assert_error(None, message, &[]);
    }
}

#[test]
fn file_that_is_not_csv_is_refused_with_its_format() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (text, encoding, message) in [
        (b"{\"id\":1,\"v\":2}\n{\"id\":2,\"v\":3}\n".to_vec(), "utf-8", "t.csv is NDJSON, with a JSON value"),
        (b"[{\"id\":1},{\"id\":2}]\n".to_vec(), "utf-8", "t.csv is JSON, not CSV"),
        (b"\xEF\xBB\xBF<?xml version=\"1.0\"?>\n".to_vec(), "utf-8", "t.csv is XML, not CSV"),
        (super::compressed::gzip(b"<Error><Code>AccessDenied</Code></Error>"), "utf-8", "t.csv is XML"),
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "utf-8",
            "t.csv is a pointer that Git LFS",
        ),
        (utf_16("\u{feff}{\"id\": 1}"), "auto", "t.csv is JSON, not CSV"),
    ] {
        let error = TestFiles::of(text).with("encoding", json!(encoding)).open_error(None);
        assert!(error.starts_with(message), "{error}");
    }
    let rows = TestFiles::of("{1},2\n").with("header", json!(false)).with("columns", json!(["a", "b"]));
    assert_eq!(rows.read(), ok(&[r#"{"a":"{1}","b":2}"#]));
}
