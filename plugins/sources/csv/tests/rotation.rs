//! Files that rotation renames or compresses, and those that are moved between two runs.

use std::fs::rename as move_file;

use super::compressed::gzip;
use super::follow::Followed;
use super::*;

fn ids(ids: &[u32]) -> Vec<String> {
    ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect()
}

/// Compresses a file as gzip does: the archive keeps its time.
fn compress(files: &TestFiles, from: &str, to: &str) {
    let (text, time) = (std::fs::read(files.path(from)).unwrap(), modified(files, from));
    std::fs::write(files.path(to), gzip(&text)).unwrap();
    std::fs::File::options().append(true).open(files.path(to)).unwrap().set_modified(time).unwrap();
    std::fs::remove_file(files.path(from)).unwrap();
}

fn modified(files: &TestFiles, name: &str) -> SystemTime {
    std::fs::metadata(files.path(name)).unwrap().modified().unwrap()
}

#[test]
fn file_that_had_only_a_header_is_read_after_its_rotation() {
    for is_restarted in [false, true] {
        let mut it = Followed::new("quotes.csv", "id\n");
        assert_eq!(it.new_rows(), [""; 0]);
        it.append("quotes.csv", "1\n");
        it.rename("quotes.csv", "quotes.csv.1");
        it.write("quotes.csv", "id\n2\n");
        if is_restarted {
            it.restart();
        }
        assert_eq!(it.new_rows(), ids(&[1, 2]), "restarted: {is_restarted}");
    }
}

#[test]
fn file_is_read_to_its_end_under_any_name_in_its_folder() {
    for (is_restarted, is_link) in [(false, false), (true, false), (true, true)] {
        let mut it = Followed::read("id\n1\n");
        it.rename("quotes.csv", "2024-01-31.csv");
        if is_link {
            std::os::unix::fs::symlink("2024-01-31.csv", it.files.path("quotes.csv")).unwrap();
        }
        assert_eq!(it.new_rows(), [""; 0]);
        it.append("2024-01-31.csv", "2\n");
        if is_link {
            std::fs::remove_file(it.files.path("quotes.csv")).unwrap();
        }
        it.write("quotes.csv", "id\n3\n");
        if is_restarted {
            it.restart();
        }
        assert_eq!(it.new_rows(), ids(&[2, 3]), "restarted: {is_restarted}, link: {is_link}");
    }
}

#[test]
fn new_file_that_begins_as_the_renamed_one_is_read_from_its_beginning() {
    for is_restarted in [false, true] {
        let mut it = Followed::read("id\n1\n1\n");
        it.append("quotes.csv", "2\n");
        it.rename("quotes.csv", "quotes.csv.1");
        it.write("quotes.csv", "id\n1\n1\n3\n");
        if is_restarted {
            it.restart();
        }
        assert_eq!(it.new_rows(), ids(&[2, 1, 1, 3]), "restarted: {is_restarted}");
    }
}

#[test]
fn file_that_was_copied_over_itself_continues() {
    for backup in [None, Some("quotes.csv~"), Some("quotes.csv.bak"), Some("backup of quotes.csv")] {
        let mut it = Followed::read("id\n1\n");
        it.write("new", "id\n1\n2\n");
        if let Some(backup) = backup {
            it.rename("quotes.csv", backup);
        }
        it.rename("new", "quotes.csv");
        assert_eq!(it.new_rows(), ids(&[2]), "{backup:?}");
    }
}

#[test]
fn file_between_two_rotations_is_read() {
    let mut it = Followed::read("id\n1\n");
    it.files.write("quotes.csv.1", "id\n90\n");
    it.append("quotes.csv", "2\n");
    it.rename("quotes.csv.1", "quotes.csv.4");
    it.rename("quotes.csv", "quotes.csv.3");
    it.write("quotes.csv.2", "id\n3\n");
    it.write("quotes.csv.1", "id\n4\n");
    it.write("quotes.csv", "id\n5\n");
    for (name, second) in [("quotes.csv.3", 1), ("quotes.csv.2", 2), ("quotes.csv.1", 3)] {
        let file = std::fs::File::options().append(true).open(it.files.path(name)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(second)).unwrap();
    }
    it.restart();
    assert_eq!(it.new_rows(), ids(&[2, 3, 4, 5]), "quotes.csv.4 is older than what was read");
    it.restart();
    assert_eq!(it.new_rows(), [""; 0]);
}

