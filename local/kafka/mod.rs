//! The broker: Kafka's protocol over records in memory, on the loopback.
//!
//! It has one node, keeps everything until it stops, and creates no topic automatically.
//! `tansu` provides the protocol and stores the records; its consumer groups and bugs are replaced here.

mod connection;
mod fetch;
mod groups;
mod log;
mod requests;
mod storage;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tansu_storage::{BrokerRegistrationRequest, Storage as _, StorageContainer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::listen::accept;
use groups::Groups;
use requests::Requests;
use storage::Storage;

const CLUSTER: &str = "runner-local";
const NODE: i32 = 1;

/// A running broker. Its records are gone when it stops.
pub struct Broker {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Broker {
    /// Serves a bound, non-blocking socket.
    pub async fn start(listener: std::net::TcpListener) -> Result<Broker> {
        let listener = TcpListener::from_std(listener).context("adopting the socket of the broker")?;
        let address = listener.local_addr().context("reading the port of a socket")?;
        let storage = storage(address).await.context("starting the embedded Kafka broker")?;
        let groups = Groups::new(storage.clone());
        let requests = Requests::new(storage, groups.clone());
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

async fn storage(address: SocketAddr) -> Result<Storage> {
    let records = StorageContainer::builder()
        .cluster_id(CLUSTER)
        .node_id(NODE)
        .advertised_listener(Url::parse(&format!("tcp://{address}"))?)
        .storage(Url::parse("memory://records/")?)
        .silent(true)
        .build()
        .await?;
    let storage = Storage::new(records);
    let registration = BrokerRegistrationRequest {
        broker_id: NODE,
        cluster_id: CLUSTER.into(),
        incarnation_id: Uuid::new_v4(),
        rack: None,
    };
    storage.register_broker(registration).await?;
    Ok(storage)
}
