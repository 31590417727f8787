//! A plain service: answers a GET by its address alone.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri};

/// A service of a function.
pub struct Plain<F>(Arc<F>);

/// Lets `handler` answer every GET; other methods are refused.
pub fn plain<F>(handler: F) -> Plain<F>
where
    F: Fn(&Uri) -> Response<Bytes> + Send + Sync + 'static,
{
    Plain(Arc::new(handler))
}

// Not derived: that would ask for a function that can be cloned.
impl<F> Clone for Plain<F> {
    fn clone(&self) -> Self {
        Plain(Arc::clone(&self.0))
    }
}

impl<F> Service<Request<Incoming>> for Plain<F>
where
    F: Fn(&Uri) -> Response<Bytes> + Send + Sync + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = if request.method() == Method::GET {
            (self.0)(request.uri())
        } else {
            let mut refusal = Response::new(Bytes::from_static(b"only GET is answered here\n"));
            *refusal.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            refusal
        };
        ready(Ok(answer.map(Full::new)))
    }
}
