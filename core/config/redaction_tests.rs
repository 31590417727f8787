//! No output shows a secret or the value of a variable.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::redaction::hidden;
use super::{Diagnostic, Diagnostics, LoadContext, read};
use crate::plugin::Registry;
use crate::{BuildContext, OptionError, Plugin, Result, Secret, Source, SourceConfig};

crate::register! { Plugin::source::<ShyConfig>("test_shy") }

/// Has options of all kinds, and fails to build with an error that quotes them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShyConfig {
    password: Option<Secret>,
    #[serde(default)]
    tokens: Vec<Secret>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    auth: Option<Auth>,
    protocol: Option<Protocol>,
    rate: Option<u32>,
    topic: Option<Topic>,
    name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "strategy", deny_unknown_fields)]
enum Auth {
    Bearer { token: Secret },
    Basic { user: String, password: Secret },
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    Plaintext,
    SaslSsl,
}

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct Topic(String);

impl TryFrom<String> for Topic {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.contains(' ') {
            return Err(format!("`{}` cannot be the name of a topic", name.to_ascii_uppercase()));
        }
        Ok(Topic(name))
    }
}

impl SourceConfig for ShyConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Source>> {
        if let Some(name) = self.name {
            return Err(OptionError::new("name", format!("`{name}` is taken")));
        }
        let secrets = self.headers.values().chain(&self.tokens).chain(&self.password);
        let mut quoted: Vec<String> = secrets.map(|it| it.expose().to_owned()).collect();
        match self.auth {
            Some(Auth::Bearer { token }) => quoted.push(token.expose().to_owned()),
            Some(Auth::Basic { user, password }) => quoted.extend([user, password.expose().to_owned()]),
            None => {}
        }
        quoted.extend(self.topic.map(|Topic(name)| name));
        let is_plain = matches!(self.protocol, None | Some(Protocol::Plaintext));
        anyhow::bail!("{is_plain} {:?} {quoted:?}", self.rate)
    }
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "PW" => Some("HUNTER2".into()),
        "TWO" => Some("HUNTER TWO".into()),
        "KIND" => Some("test_shy".into()),
        _ => None,
    }
}

/// All that is printed about a file.
fn printed(source: &str) -> String {
    let registry = Registry::collect().unwrap();
    let context = LoadContext { registry: &registry, lookup: &lookup, data_dir: Some("x".into()) };
    let mut errors = read(std::path::Path::new("p.toml"), source, &context).err().unwrap_or_default();
    // Every line is shown, whatever is wrong with it.
    let lines = source.split_inclusive('\n').map(|line| line.as_ptr() as usize - source.as_ptr() as usize);
    errors.extend(lines.map(|at| Diagnostic::new("look", at..at, "here")));
    let hidden = hidden(source, &registry, &lookup);
    let errors = Diagnostics::new("p.toml".into(), source, hidden, errors);
    format!("{errors}\n{errors:?}").replace("span: ", "")
}

fn source(options: &str) -> String {
    format!(
        "[sources.in]\ntype = \"test_shy\" # the vendor's API\n{options}\n\
         [sinks.out]\ntype = \"test_keep\"\nname = \"shy\"\ninputs = [\"in\"]\n"
    )
}

#[track_caller]
fn assert_hidden(source: &str) -> String {
    let text = printed(source);
    assert!(!text.to_uppercase().contains("HUNTER") && !text.contains("424242"), "{source}\nprints\n{text}");
    assert!(text.contains(" --> p.toml"), "{text}");
    text
}

#[test]
fn value_of_a_secret_option_is_hidden() {
    for options in [
        "password = \"HUNTER2\"",
        "password = '''\nHUNTER2\nHUNTER3'''",
        "password = \"\\u0048UNTER2 \\\"HUNTER\\\"\"",
        "password = \"it's\\nHUNTER2\\u0007\"",
        "tokens = [\"HUNTER2\", 'HUNTER3']",
        "headers = { X-Key = \"HUNTER2\", \"X Y\" = \"HUNTER3\" }",
        "headers.X-Key = \"HUNTER2\"",
        "[sources.in.headers]\nX-Key = \"HUNTER2\"",
        "auth = { strategy = \"bearer\", token = \"HUNTER2\" }",
        "[sources.in.auth]\nstrategy = \"basic\"\nuser = \"ada\"\npassword = \"HUNTER2\"",
        // With a default, or as a part of the text.
        "password = \"${NONE:-HUNTER2}\"",
        "password = \"HUNTER${PW}\"",
        // Next to another error, in a table that fails for another reason.
        "password = \"HUNTER2\"\nrat = 1",
        "auth = { strategy = \"basic\", password = \"HUNTER2\" }",
        "auth = { strategy = \"barer\", token = \"HUNTER2\" }",
        "auth = { strategy = \"bearer\", token = \"HUNTER2\", extra = 1 }",
        "auth = { token = \"HUNTER2\" }",
    ] {
        let text = assert_hidden(&source(options));
        assert!(text.contains("***"), "{text}");
    }
}

