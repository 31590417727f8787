//! A stranger's plugin stands between ours as if it were one of them.

use std::process::{Command, Output};

/// Runs the stranger's binary in `folder`.
fn acme_runner(folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acme-runner"))
        .args(arguments)
        .current_dir(folder.path())
        .env("RUNNER_DATA_DIR", folder.path().join("state"))
        .output()
        .expect("starting the stranger's binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_plugin_is_listed_between_the_stock_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = acme_runner(&folder, &["plugins"]);
    let listed = text(&out.stdout);
    assert!(out.status.success(), "{}", text(&out.stderr));
    for name in ["acme_upper", "csv", "to_json", "console"] {
        assert!(listed.contains(name), "{name} is not in:\n{listed}");
    }
    let out = acme_runner(&folder, &["plugins", "acme_upper"]);
    let page = text(&out.stdout);
    assert!(page.contains("in capitals") && page.contains("field"), "{page}");
}

#[test]
fn a_pipeline_file_uses_the_plugin_as_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("names.csv"), "name,n\nacme,1\nRoad Runner,2\n").expect("writing");
    let pipeline = r#"
        [sources.names]
        type = "csv"
        path = "names.csv"

        [transforms.loud]
        type = "acme_upper"
        inputs = ["names"]
        field = "name"

        [sinks.screen]
        type = "console"
        inputs = ["loud"]
    "#;
    std::fs::write(folder.path().join("loud.toml"), pipeline).expect("writing");
    let out = acme_runner(&folder, &["run", "loud.toml"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stdout), "{\"name\":\"ACME\",\"n\":1}\n{\"name\":\"ROAD RUNNER\",\"n\":2}\n");
}

#[test]
fn a_slip_in_its_options_is_shown_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = "[sources.s]\ntype = \"csv\"\npath = \"x.csv\"\n\n[transforms.t]\ntype = \"acme_upper\"\n\
                    inputs = [\"s\"]\nfeild = \"name\"\n\n[sinks.n]\ntype = \"null\"\ninputs = [\"t\"]\n";
    std::fs::write(folder.path().join("slip.toml"), pipeline).expect("writing");
    let out = acme_runner(&folder, &["validate", "slip.toml"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(78), "{said}");
    assert!(said.contains("slip.toml:8:1") && said.contains("feild") && said.contains("field"), "{said}");
}
