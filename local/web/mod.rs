//! A web server: one service behind one socket.

mod aws;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::pin::pin;

use anyhow::{Context as _, Result};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::listen::accept;

pub(crate) use aws::Aws;

/// A service of this server.
pub trait Answers:
    Service<Request<Incoming>, Response = Response<s3s::Body>, Error = s3s::HttpError, Future: Send>
{
}

impl<S> Answers for S where
    S: Service<Request<Incoming>, Response = Response<s3s::Body>, Error = s3s::HttpError, Future: Send>
{
}

/// A running server; dropping it ends it at once.
pub struct Server {
    stop: CancellationToken,
    accepting: JoinSet<()>,
}

impl Server {
    /// Serves the connections of a non-blocking socket; must be called in a runtime.
    pub fn start(
        listener: TcpListener,
        service: impl Answers + Clone + Send + Sync + 'static,
    ) -> Result<Server> {
        let listener = tokio::net::TcpListener::from_std(listener).context("listening on a socket")?;
        let stop = CancellationToken::new();
        let mut accepting = JoinSet::new();
        let stopped = stop.clone();
        let serve = move |socket| serve(socket, service.clone(), stopped.clone());
        accepting.spawn(accept(listener, stop.clone(), serve));
        Ok(Server { stop, accepting })
    }

    /// Stops accepting, finishes the requests in flight within a second, and ends all tasks.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.accepting.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the server of the offline cloud panicked");
            }
        }
    }
}

async fn serve(socket: TcpStream, service: impl Answers, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let expects_continue = request.headers().contains_key(EXPECT);
        let answered = service.call(request);
        async move {
            let mut answer = answered.await?;
            if expects_continue && !answer.status().is_success() {
                // The body may never arrive, so the start of the next request is unknown.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, s3s::HttpError>(answer)
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
        // Usually a client that has disconnected.
        tracing::debug!(%error, "a connection to the offline cloud failed");
    }
}
