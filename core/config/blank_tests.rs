//! No output shows a secret, whatever is wrong with the file that holds it.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::blank::leaves;
use super::{Diagnostic, Diagnostics, Surroundings, read};
use crate::plugin::Registry;
use crate::{BuildContext, OptionError, Plugin, Result, Secret, Sink, SinkConfig, Source, SourceConfig};

crate::register! { Plugin::source::<ShyConfig>("test_shy") }

/// Has all kinds of options, and refuses to be built.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShyConfig {
    endpoint: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    body: Option<String>,
    auth: Option<Auth>,
    protocol: Option<Protocol>,
    rate: Option<u32>,
    topic: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Auth {
    strategy: Strategy,
    #[serde(rename = "token")]
    _token: Option<Secret>,
    #[serde(rename = "value")]
    _value: Option<Secret>,
    #[serde(rename = "user")]
    _user: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    Bearer,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    Plaintext,
    SaslSsl,
}

impl SourceConfig for ShyConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Source>> {
        if let Some(topic) = &self.topic {
            let message = format!("`{}` cannot be the name of a topic", topic.to_ascii_uppercase());
            return Err(OptionError::new("topic", message));
        }
        let _: Option<(Strategy, Protocol)> =
            self.auth.map(|auth| auth.strategy).zip(self.protocol).filter(|_| self.rate == Some(0));
        let (headers, secrets) = (self.headers.values(), self.query.values().chain(&self.body));
        let said: Vec<&str> = headers.map(Secret::expose).chain(secrets.map(String::as_str)).collect();
        anyhow::bail!("{:?} says {said:?}", self.endpoint)
    }
}

crate::register! { Plugin::sink::<RefuserConfig>("test_refuser") }

/// Refuses to be built, and says why in so many words.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefuserConfig {
    password: Secret,
    token: Secret,
}

impl SinkConfig for RefuserConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Sink>> {
        anyhow::bail!("it says {} and {}", self.password.expose(), self.token.expose())
    }
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "PW" => Some("HUNTER2".into()),
        "PROTOCOL" => Some("sasl_sll".into()),
        _ => None,
    }
}

/// What is said of a file.
fn said(source: &str) -> String {
    let registry = Registry::collect().unwrap();
    let surroundings = Surroundings { registry: &registry, lookup: &lookup, data_dir: Some("x".into()) };
    let mut slips = read(Path::new("p.toml"), source, &surroundings).err().unwrap_or_default();
    slips.extend(quoting_slips(source));
    Diagnostics::new("p.toml".into(), source, slips).to_string()
}

