//! Requests that are signed with a shared key (HMAC).

use std::collections::BTreeMap;

use anyhow::anyhow;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac as Mac, KeyInit};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use runner_core::{OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::super::super::request::header_value;

/// How the secret is written in the pipeline file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SecretEncoding {
    /// As it is.
    #[default]
    Text,
    /// In Base64.
    Base64,
    /// In hexadecimal digits.
    Hex,
}

/// The hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Algorithm {
    /// SHA-1, for old APIs.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How the signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignatureEncoding {
    /// In hexadecimal digits, in lower case.
    #[default]
    Hex,
    /// In Base64.
    Base64,
}

/// How `{{ timestamp }}` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimestampFormat {
    /// Seconds since 1970.
    #[default]
    Epoch,
    /// Milliseconds since 1970.
    EpochMs,
    /// Such as `2024-03-18T09:30:00.000Z`.
    Rfc3339,
}

/// Signs requests.
#[derive(Clone)]
pub(crate) struct Hmac {
    key: Vec<u8>,
    algorithm: Algorithm,
    encoding: SignatureEncoding,
    timestamp: TimestampFormat,
    message: String,
    headers: Vec<(HeaderName, Secret)>,
}

impl std::fmt::Debug for Hmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hmac").finish_non_exhaustive()
    }
}

const IN_MESSAGES: [&str; 4] = ["timestamp", "method", "path_and_query", "body"];
const IN_HEADERS: [&str; 5] = ["timestamp", "method", "path_and_query", "body", "signature"];

impl Hmac {
    #[allow(clippy::too_many_arguments, reason = "they are the options")]
    pub(crate) fn new(
        secret: &Secret,
        secret_encoding: SecretEncoding,
        algorithm: Algorithm,
        encoding: SignatureEncoding,
        timestamp: TimestampFormat,
        message: &str,
        headers: &BTreeMap<String, Secret>,
    ) -> Result<Self> {
        let text = secret.expose();
        let key = match secret_encoding {
            SecretEncoding::Text => Some(text.as_bytes().to_vec()),
            SecretEncoding::Base64 => BASE64_STANDARD.decode(text.trim()).ok(),
            SecretEncoding::Hex => hex::decode(text.trim()).ok(),
        };
        let Some(key) = key else {
            return Err(OptionError::new("auth.secret", "it is not written as `auth.secret_encoding` says"));
        };
        if key.is_empty() {
            return Err(OptionError::new("auth.secret", "it is empty"));
        }
        fill(message, &IN_MESSAGES, |_| String::new())
            .map_err(|why| OptionError::new("auth.message", why))?;
        let mut named = Vec::new();
        for (name, template) in headers {
            let option = format!("auth.headers.{name}");
            let Ok(header) = HeaderName::try_from(name) else {
                return Err(OptionError::new(option, "not a valid header name"));
            };
            let example = fill(template.expose(), &IN_HEADERS, |_| "x".to_owned());
            let example = example.map_err(|why| OptionError::new(&option, why))?;
            header_value(&option, &example)?;
            named.push((header, template.clone()));
        }
        if !headers.values().any(|template| template.expose().contains("signature")) {
            return Err(OptionError::new("auth.headers", "one of them must contain `{{ signature }}`"));
        }
        Ok(Hmac { key, algorithm, encoding, timestamp, message: message.to_owned(), headers: named })
    }

    /// The headers that `auth.headers` sets.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// The headers of a signed request.
    pub(crate) fn sign(
        &self,
        method: &Method,
        url: &Url,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let timestamp = match self.timestamp {
            TimestampFormat::Epoch => now.timestamp().to_string(),
            TimestampFormat::EpochMs => now.timestamp_millis().to_string(),
            TimestampFormat::Rfc3339 => now.to_rfc3339_opts(SecondsFormat::Millis, true),
        };
        let value = |name: &str, signature: &str| match name {
            "timestamp" => timestamp.clone(),
            "method" => method.as_str().to_owned(),
            "path_and_query" => url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            "body" => String::from_utf8_lossy(body).into_owned(),
            _ => signature.to_owned(),
        };
        let message =
            fill(&self.message, &IN_MESSAGES, |name| value(name, "")).map_err(|why| anyhow!(why))?;
        let signature = match self.encoding {
            SignatureEncoding::Hex => hex::encode(self.mac(message.as_bytes())),
            SignatureEncoding::Base64 => BASE64_STANDARD.encode(self.mac(message.as_bytes())),
        };
        let header = |(name, template): &(HeaderName, Secret)| {
            let text = fill(template.expose(), &IN_HEADERS, |name| value(name, &signature));
            let text = text.map_err(|why| anyhow!(why))?;
            Ok((name.clone(), header_value(&format!("auth.headers.{name}"), &text)?))
        };
        self.headers.iter().map(header).collect()
    }

