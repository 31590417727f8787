//! The services of AWS behind one address: calls with the header `x-amz-target` are JSON, all others S3.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use s3s::service::S3Service;
use s3s::{Body, HttpError};

use super::json::{self, Json};
use crate::keys::Keys;

/// S3 and the services that speak JSON, for the holder of one pair of keys.
#[derive(Clone)]
pub struct Aws {
    s3: S3Service,
    json: Arc<dyn Json>,
    keys: Arc<Keys>,
}

impl Aws {
    /// Puts them together; `s3` knows the keys already.
    pub fn new(s3: S3Service, json: Arc<dyn Json>, keys: Keys) -> Aws {
        Aws { s3, json, keys: Arc::new(keys) }
    }
}

impl Service<Request<Incoming>> for Aws {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HttpError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.headers().contains_key(json::TARGET) {
            let (service, keys) = (Arc::clone(&self.json), Arc::clone(&self.keys));
            Box::pin(async move { Ok(json::answer(&*service, &keys, request).await.map(Body::from)) })
        } else {
            Service::call(&self.s3, request)
        }
    }
}
