//! How a request is sent: to one host, with credentials, and within the limits of the API.
//!
//! `options` has methods and the identity of a source. `connect` builds the HTTP client. `tls` configures its
//! certificates: `private_key` reads the key of the client, and `trust` verifies the server against `tls.ca_file`. `send`
//! waits for `rate_limit`, adds credentials (`auth`), sends, and follows redirects as far as `redirect` allows. `errors` says
//! what a failed request means, and `retry_after` how long the API asks to wait. `redact` hides what was sent from messages.

mod auth;
mod connect;
mod errors;
mod header_text;
mod options;
mod private_key;
mod rate_limit;
mod redact;
mod redirect;
mod retry_after;
mod send;
mod tls;
mod trust;

pub(crate) use self::auth::{Auth, Credentials, password};
pub(crate) use self::header_text::header_text;
pub(crate) use self::options::{Method, identity, with_variables, without_query};
pub(crate) use self::rate_limit::{RateLimit, RateLimiter};
pub(crate) use self::redact::{HIDDEN, Redactor};
pub(crate) use self::redirect::Redirects;
pub(crate) use self::send::Client;
pub(crate) use self::tls::TlsOptions;
