//! The `csv` source: warnings and errors name the option that helps.

use crate::csv::{env, out, run, set_options};

#[test]
fn first_rows_that_suggest_an_option_give_one_warning_with_a_place() {
    for (text, options, parts) in [
        ("NYA,1.5\nN225,2.5\n", "", &["rows.csv:1: this line is taken for the header", "with `columns`"][..]),
        ("day,price\nd,EUR\n1,2.5\n2,3.5\n", "", &["rows.csv:2: this row has a text", "skip_lines = 1"]),
        (
            "id,price\n1,\"2,649.00\"\n2,990.00\n",
            "",
            &["column `price`: the cells are text", "thousands = \",\""],
        ),
        (
            "id,s\n1,Größe\n",
            "encoding = \"windows-1252\"",
            &["has the bytes of UTF-8", "encoding = \"utf-8\""],
        ),
        ("id,s\na,x\nid,s\nb,y\n", "", &["rows.csv:3: the header comes again here", "was skipped"]),
    ] {
        let env = env(text, options);
        run(&env).assert_code(0).assert_says(parts);
        let again = run(&env);
        assert!(
            !again.stderr.contains("set "),
            "a warning is given at the first run alone: {}",
            again.stderr
        );
    }
    let usual = env("Index,Date,Close,Volume\nNYA,1965-12-31,528.690002,0\nN225,2024-01-31,3.5,1\n", "");
    let outcome = run(&usual);
    assert!(!outcome.assert_code(0).stderr.contains("WARN"), "{}", outcome.stderr);
}

#[test]
fn options_that_lose_a_part_of_the_data_are_refused() {
    for (options, message) in [
        (
            "types = { t = { type = \"timestamp\", parse = \"%Y-%m-%d %H:%M %Z\" } }",
            "the name of a time zone does not tell its offset",
        ),
        ("types = { t = { type = \"timestamp\", parse = \"%d/%m/%Y %I:%M\" } }", "add `%p`"),
        ("types = { t = { type = \"timestamp\", parse = \"%Y-%m-%d %H:%M:%S.%f\" } }", "`%.f`"),
        ("comment = \"\\\"\"", "it begins with the quote"),
        ("comment = \",\"", "it begins with the delimiter"),
        ("comment = \"\\n\"", "the text that a comment line begins with"),
    ] {
        let env = env("t\n1\n", options);
        env.run(["validate", "p.toml"]).assert_code(78).assert_says(&["p.toml:", message]);
    }
}

#[test]
fn text_among_the_numbers_of_several_files_names_its_file() {
    let env = env("id,n\n1,1\n2,2\n3,3\n", "");
    env.write("rows2.csv", "id,n\n4,4\n5,Total\n");
    set_options(&env, "path = \"rows*.csv\"");
    run(&env).assert_code(0).assert_says(&[
        "rows2.csv:3: this row has the only text among numbers in column `n`",
        "n = \"integer\"",
    ]);
}

#[test]
fn file_of_one_line_that_may_be_incomplete_is_left_with_a_warning() {
    let env = env("", "");
    env.write("rows.csv", "Internal Server Error");
    run(&env).assert_code(0).assert_says(&["rows.csv: its header has no line end", "left for the next run"]);
}

#[test]
fn empty_file_in_a_list_is_left_out_with_a_warning() {
    let env = env("n\n1\n", "");
    env.write("empty.csv", "");
    set_options(&env, "path = [\"empty.csv\", \"rows.csv\"]");
    run(&env).assert_code(0).assert_says(&["empty.csv is empty, and was left out"]);
    assert_eq!(out(&env), [r#"{"n":1}"#]);
    set_options(&env, "path = \"empty.csv\"");
    env.run(["run", "p.toml", "--from-start"])
        .assert_code(1)
        .assert_says(&["empty.csv is empty, and a header row"]);
}

#[test]
fn wrong_encoding_or_kind_of_file_ends_the_run_with_the_cause() {
    for (bytes, options, parts) in [
        (&b"a,b\n1,2\n"[..], "encoding = \"utf-16le\"", &["is not written in UTF-16LE", "ASCII"][..]),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "", &["is a zip archive, not CSV", "unzip"]),
        (b"a,b\n1,2\n", "compression = \"gzip\"", &["is not compressed with gzip", "compression = \"auto\""]),
        (b"\xFF\xFE\0\0a\0\0\0\n\0\0\0", "", &["is written in UTF-32", "iconv"]),
    ] {
        run(&env(bytes, options)).assert_code(1).assert_says(parts);
    }
}
