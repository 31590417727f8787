//! Listening on a port of the loopback.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Binds `port` of 127.0.0.1, 0 for a free one; errors name `service`.
pub(crate) fn bind(service: &str, port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        if error.kind() != ErrorKind::AddrInUse {
            return anyhow!("{service} cannot listen on port {port} of 127.0.0.1: {error}");
        }
        anyhow!(
            "port {port} of 127.0.0.1 is taken, so {service} cannot listen there: stop the program that holds \
             it, or choose another port"
        )
    })?;
    listener.set_nonblocking(true).context("preparing a socket")?;
    Ok(listener)
}

/// The pause before the next attempt when the process has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The time for requests in flight after `stop`.
const GRACE: Duration = Duration::from_secs(1);

/// Serves every connection in a task until `stop`, and then waits for the requests in flight.
pub(crate) async fn accept<F>(
    listener: tokio::net::TcpListener,
    stop: CancellationToken,
    serve: impl Fn(TcpStream) -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::warn!(%error, "a connection of the offline cloud panicked; the others continue");
            },
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    drop(socket.set_nodelay(true));
                    connections.spawn(serve(socket));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the offline cloud was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
}
