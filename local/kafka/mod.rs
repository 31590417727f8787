//! The broker: Kafka's protocol over records in memory, on the loopback.
//!
//! It has one node, keeps everything until it stops, and makes no topic that nobody asked for.
//! The protocol and the records are `tansu`'s; what that gets wrong is put right beside it.

mod connection;
mod fetch;
mod groups;
mod log;
mod routes;
mod silent;
mod storage;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tansu_storage::{BrokerRegistrationRequest, Storage as _, StorageContainer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use groups::Groups;
use routes::Route;
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
    /// Serves a socket that is bound already and does not block.
    pub async fn start(listener: std::net::TcpListener) -> Result<Broker> {
        let listener = TcpListener::from_std(listener).context("taking over the socket of the broker")?;
        let address = listener.local_addr().context("asking a socket for its port")?;
        let storage = storage(address).await.context("starting the embedded Kafka broker")?;
        let groups = Groups::new(storage.clone());
        let route =
            routes::routes(storage, groups.clone()).context("building the table of Kafka's requests")?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, route, stop.clone()));
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(groups.tend()).await.unwrap_or(()) });
        Ok(Broker { address, stop, tasks })
    }

    /// Where clients connect to; also the listener that the broker advertises.
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

/// How long to wait before the next try when the system grants no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept(listener: TcpListener, route: Route, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    connections.spawn(connection::serve(socket, peer, route.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the Kafka broker could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::warn!(%error, "a connection of the Kafka broker broke down; the others go on");
            },
        }
    }
    connections.shutdown().await;
}