#[test]
fn file_between_two_rotations_is_read_despite_a_gap() {
    for (is_moved, is_restarted) in [(true, false), (true, true), (false, false)] {
        let mut it = Followed::read("id\n1\n");
        if is_moved {
            it.rename("quotes.csv", "quotes.csv-20240130");
            it.append("quotes.csv-20240130", "2\n");
        } else {
            std::fs::remove_file(it.files.path("quotes.csv")).unwrap();
        }
        assert_eq!(it.new_rows(), ids(if is_moved { &[2] } else { &[] }));
        if is_restarted {
            it.restart();
        }
        it.write("quotes.csv", "id\n3\n");
        it.rename("quotes.csv", "quotes.csv-20240131");
        it.write("quotes.csv", "id\n");
        assert_eq!(it.new_rows(), ids(&[3]), "moved: {is_moved}, restarted: {is_restarted}");
        it.append("quotes.csv", "4\n");
        assert_eq!(it.new_rows(), ids(&[4]));
    }
}

#[test]
fn renamed_file_is_known_as_one_though_all_its_rows_were_read_after_that() {
    let mut it = Followed::new("quotes.csv", "id\n");
    it.rename("quotes.csv", "quotes.csv.1");
    it.reader.refresh().unwrap();
    it.append("quotes.csv.1", "1\n");
    assert_eq!(it.new_rows(), ids(&[1]));
    it.rename("quotes.csv.1", "quotes.csv.3");
    it.write("quotes.csv.2", "id\n2\n");
    it.write("quotes.csv", "id\n3\n");
    it.restart();
    assert_eq!(it.new_rows(), ids(&[2, 3]));
}

#[test]
fn file_opened_without_rows_is_known_by_later_rows() {
    let mut it = Followed::read("id\n0\n");
    it.rename("quotes.csv", "quotes.csv.1");
    it.write("quotes.csv", "id\n");
    assert_eq!(it.new_rows(), ids(&[]));
    it.append("quotes.csv", "1\n");
    it.rename("quotes.csv.1", "quotes.csv.2");
    it.rename("quotes.csv", "quotes.csv.1");
    it.write("quotes.csv", "id\n");
    assert_eq!(it.new_rows(), ids(&[1]));
    // Another file with the same header comes after it, and is longer.
    it.rename("quotes.csv.2", "quotes.csv.3");
    compress(&it.files, "quotes.csv.1", "quotes.csv.2.gz");
    std::fs::write(it.files.path("quotes.csv.1.gz"), gzip(b"id\n20\n30\n")).unwrap();
    it.restart();
    assert_eq!(it.new_rows(), ids(&[20, 30]));
}

#[test]
fn file_that_is_rotated_twice_before_it_is_read_is_read() {
    let mut it = Followed::read("id\n1\n");
    it.rename("quotes.csv", "quotes.csv.2");
    it.write("quotes.csv.1", "id\n2\n");
    it.write("quotes.csv", "id\n");
    it.reader.refresh().unwrap();
    for (from, to) in [("quotes.csv.2", "quotes.csv.3"), ("quotes.csv.1", "quotes.csv.2")] {
        it.rename(from, to);
    }
    it.append("quotes.csv", "3\n");
    it.rename("quotes.csv", "quotes.csv.1");
    it.write("quotes.csv", "id\n4\n");
    it.position = it.reader.restart_position();
    it.restart();
    let mut rows = it.new_rows();
    rows.sort();
    assert_eq!(rows, ids(&[2, 3, 4]));
}

#[test]
fn file_that_may_not_be_a_rotated_one_is_not_read() {
    for (name, text) in [
        ("quotes.csv.2", "other\n3\n"),
        ("quotes.csv.2", "id\n1\n3\n"),
        ("quotes.csv.bak", "id\n3\n"),
        ("quotes2.csv", "id\n3\n"),
    ] {
        let mut it = Followed::read("id\n1\n");
        it.rename("quotes.csv", "quotes.csv.1");
        it.write(name, text);
        it.write("quotes.csv", "id\n5\n");
        it.restart();
        assert_eq!(it.new_rows(), ids(&[5]), "{name}");
    }
}

