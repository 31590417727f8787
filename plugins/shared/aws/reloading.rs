//! A client of an AWS service, with credentials that the user may renew while the run lasts.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::{Access, AccessOptions};

/// How often credentials are reloaded at most.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct ReloadingClient<C> {
    pub(crate) access: Access,
    /// What `access` was made from.
    options: AccessOptions,
    make: Box<dyn Fn(&Access) -> C + Send + Sync>,
    /// Replaced when the credentials are reloaded.
    client: RwLock<C>,
    /// When the credentials were reloaded last, and whether that succeeded.
    reloaded: Mutex<Option<(Instant, bool)>>,
}

impl<C: Clone> ReloadingClient<C> {
    pub(crate) fn new(
        access: Access,
        options: AccessOptions,
        make: impl Fn(&Access) -> C + Send + Sync + 'static,
    ) -> Self {
        let client = RwLock::new(make(&access));
        ReloadingClient { access, options, make: Box::new(make), client, reloaded: Mutex::default() }
    }

    pub(crate) fn client(&self) -> C {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the credentials again, after a denial; whether that has succeeded. The SDK itself renews those with an
    /// expiry time. It reads others once, so it does not see that the user has logged in again.
    pub(crate) async fn reload(&self) -> bool {
        let mut reloaded = self.reloaded.lock().await;
        if let Some((_, has_succeeded)) = reloaded.filter(|(at, _)| at.elapsed() < RELOAD_INTERVAL) {
            return has_succeeded;
        }
        let loaded = Box::pin(Access::load(self.access.service, &self.options)).await;
        let has_succeeded = loaded.is_ok();
        match loaded {
            Ok(access) => {
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = (self.make)(&access);
            }
            Err(error) => warn!("reloading the AWS credentials: {error:#}"),
        }
        *reloaded = Some((Instant::now(), has_succeeded));
        has_succeeded
    }
}
