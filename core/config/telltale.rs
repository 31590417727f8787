//! Which names and which parts of a text tell of a secret.

use std::ops::Range;

/// Words in a name that make its value a secret, whatever the schema says: a
/// file that is shown may be so wrong that no schema applies.
const SECRET_WORDS: [&str; 25] = [
    "password",
    "passphrase",
    "passwd",
    "secret",
    "token",
    "key_pass",
    "authorization",
    "apikey",
    "api_key",
    "appkey",
    "app_key",
    "appid",
    "access_key",
    "accesskey",
    "auth_key",
    "authkey",
    "license_key",
    "private_key",
    "subscription_key",
    "functions_key",
    "credential",
    "signature",
    "session_id",
    "cookie",
    ".pem",
];

/// Names of secrets that are parts of harmless names as well: `null_values`, `author`.
const SECRET_NAMES: [&str; 10] =
    ["value", "body", "auth", "sasl", "tls", "headers", "pass", "pwd", "pw", "sig"];

/// Tables in which everything is a secret that is not known to be none.
const SECRET_TABLES: [&str; 5] = ["auth", "sasl", "tls", "headers", "query"];

/// What may be seen in `auth`, `sasl` and `tls`.
const HARMLESS: [&str; 10] = [
    "strategy",
    "in",
    "name",
    "user",
    "mechanism",
    "username",
    "ca_file",
    "crt_file",
    "key_file",
    "verify_hostname",
];

/// The option of `csv`, which is no slip for `headers`.
const HEADER: &str = "header";

/// Names of parameters and headers whose values are secrets, though parts of harmless names: `sort_key`.
const SECRET_PARAMETERS: [&str; 9] = ["key", "x_key", "auth", "sig", "pass", "pwd", "pw", "sid", "jwt"];

/// Whether an option or a variable of this name is one to hide.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether a header or a parameter of a URL with this name carries a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    is_secret_name(&plain) || SECRET_PARAMETERS.contains(&&*plain)
}

/// A text that may be or hold a URL, with `***` for its user and for what its parameters say
/// that by their names are secrets; the rest of it stays readable.
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(['#', '&']) {
        let end = piece.trim_end_matches(['#', '&']).len();
        for part in piece[..end].split_inclusive(['?', ';']) {
            // The name may be the last word of a sentence, and written with escapes.
            let secret = part.split_once('=').filter(|(name, _)| is_secret_parameter(&last_word(name)));
            let Some((name, _)) = secret else {
                shown.push_str(part);
                continue;
            };
            // Those two may stand in a value as well.
            shown.push_str(&format!("{name}=***"));
            break;
        }
        shown.push_str(&piece[end..]);
    }
    let Some(start) = shown.find("://").map(|at| at + 3) else { return shown };
    let host = shown[start..].find(['/', '?', '#']).map_or(shown.len(), |length| start + length);
    if let Some(at) = shown[start..host].rfind('@') {
        shown.replace_range(start..start + at, "***");
    }
    shown
}

fn last_word(name: &str) -> String {
    let name = name.replace("%5F", "_").replace("%5f", "_").replace("%2D", "-").replace("%2d", "-");
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.rsplit(|c| !is_part(c)).next().unwrap_or_default().to_owned()
}

/// Whether a key looks like one that holds a secret, also when it is misspelt.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_near = |words: &[&str], typed: &str| words.iter().any(|word| is_near(typed, word));
    is_secret_name(&key)
        || is_near(&SECRET_WORDS, &key)
        || key.split(['_', '-', '.', ' ']).any(|part| is_near(&SECRET_WORDS, part))
        || key != HEADER && is_near(&SECRET_NAMES, &key)
}

/// Whether a table of this name holds secrets, also when it is misspelt.
pub(crate) fn is_secret_table(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_TABLES.iter().any(|table| is_near(&name, table))
}

/// Whether a word of a file that cannot be read speaks of secrets.
pub(crate) fn is_secret_word(word: &str) -> bool {
    is_secret_key(word) || word != HEADER && is_secret_table(word)
}

