//! The connection to Glue, with credentials that the user may renew while the run lasts.

use std::sync::{PoisonError, RwLock};

use anyhow::Result;
use aws_sdk_glue::Client;
use tracing::warn;

use crate::shared::aws::{Access, AccessOptions, AwsError};

pub(super) struct Session {
    pub(super) access: Access,
    /// What `access` was made from.
    options: AccessOptions,
    /// Replaced when the credentials are loaded again.
    client: RwLock<Client>,
}

impl Session {
    pub(super) async fn open(options: AccessOptions) -> Result<Session> {
        let access = Box::pin(Access::load("Glue", &options)).await?;
        Ok(Session { options, ..Session::new(access) })
    }

    pub(super) fn new(access: Access) -> Session {
        Session { client: RwLock::new(client(&access)), access, options: AccessOptions::default() }
    }

    pub(super) fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After a denial loads the credentials again; true if the call is to be made once more. Those with an expiry
    /// time the SDK renews by itself; it reads others once, so it does not see that the user has logged in again.
    pub(super) async fn reload_after_denial<T: Sync>(&self, answer: &Result<T, AwsError>) -> bool {
        if !answer.as_ref().is_err_and(AwsError::is_denied) {
            return false;
        }
        match Box::pin(Access::load("Glue", &self.options)).await {
            Ok(access) => {
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = client(&access);
                true
            }
            Err(error) => {
                warn!("reloading the AWS credentials: {error:#}");
                false
            }
        }
    }
}

fn client(access: &Access) -> Client {
    let mut config = aws_sdk_glue::config::Builder::from(&access.config);
    config.set_endpoint_url(access.endpoint.clone());
    Client::from_conf(config.build())
}
