//! The `auth` option, and the credentials that it adds to a request.

mod hmac;
mod oauth2;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use runner_core::{OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use self::hmac::{Algorithm, Hmac, SecretEncoding, SignatureEncoding, TimestampFormat};
pub(crate) use self::oauth2::OAuth2;
use self::oauth2::{ClientAuth, basic_pair};
use super::super::request::header_value;

/// Credentials. Sent only to the host of the endpoint, and never shown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Auth {
    /// A user name and a password, as in RFC 7617.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token in the header `Authorization: Bearer …`, as in RFC 6750.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// An API key in a header or a query parameter.
    ApiKey {
        /// Where the key is sent.
        #[serde(rename = "in")]
        place: KeyPlace,
        /// The name of the header or the query parameter.
        name: String,
        /// The key.
        value: Secret,
    },
    /// OAuth 2.0 client credentials or a refresh token, as in RFC 6749, 4.4 and 6: a token from a token endpoint, in
    /// the header `Authorization: Bearer …`. It is renewed before it expires, and once when the API returns 401.
    #[serde(rename = "oauth2")]
    OAuth2 {
        /// The URL of the token endpoint.
        token_url: String,
        /// The id of the client.
        client_id: String,
        /// The secret of the client.
        client_secret: Secret,
        /// The scopes, separated by spaces.
        scope: Option<String>,
        /// The API that the token is for, where the token endpoint asks for it.
        audience: Option<String>,
        /// A refresh token, from a login of a user. Without it, only the client credentials are sent. If the token
        /// endpoint returns a new refresh token, the source uses that one until the run ends.
        refresh_token: Option<Secret>,
        /// How `client_id` and `client_secret` are sent to the token endpoint: `"body"`, or `"basic"`, a header.
        /// Default: `"body"`.
        #[serde(default)]
        client_auth: ClientAuth,
    },
    /// A signature of every request with a shared secret (HMAC, RFC 2104).
    Hmac {
        /// The shared secret.
        secret: Secret,
        /// How `secret` is written here. Default: `"text"`.
        #[serde(default)]
        secret_encoding: SecretEncoding,
        /// The hash function. Default: `"sha256"`.
        #[serde(default)]
        algorithm: Algorithm,
        /// How the signature is written. Default: `"hex"`.
        #[serde(default)]
        encoding: SignatureEncoding,
        /// How `{{ timestamp }}`, the time of the request, is written. Default: `"epoch"`.
        #[serde(default)]
        timestamp: TimestampFormat,
        /// What is signed, with `{{ timestamp }}`, `{{ method }}`, `{{ path_and_query }}` and `{{ body }}`.
        message: String,
        /// The headers to send, with `{{ signature }}` and what `message` may contain.
        headers: BTreeMap<String, Secret>,
    },
}

/// Where an API key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyPlace {
    /// In a header.
    Header,
    /// In the query of the URL.
    Query,
}

/// The credentials of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    pub(crate) parameter: Option<(String, Secret)>,
    /// What is computed for each request.
    pub(crate) signer: Option<Signer>,
    /// All forms in which a secret may appear in a response or an error.
    pub(crate) secrets: Vec<Secret>,
    /// Advice for the case that the API denies access.
    pub(crate) advice: &'static str,
}

/// Credentials that differ from request to request.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    OAuth2(OAuth2),
    Hmac(Hmac),
}

impl Credentials {
    /// Whether requests carry credentials.
    pub(crate) fn is_set(&self) -> bool {
        self.header.is_some() || self.parameter.is_some() || self.signer.is_some()
    }

    /// Whether requests carry this header with credentials.
    pub(crate) fn sets(&self, header: &HeaderName) -> bool {
        match &self.signer {
            Some(Signer::OAuth2(_)) => *header == AUTHORIZATION,
            Some(Signer::Hmac(hmac)) => hmac.names().any(|name| name == header),
            None => self.header.as_ref().is_some_and(|(name, _)| name == header),
        }
    }

