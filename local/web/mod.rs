//! A web server: takes the connections of one socket and hands their requests to one service.

mod aws;
mod json;
mod plain;
mod signature;
#[cfg(test)]
pub(crate) mod tests;

use std::error::Error;
use std::net::TcpListener;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use aws::Aws;
pub use json::Json;
pub use plain::plain;

/// How long requests have that are being answered when the server stops.
const GRACE: Duration = Duration::from_secs(1);
/// A socket that cannot be accepted now, for want of file descriptors, can be after a while.
const PAUSE: Duration = Duration::from_millis(100);

type Failure = Box<dyn Error + Send + Sync>;

/// A running server; it ends at once when this is dropped.
pub struct Server {
    stop: CancellationToken,
    accepting: JoinSet<()>,
}

impl Server {
    /// Serves the connections of a socket that does not block; to be called in a runtime.
    pub fn start<S, B>(listener: TcpListener, service: S) -> Result<Server>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Failure>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Failure>,
    {
        let listener = tokio::net::TcpListener::from_std(listener).context("listening on a socket")?;
        let stop = CancellationToken::new();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, service, stop.clone()));
        Ok(Server { stop, accepting })
    }

    /// Takes no more connections, lets those be answered that have asked, for a second at most, and
    /// leaves no task behind.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.accepting.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the server of the offline cloud broke off");
            }
        }
    }
}

async fn accept<S, B>(listener: tokio::net::TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Failure>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Failure>,
{
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            socket = listener.accept() => socket,
        };
        match socket {
            Ok((socket, _)) => {
                connections.spawn(serve(socket, service.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the offline cloud was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve<S, B>(socket: TcpStream, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Failure>,
    B: Body + 'static,
    B::Error: Into<Failure>,
{
    // Small answers go out at once; a socket that cannot do so still serves.
    drop(socket.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let waits_with_its_body = request.headers().contains_key(EXPECT);
        let answered = service.call(request);
        async move {
            let mut answer = answered.await?;
            if waits_with_its_body && !answer.status().is_success() {
                // That body may never come: nobody can say where the next request would begin.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, S::Error>(answer)
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Mostly a client that went away.
        tracing::debug!(%error, "a connection to the offline cloud broke off");
    }
}