#[test]
fn value_of_a_secret_option_is_hidden_if_it_has_the_wrong_type() {
    for options in [
        "password = 424242",
        "password = [\"HUNTER2\"]",
        "password = { a = \"HUNTER2\" }",
        "password.a.b = 424242",
        "tokens = \"HUNTER2\"",
        "tokens = [[\"HUNTER2\"], { a = 424242 }]",
        "headers = \"HUNTER2\"",
        "headers = { X-Key = [424242] }",
        "auth = \"HUNTER2\"",
        "auth = [{ strategy = \"bearer\", token = \"HUNTER2\" }]",
        "[[sources.in.auth]]\ntoken = \"HUNTER2\"",
    ] {
        assert_hidden(&source(options));
    }
}

#[test]
fn value_of_an_unknown_option_is_hidden() {
    for options in [
        "pasword = \"HUNTER2\"",
        "pasword = 424242",
        "pass.word = [\"HUNTER2\"]",
        "auth = { strategy = \"bearer\", tokn = \"HUNTER2\" }",
        "headrs = { X-Key = \"HUNTER2\" }",
        "[sources.in.headrs]\nX-Key = \"HUNTER2\"",
        "[source.api]\nname = \"HUNTER2\"",
    ] {
        assert_hidden(&source(options));
    }
    let text = assert_hidden(&source("pasword = \"HUNTER2\""));
    assert!(text.contains("3 | pasword = ***"), "{text}");
    // Without a plugin there is no schema.
    for r#type in ["", "type = \"test_shyy\"", "type = \"${NONE}\"", "type = 1"] {
        let text = source("name = \"HUNTER2\"").replace("type = \"test_shy\"", r#type);
        assert_hidden(&text);
    }
    assert_hidden("sources.in = \"HUNTER2\"\n[[sources.other]]\nname = \"HUNTER2\"\n");
    assert_hidden("[[sinks]]\nname = \"HUNTER2\"\n[dead_letter]\npassword = \"HUNTER2\"\n");
}

#[test]
fn list_in_place_of_a_plain_value_is_shown() {
    let text = printed(&source("topic = [\"Index\", \"Date\"]"));
    assert!(text.contains("3 | topic = [\"Index\", \"Date\"]"), "{text}");
    assert_hidden(&source("password = [[\"HUNTER2\"], { a = 424242 }]"));
}

#[test]
fn invalid_toml_is_shown_without_values() {
    for options in [
        "password = HUNTER2",
        "password = \"HUNTER2",
        "password = \"a\"HUNTER2\"",
        "auth = { strategy = \"bearer\" token = \"HUNTER2\" }",
        "password = \"\"\nHUNTER2base64==\nHUNTER3 = 1\n[HUNTER2]\n",
        "password = '''\nHUNTER2\nHUNTER3",
        "[sources.in.auth\ntoken = \"HUNTER2\"",
        "# password = HUNTER2\nrate = ",
    ] {
        assert_hidden(&source(options));
    }
    let text = printed(&source("rate = 5s\nunknown = 1\n[sources.x"));
    assert!(text.contains("p.toml:3:") && text.contains("3 | rate = ***"), "{text}");
    assert!(text.contains("4 | ***") && text.contains("5 | [sources.x"), "{text}");
}

#[test]
fn value_of_a_variable_is_shown_as_it_is_written() {
    for (options, shown) in [
        ("rate = \"${PW}\"", "expected a whole number, found a string, the value of `${PW}`"),
        ("protocol = \"${PW}\"", "invalid value `${PW}` for `protocol`"),
        ("auth = { strategy = \"${PW}\" }", "invalid value `${PW}` for `auth.strategy`"),
        ("topic = \"x ${PW}\"", "`x ${PW}` cannot be the name of a topic"),
        ("topic = \"${TWO}\"", "`${TWO}` cannot be the name of a topic"),
        ("name = \"a-${PW}\"", "`name`: `a-${PW}` is taken"),
        ("password = \"${PW}\"\ntopic = \"${PW}\"", "[\"${PW}\", \"${PW}\"]"),
        ("password = \"a${PW}\"\ntokens = [\"b\\\"${PW}\"]", "[\"***\", \"***\"]"),
        ("tokens = [\"${NONE:-HUNTER}\"]", "[\"***\"]"),
        ("name = \"${PW:\"", "`${` has no closing `}`"),
        ("name = \"${HUNTER 2}\"", "does not name a variable"),
        ("auth = \"a${PW}\"", "expected a table, found a string"),
    ] {
        let text = printed(&source(options));
        assert!(!text.contains("HUNTER2") && !text.contains("HUNTER TWO"), "{options}\nprints\n{text}");
        assert!(text.contains(shown), "no {shown:?} in\n{text}");
    }
    let text = printed(&source("rate = 1").replace("inputs = [\"in\"]", "inputs = [\"${PW}\"]"));
    assert!(text.contains("no component is called `${PW}`") && !text.contains("HUNTER2"), "{text}");
    let text = printed(&source("").replace("\"test_keep\"", "\"${PW}\""));
    assert!(text.contains("there is no sink of type `${PW}`") && !text.contains("HUNTER2"), "{text}");
    let text = printed(&source("pasword = \"HUNTER\"").replace("\"test_shy\"", "\"${KIND}\""));
    assert!(text.contains("unknown option `pasword`") && !text.contains("HUNTER"), "{text}");
}

