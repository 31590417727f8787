//! Licences and origins of all dependencies follow `deny.toml`, also where `cargo deny` is not installed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The packages of the lock file, with all features.
fn packages() -> Vec<Value> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--all-features", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("starting cargo");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON of cargo");
    metadata["packages"].as_array().expect("the packages").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The licences that every package may have, and those of single packages.
struct Licences {
    allowed: Vec<String>,
    exceptions: Vec<(String, Vec<String>)>,
}

impl Licences {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
        let config: Table = std::fs::read_to_string(path).expect("deny.toml").parse().expect("TOML");
        let licences = &config["licenses"];
        let texts = |value: &toml::Value| -> Vec<String> {
            let items = value.as_array().expect("a list").iter();
            items.map(|item| item.as_str().expect("a licence").to_owned()).collect()
        };
        let exceptions = licences["exceptions"].as_array().expect("a list").iter();
        let exceptions =
            exceptions.map(|it| (it["name"].as_str().expect("a name").to_owned(), texts(&it["allow"])));
        Licences { allowed: texts(&licences["allow"]), exceptions: exceptions.collect() }
    }

    /// Whether a package may be used under its SPDX expression.
    fn allow(&self, package: &str, expression: &str) -> bool {
        // `/` is an old form of `OR`.
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let (result, rest) = self.any_of(package, &tokens);
        assert!(rest.is_empty(), "{package}: `{expression}` is not a licence expression");
        result
    }

    fn any_of<'a>(&self, package: &str, tokens: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        let (mut result, mut rest) = self.all_of(package, tokens);
        while let Some(("OR", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
            let (other, after) = self.all_of(package, after);
            (result, rest) = (result | other, after);
        }
        (result, rest)
    }

    fn all_of<'a>(&self, package: &str, tokens: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        let (mut result, mut rest) = self.one(package, tokens);
        while let Some(("AND", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
            let (other, after) = self.one(package, after);
            (result, rest) = (result & other, after);
        }
        (result, rest)
    }

    fn one<'a>(&self, package: &str, tokens: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        match tokens {
            ["(", inner @ ..] => {
                let (result, rest) = self.any_of(package, inner);
                (result, rest.strip_prefix(&[")"]).expect("a closing parenthesis"))
            }
            [licence, "WITH", exception, rest @ ..] => {
                (self.has(package, &format!("{licence} WITH {exception}")), rest)
            }
            [licence, rest @ ..] => (self.has(package, licence.trim_end_matches('+')), rest),
            [] => (false, tokens),
        }
    }

    fn has(&self, package: &str, licence: &str) -> bool {
        let exceptions = self.exceptions.iter().filter(|(name, _)| name == package);
        let extra = exceptions.flat_map(|(_, allowed)| allowed);
        self.allowed.iter().chain(extra).any(|allowed| allowed == licence)
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let licences = Licences::read();
    let packages = packages();
    assert!(packages.len() > 300, "only {} packages", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .map(|package| (text(&package["name"]), text(&package["license"])))
        .filter(|(name, licence)| !licences.allow(name, licence))
        .map(|(name, licence)| format!("{name}: {licence}"))
        .collect();
    assert_eq!(refused, [""; 0], "allow the licence in deny.toml, or do without the crate");
}

#[test]
fn every_dependency_is_from_crates_io_or_of_this_repository() {
    let is_ours = |package: &Value| {
        package["source"].is_null()
            && Path::new(text(&package["manifest_path"])).starts_with(env!("CARGO_MANIFEST_DIR"))
    };
    let packages = packages();
    let foreign: Vec<&str> = packages
        .iter()
        .filter(|package| !is_ours(package) && text(&package["source"]) != CRATES_IO)
        .map(|package| text(&package["name"]))
        .collect();
    assert_eq!(foreign, [""; 0]);
}

#[test]
fn licence_expressions_are_read_as_spdx_defines_them() {
    let licences = Licences {
        allowed: vec!["MIT".into(), "ISC".into()],
        exceptions: vec![("special".into(), vec!["MPL-2.0".into()])],
    };
    for (package, expression, is_allowed) in [
        ("a", "MIT", true),
        ("a", "GPL-3.0", false),
        ("a", "GPL-3.0 OR MIT", true),
        ("a", "GPL-3.0/MIT", true),
        ("a", "GPL-3.0 AND MIT", false),
        ("a", "ISC AND (GPL-3.0 OR MIT)", true),
        ("a", "GPL-3.0 OR MIT AND GPL-3.0", false),
        ("a", "MIT WITH LLVM-exception", false),
        ("a", "MPL-2.0", false),
        ("special", "MPL-2.0+", true),
        ("a", "", false),
    ] {
        assert_eq!(licences.allow(package, expression), is_allowed, "{package}: {expression}");
    }
}
