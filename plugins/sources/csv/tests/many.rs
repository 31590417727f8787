//! Several files: globs, their order, new files.

use super::*;

fn files() -> TestFiles {
    let files = TestFiles::new(json!({ "path": ["last.csv", "a*.csv"] }));
    files.write("last.csv", "n\n1\n");
    files.write("a2.csv", "n\n3\n");
    files.write("a1.csv", "n\n2.5\n");
    files
}

#[test]
fn files_are_read_in_order_and_share_their_types() {
    let rows = [r#"{"n":1.0}"#, r#"{"n":2.5}"#, r#"{"n":3.0}"#];
    assert_eq!(files().read(), ok(&rows));
    let files = files();
    let mut reader = files.open(None).unwrap();
    for (partition, name) in (0..).zip(["last.csv", "a1.csv", "a2.csv"]) {
        let origin = reader.next_chunk().unwrap().unwrap().records[0].origin;
        assert_eq!((origin.partition, origin.offset), (partition, 0));
        assert!(origin.source.as_str().ends_with(name));
    }
}

#[test]
fn new_files_are_read_last_and_grown_ones_resume() {
    let files = files();
    let position = files.last_position();
    files.write("a0.csv", "n\n4\n");
    files.append("a1.csv", "5\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"n":4.0}"#, r#"{"n":5.0}"#]));
}

#[test]
fn file_that_has_several_names_is_read_once() {
    let files = files();
    let position = files.last_position();
    std::os::unix::fs::symlink(files.path("a1.csv"), files.path("a0.csv")).unwrap();
    std::fs::hard_link(files.path("a2.csv"), files.path("a3.csv")).unwrap();
    assert_eq!(files.read_after(Some(position)), ok(&[]), "names that come later");
    assert_eq!(files.read(), ok(&[r#"{"n":1.0}"#, r#"{"n":2.5}"#, r#"{"n":3.0}"#]));
}

#[test]
fn only_files_that_were_read_may_be_deleted() {
    let files = files();
    let all = items(&mut files.open(None).unwrap()).unwrap();
    std::fs::remove_file(files.path("last.csv")).unwrap();
    assert_eq!(files.read_after(Some(all[1].1.position())), ok(&[r#"{"n":3.0}"#]));
    std::fs::remove_file(files.path("a2.csv")).unwrap();
    files.assert_error(Some(all[1].1.position()), "", &["a2.csv"]);
}

#[test]
fn different_header_is_refused_before_the_first_row_is_read() {
    let files = files();
    files.write("a2.csv", "m\n3\n");
    assert!(files.open(None).is_err());
    let message = "a2.csv has a different header than last.csv: column 1 is `m` here and `n` there";
    files.assert_error(None, message, &[]);
}

#[test]
fn pattern_whose_files_were_all_read_and_deleted_is_accepted() {
    let files = files();
    let position = files.last_position();
    for name in ["last.csv", "a1.csv", "a2.csv"] {
        std::fs::remove_file(files.path(name)).unwrap();
    }
    assert_eq!(files.read_after(Some(position.clone())), ok(&[]));
}

#[test]
fn pattern_without_a_file_is_an_error_only_if_no_other_path_has_one() {
    let files = files();
    let position = files.last_position();
    let files = files.with("path", json!(["last.csv", "a*.csv", "b*.csv"]));
    assert_eq!(files.read().len(), 3);
    files.write("b1.csv", "n\n4\n");
    assert_eq!(files.read_after(Some(position)), ok(&[r#"{"n":4.0}"#]));
    let files = files.with("path", json!(["c*.csv", "d*.csv"]));
    files.assert_error(None, "no file matches `c*.csv` in ", &[]);
    let files = files.with("path", json!(["c.csv", "b*.csv"]));
    files.assert_error(None, "there is no file c.csv", &[]);
}

#[test]
fn list_resumes_from_a_shorter_one_only() {
    let source = |paths: Value| {
        let files = TestFiles::new(json!({ "path": paths }));
        let mut context = testing::context();
        context.folder = "/data".into();
        CsvConfig::deserialize(&files.options).unwrap().build(&context).unwrap()
    };
    let now = source(json!(["2024.csv", "2025, Q1.csv", "2026.csv"]));
    for (before, can_resume) in [
        (json!("2025, Q1.csv"), true),
        (json!(["2024.csv", "2026.csv"]), true),
        (json!(["2024.csv", "2025, Q1.csv", "2026.csv"]), true),
        (json!(["2026.csv", "2024.csv"]), false),
        (json!(["2024.csv", "2023.csv"]), false),
        (json!(["2024.csv", "2025, Q1.csv", "2026.csv", "2027.csv"]), false),
        (json!("2024.csv.gz"), false),
    ] {
        assert_eq!(now.can_resume_from(&source(before.clone()).identity()), can_resume, "{before}");
    }
}

#[test]
fn origin_is_the_path_relative_to_the_pipeline_file() {
    let files = TestFiles::of("n\n1\n");
    std::fs::create_dir(files.path("pipelines")).unwrap();
    let mut context = testing::context();
    let origin = |context: &BuildContext, path: &str| {
        let path = files::identity(&[path.to_owned()], context);
        files::origin_name(&path, context).as_str().to_owned()
    };
    context.folder = files.path("pipelines");
    assert_eq!(origin(&context, "data/t.csv"), "data/t.csv");
    assert_eq!(origin(&context, "../t.csv"), "../t.csv");
    assert_eq!(origin(&context, "/data/t.csv"), "/data/t.csv");
    let identity = files::identity(&["t.csv".to_owned()], &context);
    context.folder = files.path("pipelines/../pipelines");
    assert_eq!(files::identity(&["t.csv".to_owned()], &context), identity);
    assert_eq!(origin(&context, "t.csv"), "t.csv");
}

#[test]
fn file_without_any_known_column_is_refused_where_columns_are_added() {
    for other in ["id;v\n2;b\n", "Service unavailable\nretry later\n"] {
        let files = TestFiles::new(json!({ "path": "*.csv", "new_columns": "add" }));
        files.write("1.csv", "id,v\n1,a\n");
        files.write("2.csv", "v,w\nb,2\n");
        let position = files.last_position();
        files.write("3.csv", "w,x\n3,c\n");
        let rows = ok(&[r#"{"id":null,"v":null,"w":3,"x":"c"}"#]);
        assert_eq!(files.read_after(Some(position.clone())), rows);
        files.write("4.csv", other);
        for position in [None, Some(position)] {
            let error = files.open_error(position);
            assert!(error.starts_with("4.csv has none of the columns of 1.csv"), "{error}");
        }
    }
}
