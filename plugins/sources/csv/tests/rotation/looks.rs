//! Followed files that are rotated more than once, or compressed too, between two looks.

use super::*;

#[test]
fn file_that_comes_and_is_rotated_between_two_looks_is_read() {
    for (is_restarted, is_empty) in [(false, false), (true, false), (false, true)] {
        let mut it = Followed::new("quotes.csv", "");
        it.write("quotes.csv-20240130", "id\n1\n");
        let old = std::fs::File::options().append(true).open(it.files.path("quotes.csv-20240130")).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_secs(9)).unwrap();
        it.write("quotes.csv-20240131", "id\n2\n");
        it.write("quotes.csv", if is_empty { "" } else { "id\n3\n" });
        if is_restarted {
            it.restart();
        }
        let mut rows = it.new_rows();
        if is_empty {
            it.append("quotes.csv", "id\n3\n");
            rows.extend(it.new_rows());
        }
        rows.sort();
        assert_eq!(rows, ids(&[2, 3]), "restarted: {is_restarted}, empty: {is_empty}");
    }
}

#[test]
fn file_between_two_rotations_is_read_though_the_first_one_had_no_rows_and_is_compressed() {
    for is_restarted in [false, true] {
        let mut it = Followed::new("quotes.csv", "id\n");
        if !is_restarted {
            assert_eq!(it.new_rows(), [""; 0]);
        }
        it.write("quotes.csv.1", "id\n2\n");
        compress(&it.files, "quotes.csv", "quotes.csv.2.gz");
        it.write("quotes.csv", "id\n3\n");
        if is_restarted {
            it.restart();
        }
        let mut rows = it.new_rows();
        rows.sort();
        assert_eq!(rows, ids(&[2, 3]), "restarted: {is_restarted}");
    }
}

#[test]
fn file_that_is_rotated_between_a_look_and_its_turn_is_read_after_the_next_look() {
    let mut it = Followed::new("*.csv*", "id\n1\n");
    it.write("a.csv", "id\n10\n");
    assert_eq!(it.new_rows(), ids(&[1, 10]));
    it.append("a.csv", "11\n");
    it.append("quotes.csv", "2\n");
    it.reader.refresh().unwrap();
    it.rename("quotes.csv", "quotes.csv.1");
    it.write("quotes.csv", "id\n3\n");
    it.rename("a.csv", "a.csv.1");
    it.write("a.csv", "id\n12\n");
    let mut rows = it.new_rows();
    rows.sort();
    assert_eq!(rows, ids(&[11, 12, 2, 3]));
}

#[test]
fn file_with_only_a_header_is_not_taken_for_another_one() {
    let mut it = Followed::new("quotes.csv", "id\n");
    assert_eq!(it.new_rows(), [""; 0]);
    it.rename("quotes.csv", "quotes.csv.2");
    it.write("quotes.csv.1", "id\n1\n");
    it.write("quotes.csv", "id\n");
    assert_eq!(it.new_rows(), ids(&[1]));
    compress(&it.files, "quotes.csv.2", "quotes.csv.3.gz");
    it.rename("quotes.csv.1", "quotes.csv.2");
    it.rename("quotes.csv", "quotes.csv.1");
    it.write("quotes.csv", "id\n2\n");
    assert_eq!(it.new_rows(), ids(&[2]));
    it.rename("quotes.csv.1", "quotes.csv.4");
    it.rename("quotes.csv", "quotes.csv.5");
    it.write("quotes.csv.1", "id\n3\n");
    it.write("quotes.csv", "id\n4\n");
    let mut rows = it.new_rows();
    rows.sort();
    assert_eq!(rows, ids(&[3, 4]));
}

#[test]
fn archive_that_is_being_made_of_a_file_is_not_that_of_another_file() {
    let mut it = Followed::new("quotes.csv*", "id\n");
    it.append("quotes.csv", "1\n");
    compress(&it.files, "quotes.csv", "quotes.csv.2.gz");
    it.write("quotes.csv.1", "id\n2\n");
    std::fs::write(it.files.path("quotes.csv.1.gz"), gzip(b"id\n2\n")).unwrap();
    it.write("quotes.csv", "id\n3\n");
    it.restart();
    let mut rows = it.new_rows();
    rows.sort();
    assert_eq!(rows, ids(&[1, 2, 3]));
}

#[test]
fn file_that_is_compressed_before_it_is_read_is_read() {
    let mut it = Followed::new("quotes.csv", "id\n1\n");
    compress(&it.files, "quotes.csv", "quotes.csv.gz");
    it.restart();
    assert_eq!(it.new_rows(), ids(&[1]));
}

#[test]
fn file_that_is_compressed_and_rotated_again_between_two_looks_is_read_once() {
    let mut it = Followed::new("quotes.csv*", "id\n1\n");
    it.rename("quotes.csv", "quotes.csv.1");
    it.restart();
    assert_eq!(it.new_rows(), ids(&[1]));
    it.append("quotes.csv.1", "2\n");
    compress(&it.files, "quotes.csv.1", "quotes.csv.2.gz");
    it.restart();
    assert_eq!(it.new_rows(), ids(&[2]));
}
