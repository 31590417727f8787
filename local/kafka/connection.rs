//! A connection: the requests of one client, answered in order.

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::codec::LengthDelimitedCodec;

use super::requests::Requests;

/// The largest request accepted, in bytes: the default of `socket.request.max.bytes` in Apache Kafka.
const MAX_REQUEST: usize = 100 * 1024 * 1024;
/// The size of the length in front of a request.
const LENGTH: isize = 4;

/// Serves `socket` until the client disconnects or sends something that is not a request.
pub(super) async fn serve(socket: TcpStream, requests: Requests) {
    let (socket, mut answers) = socket.into_split();
    let mut codec = LengthDelimitedCodec::builder();
    // The length in front of a request stays there.
    codec.max_frame_length(MAX_REQUEST).num_skip(0).length_adjustment(LENGTH);
    let mut received = codec.new_read(socket);
    while let Some(request) = received.next().await {
        let request = match request {
            Ok(request) => request.freeze(),
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
        if let Err(error) = answers.write_all(&answer).await {
            tracing::debug!(%error, "a client disconnected before its answer");
            return;
        }
    }
}
