//! Files that are followed and rotated.

use super::*;

/// Files that are followed: by default `quotes.csv`, and what it is called after a rotation.
pub(super) struct Followed {
    pub(super) files: TestFiles,
    pub(super) reader: Reader,
    /// The position after the last row.
    pub(super) position: Option<Position>,
}

impl Followed {
    /// Follows the files of a pattern, after `quotes.csv` has been written with this text, if there is one.
    pub(super) fn new(pattern: &str, text: &str) -> Self {
        let files = TestFiles::new(json!({ "path": pattern, "follow": true }));
        if !text.is_empty() {
            std::fs::write(files.path("quotes.csv"), text).unwrap();
        }
        Followed { reader: files.open(None).unwrap(), files, position: None }
    }

    /// Follows `quotes.csv`, whose rows were read.
    pub(super) fn read(text: &str) -> Self {
        let mut followed = Followed::new("quotes.csv", text);
        followed.new_rows();
        followed
    }

    /// The rows that have come since the last call.
    pub(super) fn new_rows(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        // A renamed file comes first, its successor after it.
        for _ in 0..3 {
            for (item, after) in items(&mut self.reader).unwrap() {
                rows.push(item.unwrap_or_else(|reason| self.files.shortened(reason)));
                self.position = Some(after.position());
            }
            self.reader.refresh().unwrap();
        }
        rows
    }

    /// Goes on after the last row, or at the beginning of the first one.
    pub(super) fn restart(&mut self) {
        let position = self.position.clone().or_else(|| self.reader.restart_position());
        self.reader = self.files.open(position).unwrap();
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.path(name), text).unwrap();
    }

    pub(super) fn append(&self, name: &str, text: &str) {
        let mut file = std::fs::File::options().append(true).open(self.files.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.files.path(from), self.files.path(to)).unwrap();
    }
}

#[test]
fn new_rows_and_new_files_are_read_when_they_come() {
    let mut it = Followed::new("*.csv", "");
    assert_eq!(it.new_rows(), [""; 0], "no file matches yet");
    it.write("a.csv", "id,v\n");
    assert_eq!(it.new_rows(), [""; 0], "the file has only a header");
    it.append("a.csv", "1,a\n2,b");
    assert_eq!(it.new_rows(), [r#"{"id":1,"v":"a"}"#]);
    it.append("a.csv", "b\n");
    it.write("b.csv", "id,v\n3,c\n");
    assert_eq!(it.new_rows(), [r#"{"id":2,"v":"bb"}"#, r#"{"id":3,"v":"c"}"#]);
    assert_eq!(it.new_rows(), [""; 0]);
}

#[test]
fn renamed_file_is_read_to_its_end_and_its_successor_from_its_beginning() {
    for pattern in ["quotes.csv", "quotes.csv*"] {
        let mut it = Followed::new(pattern, "id\n1\n");
        assert_eq!(it.new_rows(), [r#"{"id":1}"#]);
        for day in 0..3 {
            it.append("quotes.csv", &format!("{}2\n", day + 1));
            if day > 0 {
                it.rename("quotes.csv.1", "quotes.csv.2");
            }
            it.rename("quotes.csv", "quotes.csv.1");
            it.write("quotes.csv", &format!("id\n{}3\n", day + 1));
            it.append("quotes.csv.1", &format!("{}4\n", day + 1));
            let mut rows = it.new_rows();
            rows.sort();
            let expected = [2, 3, 4].map(|n| format!("{{\"id\":{}}}", (day + 1) * 10 + n));
            assert_eq!(rows, expected, "{pattern}, day {day}");
        }
    }
}

#[test]
fn killed_run_continues_in_the_renamed_file() {
    for (pattern, follow) in [("quotes.csv", true), ("quotes.csv*", true), ("quotes.csv*", false)] {
        let files = TestFiles::new(json!({ "path": pattern, "follow": follow }));
        files.write("quotes.csv", "id\n1\n2\n3\n");
        let all = items(&mut files.open(None).unwrap()).unwrap();
        let mut added = std::fs::File::options().append(true).open(files.path("quotes.csv")).unwrap();
        added.write_all(b"4\n").unwrap();
        std::fs::rename(files.path("quotes.csv"), files.path("quotes.csv.1")).unwrap();
        files.write("quotes.csv", "id\n5\n");
        let rows = ["2", "3", "4", "5"].map(|n| Ok(format!("{{\"id\":{n}}}")));
        assert_eq!(files.read_after(Some(all[0].1.position())), rows, "{pattern} {follow}");
    }
}

#[test]
fn truncated_file_is_read_from_its_beginning_and_its_copy_to_the_end() {
    let mut it = Followed::new("quotes.csv", "id,v\n1,a\n2,b\n");
    assert_eq!(it.new_rows().len(), 2);
    it.append("quotes.csv", "3,c\n");
    std::fs::copy(it.files.path("quotes.csv"), it.files.path("quotes.csv.1")).unwrap();
    it.write("quotes.csv", "id,v\n4,d\n");
    assert_eq!(it.new_rows(), [r#"{"id":3,"v":"c"}"#, r#"{"id":4,"v":"d"}"#]);
    it.append("quotes.csv", "5,e\n");
    assert_eq!(it.files.read_after(it.position.clone()), ok(&[r#"{"id":5,"v":"e"}"#]), "after a restart");
    assert_eq!(it.new_rows(), [r#"{"id":5,"v":"e"}"#]);
}

#[test]
fn truncated_file_is_read_to_the_end_of_its_copy() {
    let text: String = (0..200_000).map(|n| format!("{n:07}\n")).collect();
    for has_copy in [true, false] {
        let mut it = Followed::new("quotes.csv", &format!("id\n{text}"));
        let n_rows = it.reader.next_chunk().unwrap().unwrap().records.len();
        if has_copy {
            std::fs::copy(it.files.path("quotes.csv"), it.files.path("quotes.csv.1")).unwrap();
        }
        it.write("quotes.csv", "id\n1000000\n");
        let rows = it.new_rows();
        assert_eq!(rows.last().map(String::as_str), Some(r#"{"id":"1000000"}"#), "{has_copy}");
        assert_eq!(rows.len() == 200_001 - n_rows, has_copy, "{}", rows.len());
    }
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
