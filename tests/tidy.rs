//! The layout rules of the source tree: each violation is named with its line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const AT_MOST_LINES: usize = 400;

/// Where code may differ between builds.
const FEATURES_ALLOWED: [&str; 6] = [
    "plugins/shared/kafka",
    "plugins/shared/vrl",
    "cli/",
    "local/lib.rs",
    "tests/kafka_permissions.rs",
    "tests/kafka_tls.rs",
];

/// File names that do not describe the content.
const EMPTY_NAMES: [&str; 4] = ["utils.rs", "helpers.rs", "manager.rs", "common.rs"];

/// Core must not depend on client libraries.
const CLIENT_LIBRARIES: [&str; 9] =
    ["aws-", "clap", "csv", "hyper", "indicatif", "rdkafka", "reqwest", "rustls", "runner"];

/// The files of the tree, with their paths from its root.
struct Tree(Vec<(String, String)>);

impl Tree {
    fn read() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of the tree").map_while(Result::ok) {
                let path = entry.path();
                let name = entry.file_name();
                if name == "target" || name == ".git" {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = std::fs::read_to_string(&path) {
                    let path = path.strip_prefix(&root).expect("below the root");
                    files.push((path.to_string_lossy().into_owned(), text));
                }
            }
        }
        files.sort();
        Tree(files)
    }

    fn files(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |(path, _)| path.ends_with(ending)).map(|(path, text)| (&**path, &**text))
    }
}

/// Violations, one per line.
#[derive(Default)]
struct Violations(String);

impl Violations {
    fn add(&mut self, path: &str, line: usize, rule: &str) {
        writeln!(self.0, "{path}:{line}: {rule}").expect("writing to a string");
    }

    #[track_caller]
    fn assert_none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn lines_with<'a>(text: &'a str, part: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.lines().zip(1..).filter(move |(line, _)| line.contains(part)).map(|(_, number)| number)
}

fn starts_with_module_doc(path: &str, text: &str, out: &mut Violations) {
    if !text.starts_with("//! ") {
        out.add(path, 1, "a file starts with a `//!` line that describes it");
    }
}

fn has_at_most_400_lines(path: &str, text: &str, out: &mut Violations) {
    if text.lines().count() > AT_MOST_LINES {
        out.add(path, AT_MOST_LINES + 1, "a file has at most 400 lines; split it by purpose");
    }
}

fn has_no_stray_feature_gate(path: &str, text: &str, out: &mut Violations) {
    let is_allowed = FEATURES_ALLOWED.iter().any(|allowed| path.starts_with(allowed));
    for line in lines_with(text, concat!("feature", " = \"")).filter(|_| !is_allowed) {
        out.add(
            path,
            line,
            "features are allowed only in cli/, local/lib.rs, plugins/shared/kafka, plugins/shared/vrl and their tests",
        );
    }
}

fn has_descriptive_name(path: &str, _: &str, out: &mut Violations) {
    if EMPTY_NAMES.iter().any(|name| path.rsplit('/').next() == Some(name)) {
        out.add(path, 1, "a file name describes the content");
    }
}

/// `plugins/KIND/NAME.rs` or `plugins/KIND/NAME/…` belongs to the plugin `KIND/NAME`.
fn plugin_of(path: &str) -> Option<(&str, &str)> {
    let (kind, rest) = path.strip_prefix("plugins/")?.split_once('/')?;
    let name = rest.split(['/', '.']).next()?;
    (matches!(kind, "sources" | "transforms" | "sinks") && rest != "mod.rs").then_some((kind, name))
}

fn imports_no_plugin(path: &str, text: &str, out: &mut Violations) {
    if path.starts_with("plugins/") && path != "plugins/lib.rs" {
        for kind in ["sources", "transforms", "sinks"] {
            for line in lines_with(text, &format!("crate::{kind}")) {
                out.add(path, line, "a plugin imports no other plugin; shared code is in plugins/shared");
            }
        }
    }
}

