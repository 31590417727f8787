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
            json!({ "path": "t.csv", "types": { "b": "float" } }),
            "`types` declares column `b`, but t.csv has no such column; it has a",
        ),
        (
            json!({ "path": "t.csv", "compression": "gzip" }),
            "t.csv is not compressed with gzip; set compression = \"auto\"",
        ),
    ] {
        let files = TestFiles { options, ..TestFiles::of("a\n") };
        std::fs::create_dir(files.path("data")).unwrap();
        let error = files.open_error(None);
        assert!(error.starts_with(message), "{error}");
    }
    for (text, message) in [
        ("", "t.csv is empty, and a header row was expected"),
        ("\n\n", "t.csv is empty, and a header row was expected"),
        ("\n\"a\n", "t.csv:2:1: the quote that opens here is never closed"),
        ("a,b,\"a\"\n", "t.csv:1:5: columns 1 and 3 are both called `a`"),
    ] {
        let error = TestFiles::of(text).open_error(None);
        assert!(error.starts_with(message), "{error}");
    }
    let utf_16 = TestFiles::of(b"\xFF\xFEa\0").open_error(None);
    assert_eq!(utf_16, "t.csv is written in UTF-16; set encoding = \"utf-16le\"");
}