/// What could be said at worst: something of every line, and of every value its text, at
/// the value and at its option.
fn quoting_slips(source: &str) -> Vec<Diagnostic> {
    let (root, errors) = toml::de::DeTable::parse_recoverable(source);
    let lines = source.split_inclusive('\n').map(|line| line.as_ptr() as usize - source.as_ptr() as usize);
    let mut slips: Vec<Diagnostic> = lines.map(|at| Diagnostic::new("look", at..at, "here")).collect();
    for leaf in leaves(root.get_ref()).into_iter().filter(|_| errors.is_empty()) {
        let text = match leaf.value.get_ref() {
            toml::de::DeValue::String(text) => format!("{text:?}"),
            toml::de::DeValue::Integer(integer) => integer.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        let message = format!("expected a table, found `{text}`");
        slips.push(Diagnostic::new(&message, leaf.value.span(), &text).note(format!("it is {text}")));
        for at in leaf.keys.into_iter().chain(leaf.component) {
            slips.push(Diagnostic::new(message.to_uppercase(), at, "here"));
        }
    }
    slips
}

fn around(options: &str) -> String {
    format!(
        "[sources.in]\ntype = \"test_shy\" # the vendor's API\n{options}\n\
         [sinks.out]\ntype = \"test_keep\"\nname = \"shy\"\ninputs = [\"in\"]\n"
    )
}

#[track_caller]
fn assert_silent(source: &str) -> String {
    let said = said(source);
    assert!(!said.to_uppercase().contains("HUNTER") && !said.contains("424242"), "{source}\nshows\n{said}");
    assert!(said.contains(" --> p.toml"), "{said}");
    said
}

#[test]
fn a_secret_is_hidden_however_it_is_written() {
    for options in [
        // An apostrophe in a comment is no quote.
        "auth={strategy=\"bearer\",token=\"HUNTER2\",x=1}",
        "# don't commit this\nsasl = { password = \"HUNTER2\", mechansm = 1 }",
        "auth = { token = \"ab\\\"HUNTER2\", tokn = 1 }",
        "token = \"ab\\\"HUNTER2\", tokn = 1",
        "auth = { strategy = \"bearer\", token = 'HUNTER2', value = \"\"\"\nHUNTER3\"\"\" }",
        "auth = { strategy = \"bearer\", token = \"\\u0048UNTER2 \\\"HUNTER\\\"\" }",
        // Neither a string nor TOML.
        "token = HUNTER2",
        "auth = { strategy = \"bearer\", token = 424242 }",
        "auth = { strategy = \"bearer\", token = 424_242, value = 0x6_7932 }",
        "auth.token = [424242, \"HUNTER2\"]",
        // Under keys that nobody knows.
        "auth = { strategy = \"bearer\", valeu = \"HUNTER2\", key = \"HUNTER3\", pass = \"HUNTER4\" }",
        "auth = { strategy = \"nobody\", anything = { \"at all\" = \"HUNTER4\" } }",
        "auth = \"HUNTER6\"",
        "headrs = { X-Vendor = \"HUNTER6\" }",
        "X-Vendor = \"HUNTER6\"",
        // Beside a slip.
        "endpoint=\"http://h/?api_key=HUNTER3\"\nrat = 1",
        "endpoint=\"https://ada:HUNTER3@h/\"\nrat = 1",
        "headers={X-Api-Key=\"HUNTER4\"}\nrat = 1",
        "query={apikey=\"HUNTER5\"}\nrat = 1",
        "body = '''{ \"user\": \"HUNTER5\" }'''\nrat = 1",
        "# token = \"HUNTER5\"\nrat = 1",
        // In what is said of variables.
        "auth = { strategy = \"bearer\", token = [\"${NONE:-HUNTER2}\"] }",
        "auth = { strategy = \"bearer\", token = \"x${HUNTER2\" }",
        "auth = { strategy = \"bearer\", token = \"${HUNTER 2}\" }",
    ] {
        assert_silent(&around(options));
    }
}

#[test]
fn what_is_said_of_dead_letters_holds_no_secret() {
    let mut source = around("until = 1").replace("test_shy", "test_count");
    source.push_str("[dead_letter]\ntype = \"test_refuser\"\npassword = \"HUNTER2\"\ntoken = \"${PW}x\"\n");
    let said = assert_silent(&source);
    assert!(said.contains("it says *** and ***"), "{said}");
}

#[test]
fn what_a_variable_holds_is_named_and_not_shown() {
    for options in ["auth = { strategy = \"${PW}\" }", "rate = \"${PW}\"", "topic = \"x-${PW}\""] {
        let said = assert_silent(&around(options));
        assert!(said.contains("the value comes from `") && said.contains("${PW}`"), "{said}");
    }
    let said = said(&around("protocol = \"${PROTOCOL}\""));
    assert!(said.contains("`sasl_sll` is no value of `protocol`"), "{said}");
    assert!(said.contains("protocol = \"sasl_ssl\""), "{said}");
    assert!(said.contains("the value comes from `${PROTOCOL}`"), "{said}");
}

#[test]
fn what_is_no_secret_is_shown() {
    let said = said(&around(
        "auth = { strategy = \"beerer\", user = \"ada\", token = \"${PW}\", value = \"Bearer ${PW}\" }\n\
         endpoint = \"http://h:1/p?page=1\"\nrat = 5 # a second",
    ));
    for part in [
        "auth = { strategy = \"beerer\", user = \"ada\", token = \"${PW}\", value = \"*******${PW}\" }",
        "`beerer` is no value of `auth.strategy`",
        "endpoint = \"http://h:1/p?page=*\"",
        "rat = 5 # a second",
    ] {
        assert!(said.contains(part), "nothing says {part:?} in\n{said}");
    }
}

#[test]
fn of_a_file_that_is_no_toml_as_much_is_shown_as_is_safe() {
    let file = "[sources.in]\ntype = \"csv\"\npath = data/stocks.csv # the vendor's\n\
                [sources.api]\nendpoint = http://h/\ninterval = 5s\nauth = { strategy = \"bearer\" token = \"t\" }\n";
    let said = said(file);
    for part in [
        "path = data/stocks.csv # the vendor's\n",
        "endpoint = *********\n",
        "interval = **\n",
        "auth = { strategy = \"******\" token = \"*\" }\n",
    ] {
        assert!(said.contains(part), "nothing says {part:?} in\n{said}");
    }
}

const NEEDLE: &str = "hUnTeR";

/// What a file may be made of; `~` is the secret.
const INGREDIENTS: [&str; 25] = [
    "rate = 5",
    "topic = \"stocks\" # the vendor's topic",
    "# don't look",
    "path = [\n  \"a.csv\", # one\n  \"b.csv\",\n]",
    "auth = { strategy = \"bearer\", token = \"~\", x = 1 }",
    "auth = { strategy = 'basic', user = \"ada\", password = '~' }",
    "auth = {\n  strategy = \"api_key\",\n  value = \"~\",\n}",
    "auth.token = \"ab\\\"c~\"",
    "auth = \"~\"",
    "token = \"it's ~\"",
    "secret = \"\"\"\na~b\n\"\"\"",
    "sasl = { mechanism = \"PLAIN\", username = \"u\", password = \"p#~\" }",
    "tls = { ca_file = \"ca.pem\", key_pass = \"~\" }",
    "headers = { X-Vendor = \"~\", \"X Y\" = '~' }",
    "headers.X-Vendor = \"x ~\"",
    "query = { symbol = \"NYA\", k = \"~\" }",
    "body = \'\'\'\n{ \"k\": \"~\" }\nk=~\n\'\'\'",
    "body = \"k=~\"",
    "endpoint = \"http://h/p?symbol=NYA&k=~\"",
    "endpoint = \"http://ada:x~@h/p\"",
    "[sources.in.auth]\nstrategy = \"bearer\"\ntoken = \"~\"",
    "[sources.in.headers]\nX-Vendor = \"~\"\nX-Other = '~'",
    "[sources.in.query]\nk = \"~\" # the k of the API",
    "[sources.in.sasl]\npassword = \"~\"",
    "[dead_letter]\ntype = \"test_keep\"\nsasl = { password = \"~\" }",
];

/// A character too much, or one too few.
fn damaged(source: &str, at: usize, inserted: Option<char>) -> Option<String> {
    let is_in_secret = |at: usize, end: usize| {
        source.match_indices(NEEDLE).any(|(start, found)| start < end && at < start + found.len())
    };
    let (at, c) = source.char_indices().nth(at % source.chars().count())?;
    let mut damaged = source.to_owned();
    match inserted {
        Some(_) if at > 0 && is_in_secret(at - 1, at) && is_in_secret(at, at + 1) => return None,
        None if is_in_secret(at, at + c.len_utf8()) => return None,
        Some(inserted) => damaged.insert(at, inserted),
        None => {
            damaged.remove(at);
        }
    }
    Some(damaged)
}

fn inserted() -> impl proptest::strategy::Strategy<Value = Option<char>> {
    prop::option::of(prop::sample::select("\"'#=\n\r[]{},. \\a:/?&@$-_\u{fc}".chars().collect::<Vec<char>>()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_shows_its_secret_whole_or_damaged(
        lines in prop::collection::vec(prop::sample::select(&INGREDIENTS[..]), 1..4),
        at in any::<usize>(),
        inserted in inserted(),
    ) {
        let intact = around(&lines.join("\n").replace('~', NEEDLE));
        for source in [damaged(&intact, at, inserted), Some(intact)].into_iter().flatten() {
            let said = said(&source);
            prop_assert!(!said.to_uppercase().contains(&NEEDLE.to_uppercase()), "{source}\nshows\n{said}");
        }
    }
}
