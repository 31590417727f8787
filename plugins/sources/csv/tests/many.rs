//! Several files: globs, their order, files that come up later.

use super::*;

fn scene() -> Scene {
    let scene = Scene::new(json!({ "path": ["last.csv", "a*.csv"] }));
    scene.write("last.csv", "n\n1\n");
    scene.write("a2.csv", "n\n3\n");
    scene.write("a1.csv", "n\n2.5\n");
    scene
}

#[test]
fn files_are_read_in_order_and_typed_together() {
    let rows = [r#"{"n":1.0}"#, r#"{"n":2.5}"#, r#"{"n":3.0}"#];
    assert_eq!(scene().read(), ok(&rows));
    let scene = scene();
    let mut reader = scene.open(None).unwrap();
    for (lane, name) in (0..).zip(["last.csv", "a1.csv", "a2.csv"]) {
        let origin = reader.next_chunk().unwrap().unwrap().records[0].origin;
        assert_eq!((origin.partition, origin.offset), (lane, 0));
        assert!(origin.source.as_str().ends_with(name));
    }
}

#[test]
fn new_files_come_last_and_grown_ones_go_on() {
    let scene = scene();
    let position = scene.last_position();
    scene.write("a0.csv", "n\n4\n");
    scene.append("a1.csv", "5\n");
    assert_eq!(scene.read_behind(Some(position)), ok(&[r#"{"n":4.0}"#, r#"{"n":5.0}"#]));
}

#[test]
fn files_that_have_been_read_may_go_and_others_may_not() {
    let scene = scene();
    let all = items(&mut scene.open(None).unwrap()).unwrap();
    std::fs::remove_file(scene.path("last.csv")).unwrap();
    assert_eq!(scene.read_behind(Some(all[1].1.position())), ok(&[r#"{"n":3.0}"#]));
    std::fs::remove_file(scene.path("a2.csv")).unwrap();
    let error = scene.refusal(Some(all[1].1.position()));
    assert!(error.contains("a2.csv"), "{error}");
}

#[test]
fn another_header_is_refused_before_the_first_row_is_read() {
    let scene = scene();
    scene.write("a2.csv", "m\n3\n");
    let error = scene.open(None).err().unwrap().to_string();
    let error = scene.shortened(error);
    assert!(
        error.starts_with("a2.csv has another header than last.csv: column 1 is `m` here and `n` there"),
        "{error}"
    );
}

#[test]
fn a_pattern_whose_files_were_all_read_and_cleared_away_is_no_error() {
    let scene = scene();
    let position = scene.last_position();
    for name in ["last.csv", "a1.csv", "a2.csv"] {
        std::fs::remove_file(scene.path(name)).unwrap();
    }
    assert_eq!(scene.read_behind(Some(position.clone())), ok(&[]));
    let scene = scene.with("path", json!(["last.csv", "a*.csv", "b*.csv"]));
    let error = scene.refusal(Some(position.clone()));
    assert!(error.starts_with("no file matches `b*.csv` in "), "{error}");
    scene.write("b1.csv", "n\n4\n");
    assert_eq!(scene.read_behind(Some(position)), ok(&[r#"{"n":4.0}"#]));
}

#[test]
fn a_list_goes_on_from_a_shorter_one_and_from_no_other() {
    let source = |paths: Value| {
        let scene = Scene::new(json!({ "path": paths }));
        let mut context = testing::context();
        context.folder = "/data".into();
        CsvConfig::deserialize(&scene.options).unwrap().build(&context).unwrap()
    };
    let now = source(json!(["2024.csv", "2025, Q1.csv", "2026.csv"]));
    for (before, goes_on) in [
        (json!("2025, Q1.csv"), true),
        (json!(["2024.csv", "2026.csv"]), true),
        (json!(["2024.csv", "2025, Q1.csv", "2026.csv"]), true),
        (json!(["2026.csv", "2024.csv"]), false),
        (json!(["2024.csv", "2023.csv"]), false),
        (json!(["2024.csv", "2025, Q1.csv", "2026.csv", "2027.csv"]), false),
        (json!("2024.csv.gz"), false),
    ] {
        assert_eq!(now.can_resume_from(&source(before.clone()).identity()), goes_on, "{before}");
    }
}

#[test]
fn a_record_bears_the_path_from_its_pipeline_file_on() {
    let scene = Scene::of("n\n1\n");
    std::fs::create_dir(scene.path("pipelines")).unwrap();
    let mut context = testing::context();
    let origin = |context: &BuildContext, path: &str| {
        let path = files::identity(&[path.to_owned()], context);
        files::origin(&path, context).as_str().to_owned()
    };
    context.folder = scene.path("pipelines");
    assert_eq!(origin(&context, "data/t.csv"), "data/t.csv");
    assert_eq!(origin(&context, "../t.csv"), "../t.csv");
    assert_eq!(origin(&context, "/data/t.csv"), "/data/t.csv");
    let identity = files::identity(&["t.csv".to_owned()], &context);
    context.folder = scene.path("pipelines/../pipelines");
    assert_eq!(files::identity(&["t.csv".to_owned()], &context), identity);
    assert_eq!(origin(&context, "t.csv"), "t.csv");
}
