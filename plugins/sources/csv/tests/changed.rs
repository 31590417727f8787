//! Resuming in files that have grown, and errors for files that have changed.

use super::*;

#[test]
fn grown_file_resumes_after_the_part_that_was_read() {
    for (text, added) in [("n\n1\n2\n", "3\n"), ("n\n1\n2", "\n3"), ("n\r\n1\r\n2\r\n\r\n", "3\r\n")] {
        let files = TestFiles::of(text);
        let position = files.last_position();
        assert_eq!(files.read_after(Some(position.clone())), ok(&[]));
        files.append("t.csv", added);
        assert_eq!(files.read_after(Some(position)), ok(&[r#"{"n":3}"#]), "{text:?}");
    }
}

#[test]
fn changed_file_is_an_error() {
    let rows: String = (0..60_000).map(|n| format!("{n:07}\n")).collect();
    let text = format!("n\n{rows}");
    let files = TestFiles::of(&text);
    let position = files.last_position();
    for (from, to, what) in [
        ("0000001\n", "1000001\n", "its first 262144 bytes have changed"),
        ("0059000\n", "1059000\n", "have changed"),
        ("0059999\n", "", "it has shrunk from 480002 to 479994 bytes"),
    ] {
        files.write("t.csv", text.replace(from, to));
        let start = "t.csv has changed since it was read up to line 60001: ";
        files.assert_error(Some(position.clone()), start, &[what, "--from-start"]);
    }
}

#[test]
fn bad_row_may_be_corrected_before_resuming() {
    for (text, corrected) in
        [("a,b\n1,x\n2,y,z\n3,w\n", "a,b\n1,x\n2,y\n3,w\n"), ("a,b\n1,x\n2,y,z", "a,b\n1,x\n3,w\n")]
    {
        let files = TestFiles::of(text);
        let all = items(&mut files.open(None).unwrap()).unwrap();
        assert!(all[1].0.is_err());
        let position = all[0].1.position();
        files.write("t.csv", corrected);
        assert_eq!(files.read_after(Some(position.clone())).last(), Some(&Ok(r#"{"a":3,"b":"w"}"#.into())));
        files.write("t.csv", "a,b\n1,");
        let part = format!("it has shrunk from {} to 6 bytes", text.len());
        files.assert_error(Some(position), "t.csv has changed", &[&part]);
    }
}

#[test]
fn continued_last_row_is_an_error() {
    for (text, added) in [("n\n1\n2", "3\n"), ("n\n1\n\"2", "\n3\"\n"), ("n\n1\n\"2\"", ",\n")] {
        let files = TestFiles::of(text);
        let position = files.last_position();
        files.append("t.csv", added);
        let part = "its last row had no line end and has been continued";
        files.assert_error(Some(position), "t.csv has changed", &[part, "set follow = true"]);
    }
}

#[test]
fn fingerprint_covers_every_row_of_a_small_file() {
    let files = TestFiles::of("n\n1\n2\n3\n");
    let all = items(&mut files.open(None).unwrap()).unwrap();
    files.write("t.csv", "n\n1\n9\n3\n");
    assert_eq!(files.read_after(Some(all[0].1.position())), ok(&[r#"{"n":9}"#, r#"{"n":3}"#]));
    files.assert_error(Some(all[1].1.position()), "t.csv has changed", &["its first 6 bytes have changed"]);
}

#[test]
fn changed_format_options_are_an_error() {
    let files = TestFiles::of("a;b\n1;2\n");
    let position = files.last_position();
    let files = files.with("delimiter", json!(";"));
    files.assert_error(
        Some(position),
        "`delimiter`, `header` or another option",
        &["has changed since the last run"],
    );
}
