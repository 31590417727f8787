//! Files that other programs write while they are read.

use super::*;

/// Reads a chunk, lets `change` do something to the file, and reads on to an error.
fn error_after(files: &TestFiles, change: impl FnOnce()) -> (usize, String) {
    let mut reader = files.open(None).unwrap();
    let mut n_rows = reader.next_chunk().unwrap().unwrap().records.len();
    change();
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => n_rows += chunk.records.len(),
            Ok(None) => panic!("no error after {n_rows} rows"),
            Err(error) => return (n_rows, files.shortened(format!("{error:#}"))),
        }
    }
}

fn rows(from: u32, to: u32) -> String {
    (from..to).map(|n| format!("{n:07}\n")).collect()
}

#[test]
fn file_changed_while_it_is_read_is_an_error() {
    let text = format!("n\n{}", rows(0, 200_000));
    let other = format!("m\n{}", rows(500_000, 800_000));
    for (what, reason) in [
        ("cut", "was changed while it was read, after line "),
        ("written over", "was changed while it was read, after line "),
        ("replaced", "was replaced by another file while it was read"),
    ] {
        let files = TestFiles::of(&text).with("types", json!("string"));
        let (n_rows, error) = error_after(&files, || match what {
            "cut" => {
                let file = std::fs::File::options().write(true).open(files.path("t.csv")).unwrap();
                file.set_len(600_003).unwrap();
            }
            "written over" => std::fs::write(files.path("t.csv"), &other).unwrap(),
            _ => {
                files.write("new.csv", &other);
                std::fs::rename(files.path("new.csv"), files.path("t.csv")).unwrap();
            }
        });
        assert!(error.starts_with(&format!("t.csv {reason}")), "{what}: {error}");
        match what {
            "replaced" => assert_eq!(n_rows, 200_000, "the old file can be read to its end"),
            // What was read before the change is whole: the first block of the file.
            _ => assert!((1_024..40_000).contains(&n_rows), "{what}: {n_rows}"),
        }
    }
}

#[test]
fn compressed_file_that_is_cut_while_it_is_read_is_an_error() {
    let text: String = (0..400_000_u64).map(|n| format!("{}\n", n.wrapping_mul(0x9E37_79B9))).collect();
    let files = TestFiles::of(zstd::encode_all(format!("n\n{text}").as_bytes(), 1).unwrap());
    let (_, error) = error_after(&files, || {
        std::fs::File::options().write(true).open(files.path("t.csv")).unwrap().set_len(900_000).unwrap();
    });
    assert!(error.starts_with("t.csv was changed while it was read"), "{error}");
}

#[test]
fn file_that_grows_while_it_is_read_is_read_to_its_new_end() {
    let files = TestFiles::of(format!("n\n{}", rows(0, 100_000)));
    let mut reader = files.open(None).unwrap();
    let mut n_rows = reader.next_chunk().unwrap().unwrap().records.len();
    files.append("t.csv", rows(100_000, 100_100));
    while let Some(chunk) = reader.next_chunk().unwrap() {
        n_rows += chunk.records.len();
    }
    assert_eq!(n_rows, 100_100);
}

