//! `select`: each record gets the declared fields in their order, or is rejected.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::env::TestEnv;

/// Takes everything before the first line `---` as the table `fields`, and the lines after it as bodies.
pub fn select(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((fields, bodies)) = text.split_once("\n---\n") else { return };
    // Another table would make another pipeline.
    if fields.lines().any(|line| line.trim_start().starts_with('[')) {
        return;
    }
    let bodies: Vec<&str> = bodies.lines().collect();
    let (env, keeps_rest) = (TestEnv::new(), data.len().is_multiple_of(3));
    let rest = if keeps_rest { "rest = \"keep\"\n" } else { "" };
    let Some((lines, n_rejected)) = env.shape(&options(rest, fields), &bodies) else { return };
    assert_eq!(lines.len() + n_rejected, bodies.len(), "each body passes or is rejected");
    // Every line is an object.
    let names: Vec<Names> = lines.iter().map(|line| names_of(line)).collect();
    let Some(first) = names.first() else { return };
    if keeps_rest {
        return;
    }
    assert!(names.iter().all(|it| it == first), "records with other fields: {names:?}");
    // The same fields again, each taken by its pointer, change nothing.
    let again: String = first.0.iter().map(|name| same_field(name)).collect();
    let lines_as_text: Vec<&str> =
        lines.iter().map(|line| std::str::from_utf8(line).expect("text").trim_end_matches('\n')).collect();
    let (same, n_rejected) =
        env.shape(&options("", &again), &lines_as_text).expect("names that were read before");
    assert_eq!((same, n_rejected), (lines.clone(), 0));
}

fn options(rest: &str, fields: &str) -> String {
    format!("type = \"select\"\ninputs = [\"rows\"]\n{rest}[transforms.shape.fields]\n{fields}\n")
}

/// An entry of `fields` that takes the field of the same name.
fn same_field(name: &str) -> String {
    let toml = |text: &str| serde_json::to_string(text).expect("text").replace('\x7f', "\\u007f");
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    // Only values have variables.
    format!("{} = {}\n", toml(name), toml(&pointer).replace("${", "$${"))
}

/// The names of an object in their order.
#[derive(Debug, PartialEq)]
struct Names(Vec<String>);

fn names_of(line: &[u8]) -> Names {
    serde_json::from_slice(line).expect("an object")
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}