/// In a plugin's outermost file `super` is the folder of all plugins of its kind.
fn uses_no_sibling(path: &str, text: &str, out: &mut Violations) {
    let Some((kind, name)) = plugin_of(path) else { return };
    // How many folders below the plugin's own the file is.
    let below = path.strip_prefix(&format!("plugins/{kind}/{name}/")).filter(|rest| *rest != "mod.rs");
    let above = "super::".repeat(below.map_or(1, |rest| rest.matches('/').count() + 2));
    for (line, number) in text.lines().zip(1..) {
        // The imports of a file's tests start with `super` too, one level deeper.
        let is_test = line.starts_with("    ");
        if !is_test && line.contains(&above) && !line.contains(&format!("{above}{name}")) {
            out.add(path, number, "a plugin uses no other module of plugins/ than plugins/shared");
        }
    }
}

#[test]
fn every_file_follows_the_layout_rules() {
    let mut out = Violations::default();
    for (path, text) in Tree::read().files(".rs") {
        starts_with_module_doc(path, text, &mut out);
        has_at_most_400_lines(path, text, &mut out);
        has_no_stray_feature_gate(path, text, &mut out);
        has_descriptive_name(path, text, &mut out);
        imports_no_plugin(path, text, &mut out);
        uses_no_sibling(path, text, &mut out);
    }
    out.assert_none();
}

#[test]
fn every_plugin_registers_once() {
    let mut plugins: Vec<((&str, &str), Vec<String>)> = Vec::new();
    let tree = Tree::read();
    for (path, text) in tree.files(".rs") {
        let Some(plugin) = plugin_of(path) else { continue };
        let places = lines_with(text, "register! {").map(|line| format!("{path}:{line}"));
        match plugins.iter_mut().find(|(known, _)| *known == plugin) {
            Some((_, all)) => all.extend(places),
            None => plugins.push((plugin, places.collect())),
        }
    }
    let mut out = Violations::default();
    for ((kind, name), places) in &plugins {
        match places.as_slice() {
            [_] => {}
            [] => out.add(&format!("plugins/{kind}/{name}"), 1, "a plugin must call `register!`"),
            [_, again, ..] => writeln!(out.0, "{again}: a plugin calls `register!` once").expect("a string"),
        }
    }
    out.assert_none();
    assert!(plugins.len() >= 13, "only {} plugins were found", plugins.len());
}

/// The first command of the README depends on this, as there is more than one binary.
#[test]
fn cargo_run_starts_runner() {
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("starting cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON of cargo");
    let packages = metadata["packages"].as_array().expect("the crates of the workspace");
    let meant: Vec<_> = packages.iter().filter_map(|it| it["default_run"].as_str()).collect();
    assert_eq!(meant, ["runner"]);
}