#[test]
fn unfinished_last_row_is_left_for_the_next_run() {
    let files = TestFiles::new(json!({ "path": "t.csv" }));
    std::fs::write(files.path("t.csv"), "id,v\n1,10\n2,2").unwrap();
    files.assert_rows(&[r#"{"id":1,"v":10}"#]);
    let position = files.last_position();
    files.append("t.csv", "0\n3,30");
    let rest = [r#"{"id":2,"v":20}"#, r#"{"id":3,"v":30}"#];
    assert_eq!(files.read_after(Some(position.clone())), ok(&rest), "the file has settled");
    std::fs::write(files.path("t.csv"), "id,v\n1,10\n2,20\n3,30").unwrap();
    assert_eq!(files.read_after(Some(position)), ok(&rest[..1]));
}

#[test]
fn half_a_header_is_left_for_the_next_run_while_it_may_grow() {
    let files = TestFiles::new(json!({ "path": "*.csv" }));
    std::fs::write(files.path("a.csv"), "id,na").unwrap();
    assert_eq!(files.read(), ok(&[]));
    files.write("b.csv", "id,name\n1,x\n");
    assert_eq!(files.read(), ok(&[r#"{"id":1,"name":"x"}"#]));
    files.append("a.csv", "me\n2,y\n");
    assert_eq!(files.read(), ok(&[r#"{"id":2,"name":"y"}"#, r#"{"id":1,"name":"x"}"#]));
}

#[test]
fn zeros_behind_an_archive_are_ignored() {
    let mut archive = super::compressed::gzip(b"n\n1\n2\n");
    archive.resize(archive.len() + 512, 0);
    assert_eq!(TestFiles::of(archive).read(), ok(&[r#"{"n":1}"#, r#"{"n":2}"#]));
}

#[test]
fn open_quote_at_the_end_of_a_growing_file_is_left_for_the_next_run() {
    let files = TestFiles::new(json!({ "path": "t.csv" }));
    let text = "id,v\n1,a\n2,\"one\n3,two\n";
    std::fs::write(files.path("t.csv"), text).unwrap();
    files.assert_rows(&[r#"{"id":1,"v":"a"}"#]);
    let position = files.last_position();
    files.append("t.csv", "end\"\n");
    assert_eq!(files.read_after(Some(position.clone())), ok(&[r#"{"id":2,"v":"one\n3,two\nend"}"#]));
    files.write("t.csv", text);
    let rest = files.read_after(Some(position));
    assert_rejected(&rest[0], "", &["the quote that opens here is never closed"]);
    assert_eq!(rest[1..], ok(&[r#"{"id":3,"v":"two"}"#]));
}

#[test]
fn long_cell_that_is_half_written_is_left_for_later() {
    let lines: String = (0..20_000).map(|n| format!("line {n},z\n")).collect();
    for follow in [false, true] {
        let files = TestFiles::new(json!({ "path": "t.csv", "follow": follow }));
        std::fs::write(files.path("t.csv"), format!("id,v\n1,a\n2,\"{lines}")).unwrap();
        let mut reader = files.open(None).unwrap();
        let mut all = items(&mut reader).unwrap();
        assert!(all.iter().map(|(item, _)| item).eq(&ok(&[r#"{"id":1,"v":"a"}"#])), "{follow}");
        files.append("t.csv", "end\"\n3,c\n");
        let rest = if follow {
            reader.refresh().unwrap();
            items(&mut reader).unwrap()
        } else {
            items(&mut files.open(Some(all.pop().unwrap().1.position())).unwrap()).unwrap()
        };
        assert_eq!(rest.len(), 2, "{follow}");
        assert_eq!(rest[1].0, Ok(r#"{"id":3,"v":"c"}"#.into()), "{follow}");
    }
}

#[test]
fn long_cell_of_a_followed_file_is_not_waited_for_without_end() {
    let rows: String = (0..10_000).map(|n| format!("{n},z\n")).collect();
    let files = TestFiles::new(json!({ "path": "t.csv", "follow": true }));
    std::fs::write(files.path("t.csv"), format!("id,v\n1,a\n2,\"{rows}")).unwrap();
    let mut reader = files.open(None).unwrap();
    assert_eq!(items(&mut reader).unwrap().len(), 1);
    reader.refresh().unwrap();
    assert!(items(&mut reader).unwrap().is_empty());
    reader.age_unfinished();
    reader.refresh().unwrap();
    let rest = items(&mut reader).unwrap();
    assert_rejected(&rest[0].0, "", &["the quote that opens here is never closed"]);
    assert_eq!(rest.len(), 10_000, "the line of the quote, and the rows behind it");
}

#[test]
fn archive_that_is_being_copied_is_left_for_later() {
    let text: String = (0..60_000_u64).map(|n| format!("{}\n", n.wrapping_mul(0x9E37_79B9))).collect();
    let text = format!("n\n{text}");
    let archives = [super::compressed::gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 1).unwrap()];
    for (archive, follow) in archives.iter().zip([false, true]).chain(archives.iter().zip([true, false])) {
        // In the header of the archive, in the first rows, and far behind them.
        for n_bytes in [5, 3_000, archive.len() - 9] {
            let files = TestFiles::new(json!({ "path": "*.csv*", "follow": follow }));
            files.write("a.csv", "n\n1\n");
            std::fs::write(files.path("b.csv.gz"), &archive[..n_bytes]).unwrap();
            let mut reader = files.open(None).unwrap();
            let mut all = items(&mut reader).unwrap();
            assert_eq!(all[0].0, Ok(r#"{"n":1}"#.into()));
            if follow {
                reader.refresh().unwrap();
                assert!(items(&mut reader).unwrap().is_empty(), "{n_bytes}");
            }
            files.append("b.csv.gz", &archive[n_bytes..]);
            let rest = if follow {
                reader.refresh().unwrap();
                items(&mut reader).unwrap()
            } else {
                let position = all.last().unwrap().1.position();
                items(&mut files.open(Some(position)).unwrap()).unwrap()
            };
            all.extend(rest);
            assert_eq!(all.len(), 60_001, "{n_bytes} {follow}");
        }
    }
}

#[tokio::test]
async fn fixture_of_a_test_is_read_to_its_end_however_new_it_is() {
    let files = TestFiles::new(json!({ "path": "other.csv", "follow": true }));
    std::fs::write(files.path("rows.csv"), "id,v\n1,a\n2,b").unwrap();
    let mut source = CsvConfig::deserialize(&files.options).unwrap().build(&testing::context()).unwrap();
    let path = files.path("rows.csv");
    source
        .fixture()
        .unwrap()
        .read_from(&Fixture { path, element: std::collections::BTreeMap::new() })
        .unwrap();
    source.open(&Start::default()).await.unwrap();
    let Next::Batch(batch) = source.next().await.unwrap() else { panic!("there are rows") };
    assert_eq!(batch.records().len(), 2);
    assert!(matches!(source.next().await, Ok(Next::End)));
}
