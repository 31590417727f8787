//! Listening on the loopback, on a free port or a given one.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, anyhow};

/// Binds 127.0.0.1 at `port`, or at a free one if that is 0; `service` is what the error calls it.
pub(crate) fn bind(service: &str, port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {port} of 127.0.0.1 is taken, so {service} cannot listen there: stop the program that holds \
             it, or choose another port"
        ),
        ErrorKind::PermissionDenied => anyhow!(
            "{service} may not listen on port {port}: ports below 1024 belong to the system, choose a higher one"
        ),
        _ => anyhow!("{service} cannot listen on port {port} of 127.0.0.1: {error}"),
    })?;
    listener.set_nonblocking(true).context("preparing a socket")?;
    Ok(listener)
}
