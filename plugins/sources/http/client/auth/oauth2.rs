//! OAuth 2.0 client credentials and refresh tokens (RFC 6749, 4.4 and 6): requests a token and renews it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use runner_core::{OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::super::super::error::HttpError;
use super::super::super::request::header_value;
use super::super::super::responses::{BodyOptions, ResponseSummary, body};
use super::super::send::Client;

/// A token is renewed this long before it expires, or after nine tenths of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// The maximum size of a response with a token.
const MAX_RESPONSE: usize = 1 << 20;

/// How the client credentials are sent to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuth {
    /// In the body of the request.
    #[default]
    Body,
    /// In the header `Authorization: Basic …`.
    Basic,
}

/// The options, and the current token.
#[derive(Clone, Debug)]
pub(crate) struct OAuth2 {
    pub(crate) token_url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) scope: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) client_auth: ClientAuth,
    /// Without it, only the client credentials are sent.
    refresh_token: Arc<Mutex<Option<Secret>>>,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone, Debug)]
struct Token {
    header: HeaderValue,
    /// `None` if the server does not say when it expires.
    renew_at: Option<Instant>,
}

impl OAuth2 {
    pub(crate) fn new(
        token_url: &str,
        client_id: &str,
        client_secret: &Secret,
        scope: Option<&String>,
        audience: Option<&String>,
        refresh_token: Option<&Secret>,
        client_auth: ClientAuth,
    ) -> Result<Self> {
        let token_url =
            Url::parse(token_url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(token_url) = token_url.filter(|url| url.username().is_empty() && url.password().is_none())
        else {
            let message = "not a valid URL such as https://login.example.com/oauth2/token";
            return Err(OptionError::new("auth.token_url", message));
        };
        Ok(OAuth2 {
            token_url,
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
            scope: scope.cloned(),
            audience: audience.cloned(),
            client_auth,
            refresh_token: Arc::new(Mutex::new(refresh_token.cloned())),
            token: Arc::default(),
        })
    }

    /// The header `Authorization` with a token that has not expired.
    pub(crate) async fn header(&self, client: &Client) -> Result<HeaderValue, HttpError> {
        let mut token = self.token.lock().await;
        let is_fresh = |token: &&Token| token.renew_at.is_none_or(|renew_at| Instant::now() < renew_at);
        if let Some(token) = token.as_ref().filter(is_fresh) {
            return Ok(token.header.clone());
        }
        let renewed = self.request(client).await?;
        Ok(token.insert(renewed).header.clone())
    }

    /// Forgets a token that the API has rejected.
    pub(crate) async fn forget(&self, rejected: &HeaderValue) {
        self.token.lock().await.take_if(|token| token.header == rejected);
    }

    /// The body of the request for a token.
    fn form(&self, refresh_token: Option<&Secret>) -> String {
        let mut form = Serializer::new(String::new());
        match refresh_token {
            Some(token) => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose());
            }
            None => {
                form.append_pair("grant_type", "client_credentials");
            }
        }
        let others = [("scope", &self.scope), ("audience", &self.audience)];
        for (name, value) in others.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            form.append_pair(name, value);
        }
        if self.client_auth == ClientAuth::Body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", self.client_secret.expose());
        }
        form.finish()
    }

    async fn request(&self, client: &Client) -> Result<Token, HttpError> {
        let mut request = client
            .http()?
            .post(self.token_url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if self.client_auth == ClientAuth::Basic {
            let pair = basic_pair(&self.client_id, &self.client_secret);
            request = request.header(AUTHORIZATION, sensitive(&format!("Basic {pair}"))?);
        }
        let sent = Instant::now();
        let mut refresh_token = self.refresh_token.lock().await;
        let response = request.body(self.form(refresh_token.as_ref())).send().await;
        let response =
            response.map_err(|error| client.transport_error(&Method::POST, &self.token_url, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let title = format!("{} returned {status}", client.describe(&Method::POST, &self.token_url));
        if !status.is_success() {
            let body = body::read_beginning(response, MAX_RESPONSE).await;
            let answered = ResponseSummary { title: &title, status, headers: &headers, body: &body };
            return Err(client.token_error(&answered));
        }
        let body = body::read(&title, response, &BodyOptions::in_memory(MAX_RESPONSE).into()).await?.bytes;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(text) = answer["access_token"].as_str().filter(|token| !token.is_empty()) else {
            // Any other response may contain a token under another name.
            let excerpt = if answer["error"].is_null() { String::new() } else { client.response_body(&body) };
            return Err(HttpError::FatalUntilSuccess(anyhow!(
                "{title}: the response contains no `access_token`; check `auth.token_url`, `auth.client_id` and \
                 `auth.client_secret`{excerpt}"
            )));
        };
        client.redactor.learn(text);
        if let (Some(refresh_token), Some(next)) = (&mut *refresh_token, answer["refresh_token"].as_str())
            && refresh_token.expose() != next
        {
            client.redactor.learn(next);
            *refresh_token = Secret::new(next);
            warn!(
                "{title}: the response contains another refresh token, which is used until the run ends and is not saved: \
                 if a refresh token is valid only once, the next run needs a new one in `auth.refresh_token`"
            );
        }
        let seconds = &answer["expires_in"];
        let seconds = seconds.as_f64().or_else(|| seconds.as_str()?.trim().parse().ok());
        let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let renew_at =
            life.and_then(|life| sent.checked_add(life.saturating_sub(RENEW_BEFORE.min(life / 10))));
        Ok(Token { header: sensitive(&format!("Bearer {text}"))?, renew_at })
    }
}

/// The client credentials as RFC 6749, 2.3.1 wants them in a header.
pub(crate) fn basic_pair(client_id: &str, client_secret: &Secret) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    BASE64_STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret.expose())))
}

fn sensitive(text: &str) -> Result<HeaderValue, HttpError> {
    header_value("", text).map_err(|_| {
        HttpError::Fatal(anyhow!("the token contains a character that is not allowed in a header"))
    })
}
