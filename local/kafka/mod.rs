//! The broker: Kafka's protocol over records in memory, on the loopback.
//!
//! It has one node, keeps everything until it stops, and creates no topic automatically. `kafka-protocol` reads and writes
//! the messages.

mod batch;
mod connection;
mod fetch;
mod groups;
mod log;
mod produce;
mod requests;
mod store;
#[cfg(test)]
mod tests;
mod topic_options;
mod topics;
mod transactions;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::listen::accept;
use groups::Groups;
use requests::Requests;
use store::Store;

/// A running broker. Its records are gone when it stops.
pub struct Broker {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Broker {
    /// Serves a bound, non-blocking socket.
    pub fn start(listener: std::net::TcpListener) -> Result<Broker> {
        let listener = TcpListener::from_std(listener).context("adopting the socket of the broker")?;
        let address = listener.local_addr().context("reading the port of a socket")?;
        let store = Store::new(address);
        let groups = Groups::new(store.clone());
        let requests = Requests::new(store, groups.clone());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let stopped = stop.clone();
        let serve = move |socket| {
            let (requests, stopped) = (requests.clone(), stopped.clone());
            // Ends at once: a fetch may wait for a long time.
            async move { stopped.run_until_cancelled(connection::serve(socket, requests)).await.unwrap_or(()) }
        };
        tasks.spawn(accept(listener, stop.clone(), serve));
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(groups.expire_members()).await.unwrap_or(()) });
        Ok(Broker { address, stop, tasks })
    }

    /// The address that clients connect to and that the broker advertises.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and returns when none of the broker's tasks is left.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
