//! The `csv` source through the binary: bad rows, growth, changes, lists, compression.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::s3::S3;
use crate::support::stocks::stocks_csv;
use crate::support::{Outcome, Scene, report};

/// Rewrites the sample data instead of comparing it.
const UPDATE: &str = "UPDATE_SAMPLE_DATA";

/// `rows.csv` as JSON lines into `out.jsonl`, with these options.
fn scene(text: impl AsRef<[u8]>, options: &str) -> Scene {
    let scene = Scene::new();
    scene.write("rows.csv", text);
    set_options(&scene, &format!("path = \"rows.csv\"\n{options}"));
    scene
}

fn set_options(scene: &Scene, options: &str) {
    scene.write(
        "p.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\n{options}\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n"
        ),
    );
}

fn append(scene: &Scene, name: &str, text: &str) {
    let mut file = std::fs::File::options().append(true).open(scene.path(name)).expect("the file");
    file.write_all(text.as_bytes()).expect("appending");
}

fn run(scene: &Scene) -> Outcome {
    scene.run(["run", "p.toml", "--report", "report.json"])
}

fn out(scene: &Scene) -> Vec<String> {
    scene.read("out.jsonl").lines().map(str::to_owned).collect()
}

/// Numbered rows, more than the sample that settles the types.
fn many_rows() -> String {
    "n,s\n".to_owned() + (0..12_000).map(|n| format!("{n},row {n}\n")).collect::<String>().as_str()
}

#[test]
fn sample_data_matches_its_generator() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data/stocks.csv");
    let made = stocks_csv(3_000, 1986);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &made).expect("writing the sample data");
    }
    let committed = std::fs::read_to_string(&path).expect("the sample data");
    assert!(
        committed == made,
        "pipelines/data/stocks.csv is out of date: run the tests once with {UPDATE}=1"
    );
}

#[test]
fn bad_row_without_dead_letters_stops_every_run_with_position() {
    let scene = scene("a,b\n1,2\n3\n4,5\n", "");
    for n_lines in [1, 1] {
        let outcome = run(&scene);
        outcome.assert_code(1);
        outcome.assert_says(&["rows.csv:3:2: too few cells: the row has 1 and the file 2 columns"]);
        assert_eq!(out(&scene).len(), n_lines);
    }
}

