//! Files that are followed and rotated.

use super::*;

/// A reader of `quotes.csv` and what it is called after a rotation.
pub(super) fn followed(pattern: &str) -> TestFiles {
    TestFiles::new(json!({ "path": pattern, "follow": true }))
}

/// The rows that have come since the last call, and the position after them.
pub(super) fn new_rows(files: &TestFiles, reader: &mut Reader) -> (Vec<String>, Option<Position>) {
    let (mut rows, mut position) = (Vec::new(), None);
    // A renamed file comes first, its successor after it.
    for _ in 0..3 {
        for (item, after) in items(reader).unwrap() {
            rows.push(item.unwrap_or_else(|reason| files.shortened(reason)));
            position = Some(after.position());
        }
        reader.refresh().unwrap();
    }
    (rows, position)
}

pub(super) fn write(files: &TestFiles, name: &str, text: &str) {
    std::fs::write(files.path(name), text).unwrap();
}

pub(super) fn append(files: &TestFiles, name: &str, text: &str) {
    let mut file = std::fs::File::options().append(true).open(files.path(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(super) fn rename(files: &TestFiles, from: &str, to: &str) -> std::io::Result<()> {
    std::fs::rename(files.path(from), files.path(to))
}

#[test]
fn new_rows_and_new_files_are_read_when_they_come() {
    let files = followed("*.csv");
    let mut reader = files.open(None).unwrap();
    assert_eq!(new_rows(&files, &mut reader).0, [""; 0], "there is no file yet");
    write(&files, "a.csv", "id,v\n");
    assert_eq!(new_rows(&files, &mut reader).0, [""; 0], "there is no row yet");
    append(&files, "a.csv", "1,a\n2,b");
    assert_eq!(new_rows(&files, &mut reader).0, [r#"{"id":1,"v":"a"}"#]);
    append(&files, "a.csv", "b\n");
    write(&files, "b.csv", "id,v\n3,c\n");
    assert_eq!(new_rows(&files, &mut reader).0, [r#"{"id":2,"v":"bb"}"#, r#"{"id":3,"v":"c"}"#]);
    assert_eq!(new_rows(&files, &mut reader).0, [""; 0]);
}

#[test]
fn renamed_file_is_read_to_its_end_and_its_successor_from_its_beginning() {
    for pattern in ["quotes.csv", "quotes.csv*"] {
        let files = followed(pattern);
        write(&files, "quotes.csv", "id\n1\n");
        let mut reader = files.open(None).unwrap();
        assert_eq!(new_rows(&files, &mut reader).0, [r#"{"id":1}"#]);
        for day in 0..3 {
            append(&files, "quotes.csv", &format!("{}2\n", day + 1));
            rename(&files, "quotes.csv.1", "quotes.csv.2").unwrap_or_default();
            rename(&files, "quotes.csv", "quotes.csv.1").unwrap();
            write(&files, "quotes.csv", &format!("id\n{}3\n", day + 1));
            append(&files, "quotes.csv.1", &format!("{}4\n", day + 1));
            let (rows, _) = new_rows(&files, &mut reader);
            let mut sorted = rows.clone();
            sorted.sort();
            let expected = [2, 3, 4].map(|n| format!("{{\"id\":{}}}", (day + 1) * 10 + n));
            assert_eq!(sorted, expected, "{pattern}, day {day}");
        }
    }
}

#[test]
fn killed_run_continues_in_the_renamed_file() {
    for (pattern, follow) in [("quotes.csv", true), ("quotes.csv*", true), ("quotes.csv*", false)] {
        let files = followed(pattern).with("follow", json!(follow));
        files.write("quotes.csv", "id\n1\n2\n3\n");
        let all = items(&mut files.open(None).unwrap()).unwrap();
        let position = all[0].1.position();
        append(&files, "quotes.csv", "4\n");
        rename(&files, "quotes.csv", "quotes.csv.1").unwrap();
        files.write("quotes.csv", "id\n5\n");
        let rows = ["2", "3", "4", "5"].map(|n| format!("{{\"id\":{n}}}"));
        assert_eq!(
            files.read_after(Some(position)),
            ok(&rows.each_ref().map(String::as_str)),
            "{pattern} {follow}"
        );
    }
}

#[test]
fn truncated_file_is_read_from_its_beginning_and_its_copy_to_the_end() {
    let files = followed("quotes.csv");
    write(&files, "quotes.csv", "id,v\n1,a\n2,b\n");
    let mut reader = files.open(None).unwrap();
    assert_eq!(new_rows(&files, &mut reader).0.len(), 2);
    append(&files, "quotes.csv", "3,c\n");
    std::fs::copy(files.path("quotes.csv"), files.path("quotes.csv.1")).unwrap();
    write(&files, "quotes.csv", "id,v\n4,d\n");
    let (rows, position) = new_rows(&files, &mut reader);
    assert_eq!(rows, [r#"{"id":3,"v":"c"}"#, r#"{"id":4,"v":"d"}"#]);
    append(&files, "quotes.csv", "5,e\n");
    assert_eq!(files.read_after(position), ok(&[r#"{"id":5,"v":"e"}"#]), "after a restart");
    assert_eq!(new_rows(&files, &mut reader).0, [r#"{"id":5,"v":"e"}"#]);
}

#[test]
fn file_with_the_same_beginning_as_a_removed_one_is_another_file() {
    let files = TestFiles::new(json!({ "path": "*.csv" }));
    files.write("a.csv", "id\n1\n");
    let position = files.last_position();
    files.write("b.csv", "id\n1\n2\n");
    std::fs::remove_file(files.path("a.csv")).unwrap();
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"id":1}"#, r#"{"id":2}"#]));
}
