//! Whether numbers that were given to rows read ahead are still right when reading goes on.

use super::*;

impl Scene {
    /// Whether numbers begin anew for whoever goes on there.
    fn restart_position(&self, position: &Position) -> bool {
        self.open(Some(position.clone())).unwrap().restart_position().is_some()
    }

    fn positions(&self) -> Vec<Position> {
        items(&mut self.open(None).unwrap()).unwrap().iter().map(|(_, behind)| behind.position()).collect()
    }

    fn touch(&self, name: &str) {
        let file = std::fs::File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
}

#[test]
fn rows_that_come_or_go_in_what_was_read_ahead_take_no_number_of_others() {
    let rows = |numbers: &[u32]| numbers.iter().map(|n| format!("{n}\n")).collect::<String>();
    let all: Vec<u32> = (1000..3000).collect();
    let text = format!("n\n{}", rows(&all));
    let scene = Scene::of(&text);
    let position = scene.positions().swap_remove(9);
    assert!(!scene.restart_position(&position));
    let without = text.replace("1010\n", "");
    for (what, changed, anew) in [
        ("a row is gone", without.clone(), true),
        ("a row is gone, and another has come at the end", without + "3000\n", true),
        ("a row is shorter", text.replace("1010\n", "101\n"), true),
        ("a row was replaced by one of its length", text.replace("1010\n", "9999\n"), false),
        ("it has grown", text.clone() + "3000\n", false),
        ("it has grown, and a row is gone", text.replace("1010\n", "") + "3000\n3001\n", true),
        ("it was copied back", text.clone(), false),
    ] {
        scene.write("t.csv", changed);
        scene.touch("t.csv");
        assert_eq!(scene.restart_position(&position), anew, "{what}");
    }
}

#[test]
fn behind_the_end_nothing_was_read_ahead() {
    let scene = Scene::of("n\n1\n2\n");
    let position = scene.last_position();
    scene.append("t.csv", "3\n");
    assert!(!scene.restart_position(&position));
}

#[test]
fn a_last_row_without_a_line_end_is_another_one_once_it_goes_on() {
    let scene = Scene::of("n\n1\n12");
    let position = scene.positions().swap_remove(0);
    scene.append("t.csv", "345\n");
    assert!(scene.restart_position(&position));
}

#[test]
fn only_the_last_of_several_files_may_grow() {
    for (grown, anew) in [("a.csv", true), ("b.csv", false)] {
        let scene = Scene::new(json!({ "path": "*.csv" }));
        scene.write("a.csv", "n\n1\n2\n");
        scene.write("b.csv", "n\n3\n4\n");
        let within_a = scene.positions().swap_remove(0);
        scene.append(grown, "5\n");
        assert_eq!(scene.restart_position(&within_a), anew, "{grown}");
    }
}

#[test]
fn a_file_that_comes_up_is_read_behind_those_that_were_known() {
    let scene = Scene::new(json!({ "path": "*.csv" }));
    scene.write("a.csv", "n\n1\n2\n");
    scene.write("b.csv", "n\n3\n4\n");
    let [within_a, behind_a, within_b, _] = scene.positions().try_into().ok().unwrap();
    scene.write("a0.csv", "n\n5\n");
    assert!(!scene.restart_position(&within_a));
    // What a file has grown by that was read before comes last, as long as another one is being read.
    scene.append("a.csv", "6\n");
    assert!(scene.restart_position(&behind_a), "it is read on before b.csv");
    assert!(!scene.restart_position(&within_b));
}

#[test]
fn before_the_first_row_nothing_is_settled_but_the_numbers() {
    let mut scene = Scene::of("a;b\n1;2\n");
    let first = scene.open(None).unwrap().restart_position().unwrap();
    assert!(!scene.restart_position(&first));
    scene = scene.with("delimiter", json!(";"));
    assert!(scene.restart_position(&first));
    assert_eq!(scene.read_behind(Some(first.clone())), ok(&[r#"{"a":1,"b":2}"#]));
    scene.write("t.csv", "a;b\n1.5;2\n");
    assert_eq!(scene.read_behind(Some(first)), ok(&[r#"{"a":1.5,"b":2}"#]));
}
