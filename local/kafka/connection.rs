//! A connection: the requests of one client, answered in order.

use std::io::{Error, ErrorKind};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::requests::Requests;

/// The largest request accepted, in bytes: the default of `socket.request.max.bytes` in Apache Kafka.
const MAX_REQUEST: usize = 100 * 1024 * 1024;
/// The size of the length in front of a request.
const LENGTH: usize = 4;

/// Serves `socket` until the client disconnects or sends something that is not a request.
pub(super) async fn serve(mut socket: TcpStream, requests: Requests) {
    loop {
        let request = match read(&mut socket).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a request could not be read");
                return;
            }
        };
        // Kafka's protocol has no answer to a request that cannot be decoded: the connection ends.
        let answer = match requests.answer(request).await {
            Ok(Some(answer)) => answer,
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(%error, "a request could not be answered");
                return;
            }
        };
        if let Err(error) = socket.write_all(&answer).await {
            tracing::debug!(%error, "a client disconnected before its answer");
            return;
        }
    }
}

/// One request with its length in front; `None` when the client has disconnected between two requests.
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

/// Appends up to `n` bytes; memory grows with what arrives, not with the announced length.
async fn read_exact(socket: &mut TcpStream, into: &mut Vec<u8>, n: usize) -> Result<usize, Error> {
    socket.take(n as u64).read_to_end(into).await
}
