//! Keeps secrets out of URLs and messages.

use reqwest::Url;
use runner_core::{Error, Secret, Unreachable};
use url::form_urlencoded::byte_serialize;

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// Names of parameters and headers whose values are as good as passwords.
const TELLTALE: [&str; 8] = ["key", "token", "secret", "password", "passwd", "signature", "auth", "cookie"];

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
            match piece.split_once('=') {
                Some((name, _)) if is_telltale(name) => {
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

/// Whether a name says that its value is a secret.
pub(super) fn is_telltale(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLTALE.iter().any(|part| name.contains(part)) || name == "sig"
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
        let url =
            Url::parse("https://ada:pw@example.com:8443/v1/prices?symbol=A&apikey=k1&page=3&sig=x").unwrap();
        let shown = Redactor::default().url(&url);
        assert_eq!(shown, "https://example.com:8443/v1/prices?symbol=A&apikey=***&page=3&sig=***");
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
