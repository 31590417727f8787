//! The services of AWS behind one address. Requests with the header `x-amz-target` are JSON 1.1, the protocol of
//! Glue and Athena: one POST per call, its name in that header, its input in the body. All others are S3.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError};
use serde_json::{Value, json};

use crate::{Athena, Fault, Glue, Keys};

/// The header with the name of a call, such as `AWSGlue.GetTable`.
const TARGET: &str = "x-amz-target";
/// The largest input of a call, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// S3, Glue and Athena, for one pair of keys.
#[derive(Clone)]
pub struct Aws {
    s3: S3Service,
    services: Arc<Services>,
}

/// The services with JSON.
struct Services {
    glue: Arc<Glue>,
    athena: Arc<Athena>,
    keys: Keys,
}

impl Aws {
    /// `s3` checks signatures with the same keys.
    pub fn new(s3: S3Service, glue: Arc<Glue>, athena: Arc<Athena>, keys: Keys) -> Aws {
        Aws { s3, services: Arc::new(Services { glue, athena, keys }) }
    }
}

impl Service<Request<Incoming>> for Aws {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HttpError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if !request.headers().contains_key(TARGET) {
            return Service::call(&self.s3, request);
        }
        let services = self.services.clone();
        Box::pin(async move { Ok(answer(services.call(request).await)) })
    }
}

fn answer(result: Result<Value, Fault>) -> Response<Body> {
    let (status, body) = match result {
        Ok(output) => (StatusCode::OK, output),
        Err(Fault { code, message }) => {
            let is_internal = code.starts_with("Internal");
            let status =
                if is_internal { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
            // Services differ in the case of the name; clients accept both.
            (status, json!({ "__type": code, "message": message, "Message": message }))
        }
    };
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    answer
}

impl Services {
    async fn call(&self, request: Request<Incoming>) -> Result<Value, Fault> {
        let (head, body) = request.into_parts();
        self.check_access_key(&head)?;
        let wrong = |error: String| Fault::new("SerializationException", error);
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| wrong(format!("The request could not be read: {error}")))?.to_bytes();
        let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
        let input = input.map_err(|error| wrong(format!("The request is not JSON: {error}")))?;
        let target = head.headers.get(TARGET).and_then(|it| it.to_str().ok()).unwrap_or_default();
        match target.split_once('.') {
            Some(("AWSGlue", operation)) => self.glue.call(operation, input).await,
            Some(("AmazonAthena", operation)) => self.athena.call(operation, input).await,
            _ => Err(Fault::new(
                "UnknownOperationException",
                format!("the offline cloud has no {target}: it has S3, Glue and Athena"),
            )),
        }
    }

    /// The signature is checked for S3 only: these services accept every request with the right access key.
    fn check_access_key(&self, head: &Parts) -> Result<(), Fault> {
        let Some(header) = head.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()) else {
            return Err(Fault::new("MissingAuthenticationTokenException", "The request is not signed."));
        };
        let credential = header.split_once("Credential=").and_then(|(_, rest)| rest.split_once('/'));
        if credential.is_some_and(|(access_key, _)| access_key == self.keys.access_key) {
            return Ok(());
        }
        Err(Fault::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid: the access key is unknown.",
        ))
    }
}
