//! The services of AWS behind one address. Requests with the header `x-amz-target` are JSON 1.1, the protocol of
//! Glue and Athena: one POST per call, its name in that header, its input in the body. All others are S3.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError};
use serde_json::{Value, json};

use crate::{Athena, Fault, Glue};

/// The header with the name of a call, such as `AWSGlue.GetTable`.
const TARGET: &str = "x-amz-target";
/// The largest input of a call, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// S3, Glue and Athena. Only S3 checks signatures.
#[derive(Clone)]
pub(crate) struct Aws {
    pub(crate) s3: S3Service,
    pub(crate) glue: Arc<Glue>,
    pub(crate) athena: Arc<Athena>,
}

impl Service<Request<Incoming>> for Aws {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HttpError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if !request.headers().contains_key(TARGET) {
            return Service::call(&self.s3, request);
        }
        let services = self.clone();
        Box::pin(async move { Ok(answer(services.call_with_json(request).await)) })
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
    answer
}

impl Aws {
    async fn call_with_json(&self, request: Request<Incoming>) -> Result<Value, Fault> {
        let (head, body) = request.into_parts();
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
}