#[test]
fn lean_runner_has_no_offline_cloud_dependency() {
    let tree = std::process::Command::new(env!("CARGO"))
        // Everything that `cargo build --no-default-features` builds, not only this package.
        .args(["tree", "--offline", "--no-default-features", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("starting cargo");
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(
        text.lines().any(|line| line.starts_with("runner v")),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    for library in ["datafusion", "kafka-protocol", "s3s"] {
        assert!(!text.lines().any(|line| line.starts_with(library)), "the lean runner has {library}");
    }
}

#[test]
fn crates_depend_only_on_lower_crates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Violations::default();
    for (path, forbidden) in [
        ("core/Cargo.toml", &CLIENT_LIBRARIES[..]),
        ("plugins/Cargo.toml", &["runner.", "runner-local"]),
        ("local/Cargo.toml", &["runner"]),
    ] {
        let manifest = std::fs::read_to_string(root.join(path)).expect("a manifest");
        let mut section = "";
        for (line, number) in manifest.lines().zip(1..) {
            if line.starts_with('[') {
                section = line;
            }
            let is_library = |name: &&str| match *name {
                "csv" => line.starts_with("csv ") || line.starts_with("csv."),
                name => line.starts_with(name),
            };
            if section == "[dependencies]" && forbidden.iter().any(is_library) {
                out.add(path, number, "this crate must not depend on client libraries or higher crates");
            }
        }
    }
    out.assert_none();
}

#[test]
fn bare_cargo_test_tests_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    let list = |name: &str| {
        let line = manifest.lines().find(|line| line.starts_with(name)).expect("a list of crates");
        line.split_once('=').expect("a value").1.trim().to_owned()
    };
    assert_eq!(list("members"), list("default-members"));
}

#[test]
fn tree_has_no_toolchain_file_and_no_machine_path() {
    let mut out = Violations::default();
    for (path, text) in Tree::read().files("") {
        if path.starts_with("rust-toolchain") {
            out.add(path, 1, "users choose their toolchain; `rust-version` sets the minimum");
        }
        for home in [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")] {
            for line in lines_with(text, home) {
                out.add(path, line, "an absolute path of one machine");
            }
        }
    }
    out.assert_none();
}

/// The code blocks of a page that begin with this line.
fn code_blocks<'a>(page: &'a str, start: &'a str) -> Vec<&'a str> {
    page.split(start)
        .skip(1)
        .map(|block| block.split("\n```").next().expect("the end of the block"))
        .collect()
}

#[test]
fn examples_and_plugins_of_pages_match_tree() {
    let tree = Tree::read();
    let file = |name: &str| tree.files("").find(|(path, _)| *path == name).expect("a file of the tree").1;
    let readme = file("README.md");
    let source = file("pipelines/producer-http.toml");
    assert!(
        code_blocks(readme, "```toml\n").iter().any(|example| source.contains(example)),
        "the http source"
    );
    let code: Vec<&str> = tree
        .files(".rs")
        .filter(|(path, _)| path.starts_with("tests/external_plugin/"))
        .map(|it| it.1)
        .collect();
    let examples = code_blocks(file("docs/writing-a-plugin.md"), "```rust\n");
    assert!(examples.len() > 3, "{examples:?}");
    for example in examples {
        assert!(
            code.iter().any(|text| text.contains(example)),
            "docs/writing-a-plugin.md shows code that tests/external_plugin does not contain:\n{example}"
        );
    }
    for (kind, name) in tree.files(".rs").filter_map(|(path, _)| plugin_of(path)) {
        assert!(readme.contains(&format!("| `{name}` |")), "README.md does not list `{name}` of {kind}");
    }
}

#[test]
fn reliability_page_names_existing_tests() {
    let tree = Tree::read();
    let page = tree.files("docs/reliability.md").next().expect("the page").1;
    let mut out = Violations::default();
    for (line, number) in page.lines().zip(1..).filter(|(line, _)| line.starts_with("| ")) {
        // Test names have more words than option names.
        for name in line.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2) {
            let test = format!("fn {}(", name.rsplit("::").next().expect("a name"));
            if !tree.files(".rs").any(|(_, text)| text.contains(&test)) {
                out.add("docs/reliability.md", number, "this test does not exist");
            }
        }
    }
    out.assert_none();
}

#[test]
fn broken_layout_rule_is_named_with_line() {
    let mut out = Violations::default();
    starts_with_module_doc("a.rs", "use std::fs;\n", &mut out);
    has_at_most_400_lines("b.rs", &"\n".repeat(AT_MOST_LINES + 1), &mut out);
    has_no_stray_feature_gate("core/c.rs", concat!("\n#[cfg(feature", " = \"x\")]\n"), &mut out);
    has_descriptive_name("cli/utils.rs", "", &mut out);
    imports_no_plugin("plugins/sinks/d.rs", "use crate::sources::csv;\n", &mut out);
    uses_no_sibling("plugins/sinks/e.rs", "//! E.\nuse super::kafka;\n", &mut out);
    uses_no_sibling("plugins/sinks/f/part.rs", "use super::super::kafka;\n", &mut out);
    let places: Vec<&str> = out.0.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        places,
        [
            "a.rs:1",
            "b.rs:401",
            "core/c.rs:2",
            "cli/utils.rs:1",
            "plugins/sinks/d.rs:1",
            "plugins/sinks/e.rs:2",
            "plugins/sinks/f/part.rs:1"
        ]
    );

    let mut none = Violations::default();
    has_no_stray_feature_gate("cli/run.rs", concat!("#[cfg(feature", " = \"local\")]\n"), &mut none);
    uses_no_sibling("plugins/sinks/f/part.rs", "use super::Config;\n", &mut none);
    uses_no_sibling("plugins/sinks/e.rs", "mod tests {\n    use super::*;\n", &mut none);
    none.assert_none();
}