#[test]
fn bad_rows_go_to_dead_letters_and_good_rows_pass() {
    let mut text = many_rows().into_bytes();
    text.extend(b"1,2,3\n4,\xFFx\nx,5\n\"6\",\"good\nrow\"\n7,\"open\n8,9\n");
    let scene = scene(text, "");
    let pipeline = scene.read("p.toml");
    scene.write("p.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    run(&scene).assert_code(0);
    let good = out(&scene);
    assert_eq!(good.len(), 12_001);
    assert_eq!(good[12_000], r#"{"n":6,"s":"good\nrow"}"#);

    let letters = scene.read("dead.jsonl");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = [
        (12_000, "rows.csv:12002:5: too many cells: the row has 3 and the file 2 columns"),
        (12_001, "rows.csv:12003:3: column `s` is not UTF-8: byte 0xFF at 1 of the cell"),
        (
            12_002,
            "rows.csv:12004:1: column `n` is an integer, as its first rows have settled, and `x` is not",
        ),
        (12_004, "rows.csv:12007:3: the quote that opens here is never closed"),
    ];
    assert_eq!(letters.len(), expected.len());
    for (letter, (number, reason)) in letters.iter().zip(expected) {
        assert!(letter["reason"].as_str().expect("a reason").contains(reason), "{letter}");
        assert_eq!(letter["entry"], number, "a rejected row uses up its number");
        assert_eq!(letter["origin"], json!({ "stream": "rows.csv", "lane": 0, "offset": number }));
    }
    assert_eq!(letters[3]["body"], "7,\"open\n8,9\n");
    let rows = &report(scene.path("report.json"))["pipelines"][0]["components"][0];
    assert_eq!((&rows["records_out"], &rows["rejected"]), (&json!(12_001), &json!(4)));
    run(&scene).assert_code(0);
    assert_eq!(out(&scene).len(), 12_001, "everything has been dealt with");
}

#[test]
fn type_mismatch_resumes_with_the_suggested_types_option() {
    let scene = scene(many_rows() + "12000.5,x\n12001,y\n", "");
    let outcome = run(&scene);
    outcome.assert_code(1);
    let line = "types = { n = \"float\" }";
    outcome.assert_says(&["rows.csv:12002:1: column `n` is an integer", line]);
    assert_eq!(out(&scene).len(), 12_000);
    set_options(&scene, &format!("path = \"rows.csv\"\n{line}"));
    run(&scene).assert_code(0);
    assert_eq!(out(&scene)[12_000..], [r#"{"n":12000.5,"s":"x"}"#, r#"{"n":12001.0,"s":"y"}"#]);
}

#[test]
fn grown_file_resumes_with_same_types() {
    let scene = scene("n,f\n1,2\n3,4.5", "");
    run(&scene).assert_code(0);
    append(&scene, "rows.csv", "\n5,6\n");
    run(&scene).assert_code(0);
    run(&scene).assert_code(0);
    assert_eq!(out(&scene), [r#"{"n":1,"f":2.0}"#, r#"{"n":3,"f":4.5}"#, r#"{"n":5,"f":6.0}"#]);
}

#[test]
fn changed_file_is_refused_until_from_start() {
    let rows = stocks_csv(2_000, 3);
    for changed in [
        rows.replacen("HSI", "ISH", 1),
        rows[..rows.len() - 200].rsplit_once('\n').expect("many lines").0.to_owned(),
        rows.trim_end().to_owned() + "99\n",
        "Index\nNYA\n".to_owned(),
    ] {
        let scene = scene(rows.trim_end(), "");
        run(&scene).assert_code(0);
        scene.write("rows.csv", &changed);
        let outcome = run(&scene);
        outcome.assert_code(1);
        outcome.assert_says(&[
            "rows.csv has changed since it was read up to line 2000",
            "give the new file another name or path: it is read from its start then, and numbering goes on",
            "--from-start",
        ]);
        assert_eq!(out(&scene).len(), 2_000, "nothing of it was read");
        scene.run(["run", "--from-start", "p.toml"]).assert_code(0);
        assert_eq!(out(&scene).len(), 2_000 + changed.lines().count() - 1);
    }
}

#[test]
fn rows_after_limit_are_read_by_next_run() {
    let text = stocks_csv(5_000, 4);
    let scene = scene(&text, "");
    let whole = scene.read("p.toml");
    run(&scene).assert_code(0);
    let expected = out(&scene);
    std::fs::remove_dir_all(scene.path("state")).expect("no checkpoints");
    scene.write("out.jsonl", "");
    let limited = whole.replace("inputs = [\"json\"]", "inputs = [\"some\"]")
        + "[transforms.some]\ntype = \"limit\"\ninputs = [\"json\"]\nrecords = 1\n";
    for n_records in [1, 1_023, 1, 1_500] {
        scene.write("p.toml", limited.replace("records = 1\n", &format!("records = {n_records}\n")));
        run(&scene).assert_code(0);
    }
    scene.write("p.toml", whole);
    run(&scene).assert_code(0);
    assert_eq!(out(&scene), expected);
}

#[test]
fn lists_globs_and_compressed_files_form_one_stream() {
    let scene = Scene::new();
    let zipped = |text: &str| {
        let mut child = std::process::Command::new("gzip")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("gzip");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("writing to gzip");
        child.wait_with_output().expect("gzip").stdout
    };
    scene.write("data/2024.csv.gz", zipped("n\n1\n"));
    scene.write("data/2025.csv", "n\r\n2\r\n");
    scene.write("first.csv", "\u{feff}n\n0\n");
    scene.write("data/.hidden.csv", "not,for,us\n");
    set_options(&scene, "path = [\"first.csv\", \"data/*.csv*\"]");
    run(&scene).assert_code(0);
    scene.write("data/2023.csv", "n\n3\n");
    append(&scene, "first.csv", "4\n");
    run(&scene).assert_code(0);
    let numbers = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>();
    assert_eq!(out(&scene), numbers, "what is new comes last");
}

#[test]
fn extended_path_list_reads_only_new_files() {
    let scene = Scene::new();
    for year in 2024..=2026 {
        scene.write(format!("{year}.csv"), format!("n\n{year}\n"));
    }
    for paths in [r#"["2025.csv"]"#, r#"["2025.csv", "2026.csv"]"#, r#"["2024.csv", "2025.csv", "2026.csv"]"#]
    {
        set_options(&scene, &format!("path = {paths}"));
        run(&scene).assert_code(0);
    }
    assert_eq!(out(&scene), [r#"{"n":2025}"#, r#"{"n":2026}"#, r#"{"n":2024}"#]);
}

#[test]
fn removed_unread_row_gives_its_entry_number_to_no_other_row() {
    let mut scene = scene("", "");
    let server = S3::start();
    server.create_bucket("lake");
    server.surround(&mut scene);
    let rows: Vec<String> = (0..20).map(|n| format!("{n},row {n}\n")).collect();
    scene.write("rows.csv", format!("n,s\n{}", rows.concat()));
    scene.write(
        "p.toml",
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"lake\"\nkey = \"{{ entry }}\"\n",
    );
    server.put("lake", "3", "of somebody else");
    run(&scene).assert_code(1).assert_says(&["s3://lake/3 exists with other content"]);
    assert_eq!(server.count("lake"), 20, "what is behind it was under way with it");

    scene.write("rows.csv", format!("n,s\n{}", rows.concat().replace(&rows[3], "")));
    let outcome = run(&scene);
    outcome.assert_code(0).assert_says(&["numbering goes on at 20", "may be stored once more"]);
    assert_eq!(server.read("lake", "3"), "of somebody else");
    let row = |n: usize| rows[n].trim_end().to_owned();
    for n in (0..3).chain(4..20) {
        assert_eq!(server.read("lake", &n.to_string()), row(n), "nothing was written over");
    }
    for (number, n) in (20..36).zip(4..20) {
        assert_eq!(server.read("lake", &number.to_string()), row(n));
    }
    run(&scene).assert_code(0);
    assert_eq!(server.count("lake"), 36);
}

#[test]
fn origin_is_independent_of_working_directory() {
    let scene = scene("a,b\n1\n2\n", "");
    let pipeline = scene.read("p.toml");
    scene.write("pipelines/rows.csv", scene.read("rows.csv"));
    scene.write("pipelines/p.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    scene.run(["run", "pipelines/p.toml"]).assert_code(0);
    let from_beside = scene.command(["run", "../pipelines/p.toml"]).current_dir(scene.path("state")).output();
    assert!(from_beside.expect("a run").status.success());
    let letters = scene.read("pipelines/dead.jsonl");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let origins: Vec<_> = letters.iter().map(|letter| &letter["origin"]["stream"]).collect();
    assert_eq!(origins, ["rows.csv", "rows.csv"], "each row once, by the path that the pipeline file says");
}

#[test]
fn unreadable_file_error_says_what_to_do() {
    for (text, options, says) in [
        ("", "", "rows.csv is empty, and a header row was expected"),
        ("a,b,a\n1,2,3\n", "", "rows.csv:1:5: columns 1 and 3 are both called `a`"),
        ("a,\"b\n1,2\n", "", "rows.csv:1:3: the quote that opens here is never closed"),
        (
            "a\n1\n",
            "types = { b = \"float\" }",
            "`types` declares a column `b`, and rows.csv has none; it has a",
        ),
    ] {
        let scene = scene(text, options);
        run(&scene).assert_code(1).assert_says(&["`rows` failed", says]);
    }
    let scene = scene("a\n1\n", "");
    std::fs::create_dir(scene.path("folder")).expect("a folder");
    for (path, says) in [
        ("none.csv", "there is no file none.csv"),
        ("none-*.csv", "no file matches `none-*.csv`"),
        ("folder", "folder is a folder; name a file in it, or all of them: path = \"folder/*.csv\""),
    ] {
        set_options(&scene, &format!("path = \"{path}\""));
        run(&scene).assert_code(1).assert_says(&["`rows` failed", says]);
    }
}

#[test]
fn missing_file_that_exists_in_current_folder_is_pointed_out() {
    let scene = scene("a\n1\n", "");
    scene.write("pipelines/p.toml", scene.read("p.toml"));
    scene.run(["run", "pipelines/p.toml"]).assert_code(1).assert_says(&[
        "there is no file pipelines/rows.csv; it exists in the current folder",
        "paths in a pipeline file are relative to that file",
    ]);
}

#[test]
fn invalid_csv_options_are_shown_with_position() {
    for (options, says) in [
        ("delimiter = \",,\"", "`,,` is not one ASCII character"),
        ("types = \"float\"", "`float` is neither \"infer\" nor \"string\" nor a table"),
        ("types = { n = \"int\" }", "`int` is no value of `types.n`"),
        ("compression = \"lz4\"", "`lz4` is no value of `compression`"),
        ("columns = [\"a\"]", "the header of the files names the columns"),
        ("header = false", "files without a header need the names of their columns"),
    ] {
        let scene = scene("a\n1\n", options);
        scene.run(["validate", "p.toml"]).assert_code(78).assert_says(&["p.toml:4:", says]);
    }
}