    /// Fails if an option cannot be sent in a request.
    pub(crate) fn new(auth: Option<&Auth>) -> Result<Self> {
        match auth {
            None => {
                let advice = "authentication is required: set `auth`";
                Ok(Credentials { advice, ..Credentials::default() })
            }
            Some(Auth::Basic { user, password }) => Self::basic(user, password),
            Some(Auth::Bearer { token }) => Self::bearer(token),
            Some(Auth::ApiKey { place: KeyPlace::Header, name, value }) => Self::key_in_header(name, value),
            Some(Auth::ApiKey { place: KeyPlace::Query, name, value }) => Self::key_in_query(name, value),
            Some(Auth::OAuth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
                refresh_token,
                client_auth,
            }) => {
                require_value("auth.client_secret", client_secret)?;
                refresh_token.iter().try_for_each(|token| require_value("auth.refresh_token", token))?;
                let oauth2 = OAuth2::new(
                    token_url,
                    client_id,
                    client_secret,
                    scope.as_ref(),
                    audience.as_ref(),
                    refresh_token.as_ref(),
                    *client_auth,
                )?;
                let pair = basic_pair(client_id, client_secret);
                Ok(Credentials {
                    signer: Some(Signer::OAuth2(oauth2)),
                    secrets: refresh_token
                        .iter()
                        .chain([client_secret, &Secret::new(pair)])
                        .cloned()
                        .collect(),
                    advice: "the API does not accept the token; check `auth.scope` and `auth.audience`, \
                             and what this client may read",
                    ..Credentials::default()
                })
            }
            Some(Auth::Hmac {
                secret,
                secret_encoding,
                algorithm,
                encoding,
                timestamp,
                message,
                headers,
            }) => {
                require_value("auth.secret", secret)?;
                let hmac =
                    Hmac::new(secret, *secret_encoding, *algorithm, *encoding, *timestamp, message, headers)?;
                let keys = headers.values().filter(|value| !value.expose().contains("{{"));
                Ok(Credentials {
                    signer: Some(Signer::Hmac(hmac)),
                    secrets: keys.chain([secret]).cloned().collect(),
                    advice: "check `auth.secret`, `auth.message` and `auth.headers`, and the clock of this machine",
                    ..Credentials::default()
                })
            }
        }
    }

    fn basic(user: &str, password: &Secret) -> Result<Self> {
        if user.contains(':') {
            return Err(OptionError::new("auth.user", "a user name cannot contain a colon"));
        }
        let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        Ok(Credentials {
            header: Some((AUTHORIZATION, header_value("auth.password", &format!("Basic {pair}"))?)),
            secrets: vec![Secret::new(user), password.clone(), Secret::new(&pair)],
            advice: "check `auth.user` and `auth.password`",
            ..Credentials::default()
        })
    }

    fn bearer(token: &Secret) -> Result<Self> {
        require_value("auth.token", token)?;
        if token.expose().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
            let message = "`Bearer` is added in front of it: write the token alone";
            return Err(OptionError::new("auth.token", message));
        }
        let value = format!("Bearer {}", token.expose());
        Ok(Credentials {
            header: Some((AUTHORIZATION, header_value("auth.token", &value)?)),
            secrets: vec![token.clone()],
            advice: "check `auth.token`; tokens expire",
            ..Credentials::default()
        })
    }

    fn key_in_header(name: &str, value: &Secret) -> Result<Self> {
        require_value("auth.value", value)?;
        let Ok(header) = HeaderName::try_from(name) else {
            return Err(OptionError::new("auth.name", format!("`{name}` is not a valid header name")));
        };
        Ok(Credentials {
            header: Some((header, header_value("auth.value", value.expose())?)),
            secrets: vec![value.clone()],
            advice: "check `auth.value`, and that the API reads its key from the header `auth.name`",
            ..Credentials::default()
        })
    }

    fn key_in_query(name: &str, value: &Secret) -> Result<Self> {
        require_value("auth.value", value)?;
        if name.is_empty() {
            return Err(OptionError::new("auth.name", "a query parameter needs a name"));
        }
        Ok(Credentials {
            parameter: Some((name.to_owned(), value.clone())),
            secrets: vec![value.clone()],
            advice: "check `auth.value`, and that the API reads its key from the parameter `auth.name`",
            ..Credentials::default()
        })
    }
}

/// The password in a header such as `Basic YWRhOng=`.
pub(crate) fn password(header: &str) -> Option<String> {
    let (scheme, pair) = header.trim().split_once(' ')?;
    let pair = BASE64_STANDARD.decode(pair.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
}

fn require_value(option: &str, secret: &Secret) -> Result<()> {
    if secret.expose().is_empty() { Err(OptionError::new(option, "it is empty")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(table: Value) -> Result<Auth, String> {
        serde_json::from_value(table).map_err(|error| error.to_string())
    }

    #[test]
    fn auth_accepts_the_options_of_each_strategy() {
        let basic = json!({"strategy": "basic", "user": "ada", "password": "x"});
        assert!(matches!(read(basic), Ok(Auth::Basic { .. })));
        assert!(matches!(read(json!({"token": "x", "strategy": "bearer"})), Ok(Auth::Bearer { .. })));
        let key = json!({"strategy": "api_key", "in": "query", "name": "k", "value": "x"});
        assert!(matches!(read(key), Ok(Auth::ApiKey { place: KeyPlace::Query, .. })));
        assert!(read(json!({"strategy": "bearer", "token": "x", "user": "ada"})).is_err());
        assert!(read(json!({"strategy": "basic", "user": "ada"})).is_err());
    }

    #[test]
    fn invalid_credentials_are_refused_without_showing_the_secret() {
        let named = Auth::Bearer { token: Secret::new("Bearer hidden") };
        let error = format!("{:#}", Credentials::new(Some(&named)).unwrap_err());
        assert!(error.contains("write the token alone") && !error.contains("hidden"), "{error}");
        let auth = Auth::Bearer { token: Secret::new("hidden\n") };
        let error = format!("{:#}", Credentials::new(Some(&auth)).unwrap_err());
        assert!(
            error.contains("auth.token") && error.contains("line break") && !error.contains("hidden"),
            "{error}"
        );
    }
}