#[test]
fn compressed_file_and_its_successor_are_read_whole() {
    // The new file begins as the old one did, or not.
    for (new, after) in [("id\n5\n", &[2, 5][..]), ("id\n1\n5\n", &[2, 1, 5])] {
        let mut it = Followed::read(&format!("id\n1\n{}", "1\n".repeat(1000)));
        it.append("quotes.csv", "2\n");
        it.rename("quotes.csv", "quotes.csv.1");
        it.write("quotes.csv", new);
        compress(&it.files, "quotes.csv.1", "quotes.csv.1.gz");
        it.restart();
        assert_eq!(it.new_rows(), ids(after));
        it.restart();
        assert_eq!(it.new_rows(), [""; 0]);
    }
}

#[test]
fn file_that_is_renamed_and_then_compressed_is_read_once() {
    for pattern in ["quotes.csv", "quotes.csv*"] {
        let mut it = Followed::new(pattern, "id\n1\n");
        it.new_rows();
        it.rename("quotes.csv", "quotes.csv.1");
        it.write("quotes.csv", "id\n2\n");
        assert_eq!(it.new_rows(), ids(&[2]), "{pattern}");
        // While gzip writes the archive, both are there.
        std::fs::write(it.files.path("quotes.csv.1.gz"), gzip(b"id\n1\n")).unwrap();
        assert_eq!(it.new_rows(), [""; 0], "{pattern}");
        compress(&it.files, "quotes.csv.1", "quotes.csv.1.gz");
        assert_eq!(it.new_rows(), [""; 0], "{pattern}");
        it.rename("quotes.csv.1.gz", "quotes.csv.2.gz");
        it.rename("quotes.csv", "quotes.csv.1");
        it.write("quotes.csv", "id\n3\n");
        assert_eq!(it.new_rows(), ids(&[3]), "{pattern}");
    }
}

#[test]
fn followed_file_may_be_absent_for_a_while() {
    for is_restarted in [false, true] {
        let mut it = Followed::read("id\n1\n");
        it.append("quotes.csv", "2\n");
        it.rename("quotes.csv", "quotes.csv.1");
        if is_restarted {
            it.restart();
        }
        assert_eq!(it.new_rows(), ids(&[2]), "restarted: {is_restarted}");
        it.write("quotes.csv", "id\n3\n");
        assert_eq!(it.new_rows(), ids(&[3]), "restarted: {is_restarted}");
        std::fs::remove_file(it.files.path("quotes.csv")).unwrap();
        assert_eq!(it.new_rows(), [""; 0]);
        it.write("quotes.csv", "id\n4\n");
        assert_eq!(it.new_rows(), ids(&[4]));
    }
}

#[test]
fn file_that_was_read_and_moved_is_not_read_again() {
    for (pattern, to) in [
        ("k.csv*", "k.csv.1"),
        ("k.csv*", "k.csv.gz"),
        ("**/*.csv", "done/k.csv"),
        ("**/*.csv*", "done/k.csv.gz"),
    ] {
        let files = TestFiles::new(json!({ "path": pattern }));
        std::fs::create_dir(files.path("done")).unwrap();
        files.write("k.csv", "id\n1\n2\n");
        let position = files.last_position();
        if to.contains(".gz") {
            compress(&files, "k.csv", to);
        } else {
            move_file(files.path("k.csv"), files.path(to)).unwrap();
        }
        assert_eq!(files.read_after(Some(position.clone())), ok(&[]), "{to}");
        files.write("k.csv", "id\n3\n");
        assert_eq!(files.read_after(Some(position)), ok(&[r#"{"id":3}"#]), "{to}");
    }
}

#[test]
fn file_on_another_file_system_is_known_by_its_content_and_age() {
    for (text, is_same_age, n_rows) in
        [("id\n1\n2\n", true, 0), ("id\n1\n2\n", false, 2), ("id\n1\n2\n3\n", true, 3)]
    {
        let files = TestFiles::new(json!({ "path": "*.csv" }));
        files.write("a.csv", "id\n1\n2\n");
        let (position, time) = (files.last_position(), modified(&files, "a.csv"));
        files.write("b.csv", text);
        std::fs::remove_file(files.path("a.csv")).unwrap();
        let time = if is_same_age { time } else { time - Duration::from_secs(20) };
        std::fs::File::options().append(true).open(files.path("b.csv")).unwrap().set_modified(time).unwrap();
        assert_eq!(files.read_after(Some(position)).len(), n_rows, "{text:?} {is_same_age}");
    }
}

/// Files that are rotated more than once, or compressed too, between two looks.
mod looks;