/// Whether this option of this table may be seen, though the rest of the table may not.
pub(crate) fn is_harmless(table: &str, key: &str) -> bool {
    matches!(table, "auth" | "sasl" | "tls") && HARMLESS.contains(&key)
}

/// Whether this is the name of an option that stands beside secrets or holds one.
pub(crate) fn is_known_key(key: &str) -> bool {
    HARMLESS.contains(&key)
        || SECRET_TABLES.contains(&key)
        || matches!(key, "password" | "token" | "value" | "key_pass" | "body")
}

/// Whether a comment looks like an option that was put aside, or names a secret.
pub(crate) fn is_secret_comment(comment: &str) -> bool {
    let word = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.');
    comment.contains(['=', '@']) || comment.contains("//") || comment.split(word).any(is_secret_name)
}

fn is_near(typed: &str, word: &str) -> bool {
    let slips = match word.len() {
        0..=3 => 0,
        4 | 5 => 1,
        _ => 2,
    };
    typed.chars().count().abs_diff(word.len()) <= slips && strsim::damerau_levenshtein(typed, word) <= slips
}

/// The parts of a string that must not be seen: all of a secret, and of any other
/// string what a URL says of users and in its query. What a variable is called may be seen.
pub(crate) fn secret_parts(text: &str, is_secret: bool) -> Vec<Range<usize>> {
    let mut hidden = vec![is_secret; text.len()];
    for part in url_secrets(text) {
        hidden[part].fill(true);
    }
    for part in variables(text) {
        hidden[part].fill(false);
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (at, _) in hidden.iter().enumerate().filter(|(_, is_hidden)| **is_hidden) {
        match parts.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => parts.push(at..at + 1),
        }
    }
    parts
}

/// Whether a text may be a URL, or what is left of one.
pub(crate) fn may_be_url(text: &str) -> bool {
    text.contains("//") || text.contains(":/") || text.contains('?') && text.contains('=')
}

/// The user and password of a URL and the values of its parameters. It need not be a
/// good one: a slip in the URL is why it is shown.
fn url_secrets(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    if let Some(end) = text.rfind('@') {
        let scheme = [text.find("//").map(|at| at + 2), text.find(':').map(|at| at + 1)];
        if let Some(start) = scheme.into_iter().flatten().min().filter(|start| *start <= end) {
            let slashes = text[start..end].len() - text[start..end].trim_start_matches('/').len();
            secrets.push(start + slashes..end);
        }
    }
    if !may_be_url(text) {
        return secrets;
    }
    // Where the `@` was forgotten, a password stands where a port would.
    if let Some(start) = text.find("//").map(|at| at + 2) {
        let host = text[start..].split(['/', '?', '#']).next().unwrap_or_default();
        let port = host.split_once(':').filter(|_| !host.starts_with('['));
        if let Some((name, port)) = port.filter(|(_, port)| port.contains(|c: char| !c.is_ascii_digit())) {
            let start = start + name.len() + 1;
            secrets.push(start..start + port.len());
        }
    }
    let query = text.find(['?', '#']).unwrap_or(text.len());
    let mut at = 0;
    for piece in text.split_inclusive(['?', '#', '&']) {
        let end = at + piece.trim_end_matches(['?', '#', '&']).len();
        match text[at..end].find('=') {
            Some(equals) => secrets.push(at + equals + 1..end),
            None if at > query => secrets.push(at..end),
            None => {}
        }
        at += piece.len();
    }
    secrets
}