    fn mac(&self, message: &[u8]) -> Vec<u8> {
        match self.algorithm {
            Algorithm::Sha1 => mac::<Mac<Sha1>>(&self.key, message),
            Algorithm::Sha256 => mac::<Mac<Sha256>>(&self.key, message),
            Algorithm::Sha384 => mac::<Mac<Sha384>>(&self.key, message),
            Algorithm::Sha512 => mac::<Mac<Sha512>>(&self.key, message),
        }
    }
}

fn mac<M: hmac::Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Replaces every `{{ name }}`; the error names one that is not in `known`.
fn fill(template: &str, known: &[&str], value: impl Fn(&str) -> String) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, inner)) = rest.split_once("{{") {
        let Some((name, after)) = inner.split_once("}}") else {
            return Err("`{{` is never closed with `}}`".to_owned());
        };
        let name = name.trim();
        if !known.contains(&name) {
            let names: Vec<String> = known.iter().map(|name| format!("`{{{{ {name} }}}}`")).collect();
            return Err(format!("`{{{{ {name} }}}}` is not known here; known are {}", names.join(", ")));
        }
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::super::{Auth, Credentials, Signer};
    use super::*;
    use serde_json::{Value, json};

    /// With these options of `auth`, and defaults for the others.
    fn hmac(options: Value) -> Result<Hmac> {
        let mut auth = json!({
            "strategy": "hmac", "secret": "k", "message": "m",
            "headers": {"x-sign": "t={{ timestamp }},v={{signature}}"},
        });
        auth.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        match Credentials::new(Some(&serde_json::from_value::<Auth>(auth).unwrap()))?.signer {
            Some(Signer::Hmac(hmac)) => Ok(hmac),
            _ => panic!("no signer"),
        }
    }

    fn signed(hmac: &Hmac) -> String {
        let url = Url::parse("https://api.example.com/v1/x%20y?b=2&a=1").unwrap();
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let headers = hmac.sign(&Method::POST, &url, br#"{"q":1}"#, now).unwrap();
        headers[0].1.to_str().unwrap().to_owned()
    }

    /// RFC 4231, test case 2.
    #[test]
    fn signature_is_that_of_the_rfc() {
        let rfc = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let base64 = BASE64_STANDARD.encode(hex::decode(rfc).unwrap());
        for (secret, secret_encoding, encoding, timestamp, expected) in [
            ("Jefe", "text", "hex", "epoch", format!("t=1700000000,v={rfc}")),
            ("SmVmZQ==", "base64", "base64", "epoch_ms", format!("t=1700000000123,v={base64}")),
            ("4a656665", "hex", "base64", "rfc3339", format!("t=2023-11-14T22:13:20.123Z,v={base64}")),
        ] {
            let options = json!({
                "secret": secret, "secret_encoding": secret_encoding, "encoding": encoding,
                "timestamp": timestamp, "message": "what do ya want for nothing?",
            });
            assert_eq!(signed(&hmac(options).unwrap()), expected);
        }
    }

    #[test]
    fn invalid_options_are_refused_without_the_secret() {
        for (options, option, part) in [
            (json!({"secret": "hush!", "secret_encoding": "hex"}), "auth.secret", "secret_encoding"),
            (json!({"message": "{{ nonce }}"}), "auth.message", "{{ path_and_query }}"),
            (json!({"headers": {"x-sign": "{{ timestamp }}"}}), "auth.headers", "{{ signature }}"),
        ] {
            let error = hmac(options).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{option}`")) && error.contains(part), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
