//! A connection: the requests of one client, answered in order.

use anyhow::Result;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::codec::LengthDelimitedCodec;

use super::requests::Requests;

/// The largest request accepted, in bytes: the default of `socket.request.max.bytes` in Apache Kafka.
const MAX_REQUEST: usize = 100 * 1024 * 1024;
/// The size of the length in front of a request.
const LENGTH: isize = 4;

/// Serves `socket` until the client disconnects or sends something that is not a request: Kafka's protocol has no
/// answer to a request that cannot be decoded.
pub(super) async fn serve(socket: TcpStream, requests: Requests) {
    if let Err(error) = answer_all(socket, requests).await {
        tracing::debug!(%error, "a connection to the embedded broker ended");
    }
}

async fn answer_all(socket: TcpStream, requests: Requests) -> Result<()> {
    let (socket, mut answers) = socket.into_split();
    let mut codec = LengthDelimitedCodec::builder();
    // The length in front of a request stays there.
    codec.max_frame_length(MAX_REQUEST).num_skip(0).length_adjustment(LENGTH);
    let mut received = codec.new_read(socket);
    while let Some(request) = received.try_next().await? {
        if let Some(answer) = requests.answer(request.freeze()).await? {
            answers.write_all(&answer).await?;
        }
    }
    Ok(())
}
