//! Files that have grown since they were read are read on; those that have changed are refused.

use super::*;

#[test]
fn a_file_that_has_grown_goes_on_behind_its_front() {
    for (text, added) in [("n\n1\n2\n", "3\n"), ("n\n1\n2", "\n3"), ("n\r\n1\r\n2\r\n\r\n", "3\r\n")] {
        let scene = Scene::of(text);
        let position = scene.last_position();
        assert_eq!(scene.read_behind(Some(position.clone())), ok(&[]));
        scene.append("t.csv", added);
        assert_eq!(scene.read_behind(Some(position)), ok(&[r#"{"n":3}"#]), "{text:?}");
    }
}

#[test]
fn a_file_that_has_changed_otherwise_is_an_error() {
    let rows: String = (0..60_000).map(|n| format!("{n:07}\n")).collect();
    let text = format!("n\n{rows}");
    let scene = Scene::of(&text);
    let position = scene.last_position();
    for (from, to, what) in [
        ("0000001\n", "1000001\n", "its first 262144 bytes are not what they were"),
        ("0059000\n", "1059000\n", "are not what they were"),
        ("0059999\n", "", "it has shrunk from 480002 to 479994 bytes"),
    ] {
        scene.write("t.csv", text.replace(from, to));
        let error = scene.refusal(Some(position.clone()));
        assert!(error.starts_with("t.csv has changed since it was read up to line 60001: "), "{error}");
        assert!(error.contains(what) && error.contains("--from-start"), "{error}");
    }
}

#[test]
fn a_bad_row_that_has_become_shorter_is_read_on_from() {
    for (text, corrected) in
        [("a,b\n1,x\n2,y,z\n3,w\n", "a,b\n1,x\n2,y\n3,w\n"), ("a,b\n1,x\n2,y,z", "a,b\n1,x\n3,w\n")]
    {
        let scene = Scene::of(text);
        let all = items(&mut scene.open(None).unwrap()).unwrap();
        assert!(all[1].0.is_err());
        let position = all[0].1.position();
        scene.write("t.csv", corrected);
        assert_eq!(scene.read_behind(Some(position.clone())).last(), Some(&Ok(r#"{"a":3,"b":"w"}"#.into())));
        scene.write("t.csv", "a,b\n1,");
        let error = scene.refusal(Some(position));
        assert!(error.contains(&format!("it has shrunk from {} to 6 bytes", text.len())), "{error}");
    }
}

#[test]
fn a_last_row_that_goes_on_is_a_change() {
    for (text, added) in [("n\n1\n2", "3\n"), ("n\n1\n\"2", "\n3\"\n"), ("n\n1\n\"2\"", ",\n")] {
        let scene = Scene::of(text);
        let position = scene.last_position();
        scene.append("t.csv", added);
        let error = scene.refusal(Some(position));
        assert!(error.contains("its last row had no line end and now goes on"), "{error}");
    }
}

#[test]
fn every_row_of_a_small_file_is_covered_by_the_print() {
    let scene = Scene::of("n\n1\n2\n3\n");
    let all = items(&mut scene.open(None).unwrap()).unwrap();
    scene.write("t.csv", "n\n1\n9\n3\n");
    assert_eq!(scene.read_behind(Some(all[0].1.position())), ok(&[r#"{"n":9}"#, r#"{"n":3}"#]));
    let error = scene.refusal(Some(all[1].1.position()));
    assert!(error.contains("its first 6 bytes are not what they were"), "{error}");
}

#[test]
fn other_options_do_not_go_on_in_a_file() {
    let scene = Scene::of("a;b\n1;2\n");
    let position = scene.last_position();
    let error = scene.with("delimiter", json!(";")).refusal(Some(position));
    assert!(error.starts_with("`delimiter`, `header` or `columns` are not what they were"), "{error}");
}
