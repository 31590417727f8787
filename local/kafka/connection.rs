//! A connection: one client's requests, answered in the order they came.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use bytes::Bytes;
use rama::{Context, Service as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::routes::Route;
use super::silent::is_silent;

/// The largest request taken, in bytes: `socket.request.max.bytes` of Apache Kafka by default.
const MAX_REQUEST: usize = 100 * 1024 * 1024;
/// What the length in front of a request takes.
const LENGTH: usize = 4;

/// Serves `socket` until its client leaves or sends what is no request.
pub(super) async fn serve(mut socket: TcpStream, peer: SocketAddr, route: Route) {
    drop(socket.set_nodelay(true));
    loop {
        let request = match read(&mut socket).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%peer, %error, "a request could not be read");
                return;
            }
        };
        let is_silent = is_silent(&request);
        // A request that cannot be understood has no answer in Kafka's protocol: the connection ends.
        let answer = match route.serve(Context::default(), request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%peer, %error, "a request could not be answered");
                return;
            }
        };
        if is_silent {
            continue;
        }
        if let Err(error) = socket.write_all(&answer).await {
            tracing::debug!(%peer, %error, "a client left before its answer");
            return;
        }
    }
}

/// One request with its length in front; `None` when the client has left between two of them.
async fn read(socket: &mut TcpStream) -> Result<Option<Bytes>, Error> {
    let mut request = Vec::new();
    if read_exact(socket, &mut request, LENGTH).await? == 0 {
        return Ok(None);
    }
    let length = <[u8; LENGTH]>::try_from(request.as_slice()).map_err(|_| ErrorKind::UnexpectedEof)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_REQUEST {
        return Err(Error::new(ErrorKind::InvalidData, "the length of the request is not one of Kafka's"));
    }
    if read_exact(socket, &mut request, length).await? < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Bytes::from(request)))
}

/// Adds up to `n` bytes to `into`, which grows with what arrives and not with what was announced.
async fn read_exact(socket: &mut TcpStream, into: &mut Vec<u8>, n: usize) -> Result<usize, Error> {
    socket.take(n as u64).read_to_end(into).await
}
