//! Whether entry numbers of rows that were read ahead are still valid when a run resumes.

use super::*;

impl TestFiles {
    /// Whether a run that resumes there must use new entry numbers.
    fn restart_position(&self, position: &Position) -> bool {
        self.open(Some(position.clone())).unwrap().restart_position().is_some()
    }

    fn positions(&self) -> Vec<Position> {
        items(&mut self.open(None).unwrap()).unwrap().iter().map(|(_, after)| after.position()).collect()
    }

    fn touch(&self, name: &str) {
        let file = std::fs::File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
}

#[test]
fn rows_added_or_removed_in_unread_input_restart_the_numbers() {
    let rows = |numbers: &[u32]| numbers.iter().map(|n| format!("{n}\n")).collect::<String>();
    let all: Vec<u32> = (1000..3000).collect();
    let text = format!("n\n{}", rows(&all));
    let files = TestFiles::of(&text);
    let position = files.positions().swap_remove(9);
    assert!(!files.restart_position(&position));
    let without = text.replace("1010\n", "");
    for (what, changed, must_restart) in [
        ("a row was removed", without.clone(), true),
        ("a row was removed, and another was appended", without + "3000\n", true),
        ("a row is shorter", text.replace("1010\n", "101\n"), true),
        ("a row was replaced by one of its length", text.replace("1010\n", "9999\n"), false),
        ("it has grown", text.clone() + "3000\n", false),
        ("it has grown, and a row was removed", text.replace("1010\n", "") + "3000\n3001\n", true),
        ("it was copied back", text.clone(), false),
    ] {
        files.write("t.csv", changed);
        files.touch("t.csv");
        assert_eq!(files.restart_position(&position), must_restart, "{what}");
    }
}

#[test]
fn rows_appended_after_the_end_keep_the_numbers() {
    let files = TestFiles::of("n\n1\n2\n");
    let position = files.last_position();
    files.append("t.csv", "3\n");
    assert!(!files.restart_position(&position));
}

#[test]
fn continued_last_row_restarts_the_numbers() {
    let files = TestFiles::of("n\n1\n12");
    let position = files.positions().swap_remove(0);
    files.append("t.csv", "345\n");
    assert!(files.restart_position(&position));
}

#[test]
fn only_the_last_of_several_files_may_grow() {
    for (grown, must_restart) in [("a.csv", true), ("b.csv", false)] {
        let files = TestFiles::new(json!({ "path": "*.csv" }));
        files.write("a.csv", "n\n1\n2\n");
        files.write("b.csv", "n\n3\n4\n");
        let within_a = files.positions().swap_remove(0);
        files.append(grown, "5\n");
        assert_eq!(files.restart_position(&within_a), must_restart, "{grown}");
    }
}

#[test]
fn new_file_is_read_after_the_known_ones() {
    let files = TestFiles::new(json!({ "path": "*.csv" }));
    files.write("a.csv", "n\n1\n2\n");
    files.write("b.csv", "n\n3\n4\n");
    let [within_a, after_a, within_b, _] = files.positions().try_into().ok().unwrap();
    files.write("a0.csv", "n\n5\n");
    assert!(!files.restart_position(&within_a));
    // While another file is being read, rows appended to a file that was read come last.
    files.append("a.csv", "6\n");
    assert!(files.restart_position(&after_a), "its new rows are read before b.csv");
    assert!(!files.restart_position(&within_b));
}

#[test]
fn position_before_the_first_row_fixes_only_the_numbers() {
    let mut files = TestFiles::of("a;b\n1;2\n");
    let first = files.open(None).unwrap().restart_position().unwrap();
    assert!(!files.restart_position(&first));
    files = files.with("delimiter", json!(";"));
    assert!(files.restart_position(&first));
    assert_eq!(files.read_after(Some(first.clone())), ok(&[r#"{"a":1,"b":2}"#]));
    files.write("t.csv", "a;b\n1.5;2\n");
    assert_eq!(files.read_after(Some(first)), ok(&[r#"{"a":1.5,"b":2}"#]));
}
