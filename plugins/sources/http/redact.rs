//! Keeps secrets out of URLs and messages.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
pub(super) use runner_core::is_secret_parameter as is_telltale;
use runner_core::{Error, Secret, Unreachable};
use url::form_urlencoded::{byte_serialize, parse};

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// Headers that every client sends; what they say is no secret.
pub(super) const HARMLESS_HEADERS: [&str; 7] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "user-agent",
];

/// What is shorter is a word or a number rather than a secret, and would be hidden
/// all over a message; unless its name says that it is one.
const LEAST: usize = 6;

/// Knows the secrets of a source and takes them out of what is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactor {
    /// The longest first, so that none leaves its tail behind.
    secrets: Vec<Secret>,
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets
            .into_iter()
            .flat_map(|secret| {
                let encoded: String = byte_serialize(secret.expose().as_bytes()).collect();
                // A space is `+` in a query and `%20` elsewhere.
                let percent = encoded.replace('+', "%20");
                [Secret::new(encoded), Secret::new(percent), secret]
            })
            .filter(|secret| !secret.expose().is_empty())
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Redactor { secrets }
    }

    /// The text without the secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.secrets {
            if shown.contains(secret.expose()) {
                shown = shown.replace(secret.expose(), HIDDEN);
            }
        }
        shown
    }

    /// The URL without the secrets, and without the values of parameters whose
    /// names say that they are one.
    pub(super) fn url(&self, url: &Url) -> String {
        let mut shown = String::from(url.scheme());
        shown.push_str("://");
        shown.push_str(url.host_str().unwrap_or_default());
        if let Some(port) = url.port() {
            shown.push(':');
            shown.push_str(&port.to_string());
        }
        shown.push_str(url.path());
        for (index, piece) in url.query().unwrap_or_default().split('&').enumerate() {
            if piece.is_empty() {
                continue;
            }
            shown.push(if index == 0 { '?' } else { '&' });
            // A name may be written with escapes.
            let is_secret = || parse(piece.as_bytes()).any(|(name, _)| is_telltale(&name));
            match piece.split_once('=') {
                Some((name, _)) if is_secret() => {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(HIDDEN);
                }
                _ => shown.push_str(piece),
            }
        }
        self.text(&shown)
    }

    /// The error without the secrets; it stays what it was if there are none in it.
    pub(super) fn error(&self, error: Error) -> Error {
        let told = format!("{error:#}");
        let shown = self.text(&told);
        if shown == told {
            return error;
        }
        if error.is::<Unreachable>() {
            return Error::new(Unreachable(shown));
        }
        Error::msg(shown)
    }
}

/// What may not be seen of a header: its value, and those parts of it that are secrets by themselves.
pub(super) fn secrets_of_header(name: &str, value: &Secret) -> Vec<Secret> {
    let (name, value) = (name.to_ascii_lowercase(), value.expose().trim());
    if HARMLESS_HEADERS.contains(&&*name) {
        return Vec::new();
    }
    let mut parts = Vec::new();
    // As in `Bearer TOKEN`.
    if let Some((scheme, rest)) = value.split_once(' ') {
        parts.push(rest.trim().to_owned());
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = BASE64_STANDARD.decode(rest.trim())
            && let Ok(pair) = String::from_utf8(pair)
        {
            parts.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
        }
    }
    // As in `session=ID; theme=dark`.
    parts.extend(value.split(';').filter_map(|part| Some(part.split_once('=')?.1.trim().to_owned())));
    parts.retain(|part| part.len() >= LEAST);
    if value.len() >= LEAST || is_telltale(&name) {
        parts.push(value.to_owned());
    }
    parts.into_iter().map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_all_its_forms() {
        let redactor = Redactor::new([Secret::new("a b&c"), Secret::new("")]);
        assert_eq!(redactor.text("x=a+b%26c y=a%20b%26c z=a b&c"), "x=*** y=*** z=***");
    }

    #[test]
    fn a_url_shows_neither_user_nor_password_nor_what_is_called_a_key() {
        let url = Url::parse("https://ada:pw@example.com:8443/v1/prices?symbol=A&api%4Bey=k1&page=3&sig=x")
            .unwrap();
        let shown = Redactor::default().url(&url);
        assert_eq!(shown, "https://example.com:8443/v1/prices?symbol=A&api%4Bey=***&page=3&sig=***");
        assert!(!is_telltale("author") && !is_telltale("sort_key") && is_telltale("X-Auth-Token"));
    }

    #[test]
    fn what_headers_say_is_secret_but_for_words_and_harmless_ones() {
        let secrets = |name: &str, value: &str| -> Vec<String> {
            secrets_of_header(name, &Secret::new(value)).iter().map(|it| it.expose().to_owned()).collect()
        };
        assert_eq!(secrets("X-Tenant", "acme-corp"), ["acme-corp"]);
        assert_eq!(secrets("Ocp-Apim-Subscription-Key", "k1"), ["k1"]);
        assert_eq!(secrets("Authorization", "Bearer hush-hush"), ["hush-hush", "Bearer hush-hush"]);
        let basic = secrets("authorization", "Basic YWRhOmh1c2gtaHVzaA==");
        assert!(
            basic.contains(&"hush-hush".into()) && basic.contains(&"YWRhOmh1c2gtaHVzaA==".into()),
            "{basic:?}"
        );
        let cookie = secrets("Cookie", "a=1; session=hush-hush");
        assert!(cookie.contains(&"hush-hush".into()) && !cookie.contains(&"1".into()), "{cookie:?}");
        for (name, value) in [("Accept", "application/json"), ("X-Team", "blue"), ("X-Version", "1")] {
            assert_eq!(secrets(name, value), [""; 0], "{name}");
        }
    }

    #[test]
    fn an_error_without_its_secret_still_says_that_nobody_was_there() {
        let redactor = Redactor::new([Secret::new("s3cret")]);
        let error = Error::msg("refused ?k=s3cret").context(Unreachable("connecting".into()));
        let shown = redactor.error(error);
        assert!(shown.is::<Unreachable>());
        assert_eq!(format!("{shown:#}"), "connecting: refused ?k=***");
    }
}
