//! The `auth` option, and the credentials that it adds to a request.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use runner_core::{OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Credentials. Sent only to the host of the endpoint, and never shown.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Auth {
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
        #[schemars(rename = "in")]
        place: KeyPlace,
        /// The name of the header or the query parameter.
        name: String,
        /// The key.
        value: Secret,
    },
}

/// Where an API key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyPlace {
    /// In a header.
    Header,
    /// In the query of the URL.
    Query,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    Basic,
    Bearer,
    ApiKey,
}

/// The options of all strategies. A derived tag would lose the location of an error in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthTable {
    strategy: Strategy,
    user: Option<String>,
    password: Option<Secret>,
    token: Option<Secret>,
    #[serde(rename = "in")]
    place: Option<KeyPlace>,
    name: Option<String>,
    value: Option<Secret>,
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AuthTable::deserialize(deserializer)?.choose().map_err(D::Error::custom)
    }
}

impl AuthTable {
    fn choose(self) -> Result<Auth, String> {
        let AuthTable { strategy, user, password, token, place, name, value } = self;
        let (label, takes, chosen): (_, &[&str], _) = match strategy {
            Strategy::Basic => ("basic", &["user", "password"], "`user` and `password`"),
            Strategy::Bearer => ("bearer", &["token"], "`token`"),
            Strategy::ApiKey => ("api_key", &["in", "name", "value"], "`in`, `name` and `value`"),
        };
        let given = [
            ("user", user.is_some()),
            ("password", password.is_some()),
            ("token", token.is_some()),
            ("in", place.is_some()),
            ("name", name.is_some()),
            ("value", value.is_some()),
        ];
        if let Some((stray, _)) = given.iter().find(|(option, is_given)| *is_given && !takes.contains(option))
        {
            return Err(format!("`{stray}` does not go with strategy = \"{label}\", which takes {chosen}"));
        }
        let missing = |option| format!("strategy = \"{label}\" needs `{option}`; it takes {chosen}");
        Ok(match strategy {
            Strategy::Basic => Auth::Basic {
                user: user.ok_or_else(|| missing("user"))?,
                password: password.ok_or_else(|| missing("password"))?,
            },
            Strategy::Bearer => Auth::Bearer { token: token.ok_or_else(|| missing("token"))? },
            Strategy::ApiKey => Auth::ApiKey {
                place: place.ok_or_else(|| missing("in"))?,
                name: name.ok_or_else(|| missing("name"))?,
                value: value.ok_or_else(|| missing("value"))?,
            },
        })
    }
}

/// The credentials of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    pub(super) parameter: Option<(String, Secret)>,
    /// All forms in which a secret may appear in a response or an error.
    pub(super) secrets: Vec<Secret>,
    /// Advice for the case that the API denies access.
    pub(super) advice: &'static str,
}

impl Credentials {
    /// Whether requests carry credentials.
    pub(super) fn is_set(&self) -> bool {
        self.header.is_some() || self.parameter.is_some()
    }

    /// Fails if an option cannot be sent in a request.
    pub(super) fn new(auth: Option<&Auth>) -> Result<Self> {
        let Some(auth) = auth else {
            let advice = "authentication is required: set `auth`";
            return Ok(Credentials { advice, ..Credentials::default() });
        };
        Ok(match auth {
            Auth::Basic { user, password } => {
                if user.contains(':') {
                    return Err(OptionError::new("auth.user", "a user name cannot contain a colon"));
                }
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
                Credentials {
                    header: Some((AUTHORIZATION, header_value("auth.password", &format!("Basic {pair}"))?)),
                    secrets: vec![Secret::new(user), password.clone(), Secret::new(pair)],
                    advice: "check `auth.user` and `auth.password`",
                    ..Credentials::default()
                }
            }
            Auth::Bearer { token } => {
                require_value("auth.token", token)?;
                let value = format!("Bearer {}", token.expose());
                Credentials {
                    header: Some((AUTHORIZATION, header_value("auth.token", &value)?)),
                    secrets: vec![token.clone()],
                    advice: "check `auth.token`; tokens expire",
                    ..Credentials::default()
                }
            }
            Auth::ApiKey { place: KeyPlace::Header, name, value } => {
                require_value("auth.value", value)?;
                let Ok(name) = HeaderName::try_from(name) else {
                    return Err(OptionError::new(
                        "auth.name",
                        format!("`{name}` is not a valid header name"),
                    ));
                };
                Credentials {
                    header: Some((name, header_value("auth.value", value.expose())?)),
                    secrets: vec![value.clone()],
                    advice: "check `auth.value`, and that the API reads its key from the header `auth.name`",
                    ..Credentials::default()
                }
            }
            Auth::ApiKey { place: KeyPlace::Query, name, value } => {
                require_value("auth.value", value)?;
                if name.is_empty() {
                    return Err(OptionError::new("auth.name", "a query parameter needs a name"));
                }
                Credentials {
                    parameter: Some((name.clone(), value.clone())),
                    secrets: vec![value.clone()],
                    advice: "check `auth.value`, and that the API reads its key from the parameter `auth.name`",
                    ..Credentials::default()
                }
            }
        })
    }
}

/// The password in a header such as `Basic YWRhOng=`.
pub(super) fn password(header: &str) -> Option<String> {
    let (scheme, pair) = header.trim().split_once(' ')?;
    let pair = BASE64_STANDARD.decode(pair.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
}

/// A header value that client libraries do not log.
pub(super) fn header_value(option: &str, text: &str) -> Result<HeaderValue> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        let message = "it contains a character that is not allowed in a header (a line break at its end?)";
        return Err(OptionError::new(option, message));
    };
    value.set_sensitive(true);
    Ok(value)
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
    }

    #[test]
    fn auth_names_an_option_of_another_strategy() {
        let error = read(json!({"strategy": "bearer", "token": "x", "user": "ada"})).unwrap_err();
        assert_eq!(error, "`user` does not go with strategy = \"bearer\", which takes `token`");
        let error = read(json!({"strategy": "basic", "user": "ada"})).unwrap_err();
        assert!(error.starts_with("strategy = \"basic\" needs `password`"), "{error}");
        assert!(read(json!({"strategy": "digest"})).unwrap_err().contains("`api_key`"));
        assert!(
            read(json!({"strategy": "bearer", "tokn": "x"})).unwrap_err().contains("unknown field `tokn`")
        );
    }

    #[test]
    fn credentials_refuse_a_line_break_without_showing_the_secret() {
        let auth = Auth::Bearer { token: Secret::new("hidden\n") };
        let error = format!("{:#}", Credentials::new(Some(&auth)).unwrap_err());
        assert!(
            error.contains("auth.token") && error.contains("line break") && !error.contains("hidden"),
            "{error}"
        );
    }

    #[test]
    fn auth_schema_is_one_closed_table_per_strategy() {
        let schema = serde_json::to_value(schemars::schema_for!(Auth)).unwrap();
        let tables = schema["oneOf"].as_array().unwrap();
        let names: Vec<_> =
            tables.iter().map(|it| it["properties"]["strategy"]["const"].as_str().unwrap()).collect();
        assert_eq!(names, ["basic", "bearer", "api_key"]);
        assert!(tables.iter().all(|it| it["additionalProperties"] == false), "{schema:#}");
        assert_eq!(tables[2]["required"], json!(["strategy", "in", "name", "value"]));
    }
}