#[test]
fn file_is_otherwise_shown_as_it_is_written() {
    let text = printed(&source(
        "auth = { strategy = \"beerer\", token = \"${PW}\" }\nname = \"http://h/?page=${PW}\"\nrate = 5 # a second",
    ));
    for part in [
        "auth = { strategy = \"beerer\", token = \"${PW}\" }",
        "invalid value `beerer` for `auth.strategy`",
        "name = \"http://h/?page=${PW}\"",
        "rate = 5 # a second",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn position_is_that_in_the_file_and_the_caret_is_under_the_text() {
    let options = "auth = { strategy = \"bearer\", token = \"a long one\", extra = 1 }";
    let text = printed(&source(options));
    assert!(text.contains("p.toml:3:53\n"), "{text}");
    let (_, text) = text.split_once("unknown option `extra`").unwrap();
    let (above, line) = text.split_once("token = ***, extra").unwrap();
    let column = above.lines().last().unwrap().len() + "token = ***, ".len();
    let caret = line.lines().nth(1).unwrap().find('^').unwrap();
    assert_eq!(caret, column, "{text}");
    let text = printed(&source("password = '''\na\nb''' # c\nrat = 1"));
    assert!(text.contains("p.toml:6:1\n") && text.contains("6 | rat = ***"), "{text}");
}

const NEEDLE: &str = "hUnTeR";

/// Lines of a file; `~` is the secret.
const LINES: [&str; 14] = [
    "rate = 5",
    "topic = \"stocks\" # the vendor's topic",
    "# don't look",
    "auth = { strategy = \"bearer\", token = \"~\", x = 1 }",
    "auth = { strategy = 'basic', user = \"ada\", password = '~' }",
    "auth = {\n  strategy = \"bearer\",\n  token = \"~\",\n}",
    "auth.token = \"ab\\\"c~\"",
    "password = \"it's ~\"",
    "password = \"\"\"\na~b\n\"\"\"",
    "headers = { X-Vendor = \"~\", \"X Y\" = '~' }",
    "headers.X-Vendor = \"x ~\"",
    "tokens = [\n  \"~\", # one\n  '~',\n]",
    "[sources.in.auth]\nstrategy = \"bearer\"\ntoken = \"~\"",
    "[sources.in.headers]\nX-Vendor = \"~\"\nX-Other = '~'",
];

/// The source with one character more, or one fewer; `None` if that is in the secret.
fn damaged(source: &str, at: usize, inserted: Option<char>) -> Option<String> {
    let is_in_secret = |at: usize, end: usize| {
        source.match_indices(NEEDLE).any(|(start, found)| start < end && at < start + found.len())
    };
    let (at, c) = source.char_indices().nth(at % source.chars().count())?;
    let mut damaged = source.to_owned();
    match inserted {
        Some(_) if at > 0 && is_in_secret(at - 1, at) && is_in_secret(at, at + 1) => return None,
        None if is_in_secret(at, at + c.len_utf8()) => return None,
        // Comments are shown: the next line must not become a part of one.
        None if c == '\n' && source[..at].lines().last().is_some_and(|line| line.contains('#')) => {
            return None;
        }
        Some(inserted) => damaged.insert(at, inserted),
        None => {
            damaged.remove(at);
        }
    }
    Some(damaged)
}

fn inserted() -> impl Strategy<Value = Option<char>> {
    prop::option::of(prop::sample::select("\"'=\n\r[]{},. \\a:/?&@$-_\u{fc}".chars().collect::<Vec<char>>()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_shows_its_secret_valid_or_damaged(
        lines in prop::collection::vec(prop::sample::select(&LINES[..]), 1..4),
        at in any::<usize>(),
        inserted in inserted(),
    ) {
        let intact = source(&lines.join("\n").replace('~', NEEDLE));
        for source in [damaged(&intact, at, inserted), Some(intact)].into_iter().flatten() {
            let text = printed(&source);
            prop_assert!(!text.to_uppercase().contains(&NEEDLE.to_uppercase()), "{source}\nprints\n{text}");
        }
    }
}
