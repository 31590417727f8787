//! Listening on the loopback, on a free port or a given one.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

/// Binds 127.0.0.1 at `port`, or at a free one if that is 0; `service` is what the error calls it.
pub(crate) async fn bind(service: &str, port: u16) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {port} of 127.0.0.1 is taken, so {service} cannot listen there: stop the program that holds it, or choose another port"
        ),
        ErrorKind::PermissionDenied => {
            anyhow!("{service} may not listen on port {port}: ports below 1024 belong to the system, choose a higher one")
        }
        _ => anyhow!("{service} cannot listen on port {port} of 127.0.0.1: {error}"),
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