/// What names variables in a text, without their defaults.
fn variables(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("${").map(|start| at + start) {
        at = start + 2;
        let Some(end) = text[at..].find('}').map(|end| at + end) else { break };
        if text[..start].ends_with('$') {
            continue;
        }
        let inner = &text[at..end];
        let name = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        match &inner[name..] {
            "" => found.push(start..end + 1),
            // What is said when the variable is missing is meant to be read.
            message if message.starts_with(":?") => found.push(start..end + 1),
            default if default.starts_with(":-") => {
                found.extend([start..at + name + 2, end..end + 1]);
            }
            _ => {}
        }
        at = end + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, is_secret: bool) -> String {
        let mut shown = text.to_owned();
        for part in secret_parts(text, is_secret).into_iter().rev() {
            shown.replace_range(part, "*");
        }
        shown
    }

    #[test]
    fn a_misspelt_secret_is_one_and_what_is_only_similar_is_none() {
        for key in ["tokn", "pasword", "valeu", "X-Api-Key", "sasl_pasword", "ssl.key.pem", "pass", "bdy"] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["header", "keys", "key", "key_field", "path", "topic", "null_values", "every", "query"] {
            assert!(!is_secret_key(key), "{key}");
        }
        assert!(is_secret_table("heders") && is_secret_table("atuh") && !is_secret_table("every"));
        assert!(is_harmless("auth", "strategy") && !is_harmless("headers", "name"));
    }

    #[test]
    fn of_a_url_only_the_secrets_are_hidden() {
        assert_eq!(shown("http://h/p?symbol=A&key=x", false), "http://h/p?symbol=*&key=*");
        assert_eq!(shown("https://ada:p/w@h:1/p", false), "https://*@h:1/p");
        assert_eq!(shown("http:/u:p@h/?x#y", false), "http:/*@h/?*#*");
        assert_eq!(shown("http://u:ph/p", false), "http://u:*/p");
        assert_eq!(shown("http://h/api_key=x", false), "http://h/api_key=*");
        assert_eq!(shown("http//h?kx", false), "http//h?*");
        for harmless in [
            "data/stock?.csv",
            "h:9092,i:9092",
            "http://[::1]:80/p",
            "cron(15 12 * * ? *)",
            "s3://bucket/a",
            "a=b",
        ] {
            assert_eq!(shown(harmless, false), harmless);
        }
    }

    #[test]
    fn a_parameter_that_carries_a_secret_is_known_however_it_is_spelt() {
        for name in
            ["Subscription-Key", "ocp-apim-subscription-key", "appid", "access_key", "X-Api-Key", "key"]
        {
            assert!(is_secret_parameter(name), "{name}");
        }
        for name in ["client_credentials", "x-functions-key", "X-Auth-Token", "JSESSION-ID", "X-Key"] {
            assert!(is_secret_parameter(name), "{name}");
        }
        for name in ["author", "sort_key", "symbol", "page", "limit", "partition_key", "app", "identity"] {
            assert!(!is_secret_parameter(name), "{name}");
        }
    }

    #[test]
    fn of_a_saved_link_everything_but_its_secrets_stays_readable() {
        for (text, shown) in [
            ("http://h/p?page=2&api%5Fkey=x&sig=y#z", "http://h/p?page=2&api%5Fkey=***&sig=***#z"),
            ("GET https://ada:pw@h:1/p?a=1", "GET https://***@h:1/p?a=1"),
            ("access_token=x=&after=7", "access_token=***&after=7"),
            ("a=b;token=c?d;e&f=g?h", "a=b;token=***&f=g?h"),
            ("mail@example.com=5", "mail@example.com=5"),
            ("SELECT a FROM b WHERE c = 'd'", "SELECT a FROM b WHERE c = 'd'"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }

    #[test]
    fn of_a_secret_only_variables_are_seen() {
        assert_eq!(shown("Bearer ${TOKEN}", true), "*${TOKEN}");
        assert_eq!(shown("${TOKEN:-x}${A:?the token}${B:-}", true), "${TOKEN:-*}${A:?the token}${B:-}");
        assert_eq!(shown("$${TOKEN}", true), "*");
        assert_eq!(shown("a${TOKEN", true), "*");
        assert_eq!(shown("${TO KEN}", true), "*");
        assert_eq!(shown("http://h/?k=${KEY}", false), "http://h/?k=${KEY}");
    }
}
