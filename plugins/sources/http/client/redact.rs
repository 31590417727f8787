//! Keeps what a request sends out of URLs, logs and errors.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Url;
use runner_core::{Error, Redaction};
use url::form_urlencoded::byte_serialize;

/// What is shown in the place of a value.
pub(crate) const HIDDEN: &str = "***";

/// A shorter secret is most likely also a word of a message that has nothing to do with it.
const SHORTEST_IN_MESSAGES: usize = 6;

/// Knows what requests send in `auth`, `headers`, `query` and `body`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor {
    /// For texts of the API.
    texts: Redaction,
    /// For messages of ours that have texts of the API in them.
    messages: Redaction,
    /// The path of the endpoint, which is shown as it is.
    path: String,
    /// The parameter that counts pages, whose value is shown.
    page: Option<String>,
    /// For tokens that were received during the run.
    learned: Arc<RwLock<(Vec<String>, Redaction)>>,
}

impl Redactor {
    /// For requests that send these `secrets` and `others`. An endpoint has this `path`, and `page`
    /// is the parameter that counts pages.
    pub(crate) fn new(secrets: &[&str], others: &[&str], path: &str, page: Option<&str>) -> Self {
        let hidden = |text: String| (text, HIDDEN.to_owned());
        let is_word_end = |c: char| !c.is_alphanumeric();
        let mut texts = BTreeSet::new();
        for form in secrets.iter().chain(others).flat_map(|value| forms(value)) {
            // An API may repeat a part of it, such as the token after `Bearer`.
            texts.extend(form.split(is_word_end).map(str::to_owned));
            texts.insert(form);
        }
        let in_messages =
            secrets.iter().flat_map(|value| forms(value)).filter(|text| text.len() >= SHORTEST_IN_MESSAGES);
        Redactor {
            texts: Redaction::new(texts.into_iter().map(hidden)),
            messages: Redaction::new(in_messages.map(hidden)),
            path: path.to_owned(),
            page: page.map(str::to_owned),
            learned: Arc::default(),
        }
    }

    /// Hides this secret as well.
    pub(super) fn learn(&self, secret: &str) {
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        learned.0.extend(forms(secret));
        learned.1 = Redaction::new(learned.0.iter().map(|text| (text.clone(), HIDDEN.to_owned())));
    }

    fn without_learned(&self, text: &str) -> String {
        self.learned.read().unwrap_or_else(PoisonError::into_inner).1.apply(text)
    }

    /// A text of the API without what was sent.
    pub(crate) fn text(&self, text: &str) -> String {
        self.texts.apply(&self.without_learned(text))
    }

    /// The URL without user and password, and without the values of its parameters.
    pub(crate) fn url(&self, url: &Url) -> String {
        let mut shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        if let Some(port) = url.port() {
            shown.push_str(&format!(":{port}"));
        }
        shown += &if url.path() == self.path { self.path.clone() } else { self.text(url.path()) };
        let pieces = url.query().unwrap_or_default().split('&').filter(|piece| !piece.is_empty());
        for (index, piece) in pieces.enumerate() {
            shown.push(if index == 0 { '?' } else { '&' });
            match piece.split_once('=') {
                Some((name, value)) if self.page.as_deref() == Some(name) => {
                    shown.push_str(&format!("{name}={value}"));
                }
                Some((name, _)) => shown.push_str(&format!("{name}={HIDDEN}")),
                None => shown.push_str(HIDDEN),
            }
        }
        shown
    }

    /// The error without what was sent; it stays what it was if there is nothing to hide in it.
    pub(crate) fn error(&self, error: Error) -> Error {
        let message = format!("{error:#}");
        let shown = self.messages.apply(&self.without_learned(&message));
        if shown == message {
            return error;
        }
        Error::msg(shown)
    }
}

/// A value as it is, and as it is in URLs: a space is `+` in a query and `%20` elsewhere.
fn forms(value: &str) -> [String; 3] {
    let encoded: String = byte_serialize(value.as_bytes()).collect();
    [encoded.replace('+', "%20"), encoded, value.trim().to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_value_is_hidden_in_all_its_forms() {
        let redactor = Redactor::new(&["a b&c1", "Bearer hush-hush"], &["nya"], "/", None);
        assert_eq!(redactor.text("x=a+b%26c1 y=a%20b%26c1 z=a b&c1"), "x=*** y=*** z=***");
        assert_eq!(redactor.text("token HUSH-hush of nyas, NYA"), "token ***-*** of nyas, ***");
    }

    #[test]
    fn learned_token_is_hidden_in_all_copies() {
        let redactor = Redactor::default();
        let copy = redactor.clone();
        redactor.learn("t0ken/1");
        assert_eq!(copy.text("bad t0ken/1 or t0ken%2F1"), "bad *** or ***");
        assert_eq!(copy.error(Error::msg("bad t0ken/1")).to_string(), "bad ***");
    }

    #[test]
    fn url_shows_neither_user_nor_password_nor_values() {
        let url =
            Url::parse("https://ada:pw@example.com:8443/v1/hush?symbol=A&api%4Bey=k1&page=3&x").unwrap();
        let redactor = Redactor::new(&["hush"], &[], "/v1", Some("page"));
        assert_eq!(redactor.url(&url), "https://example.com:8443/v1/***?symbol=***&api%4Bey=***&page=3&***");
    }

    #[test]
    fn error_is_redacted_with_its_causes() {
        let redactor = Redactor::new(&["s3cret"], &[], "/", None);
        let shown = redactor.error(Error::msg("refused ?k=s3cret").context("connecting"));
        assert_eq!(format!("{shown:#}"), "connecting: refused ?k=***");
    }
}
