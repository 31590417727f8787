//! JSON 1.1, the protocol of Glue and Athena: one POST per call, its name in a header, its input in the body.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Failure, signature};
use crate::fault::Fault;
use crate::keys::Keys;

/// The header with the name of a call, such as `AWSGlue.GetTable`.
pub(super) const TARGET: &str = "x-amz-target";
/// Of a call, in bytes; the inputs of Glue and Athena are far smaller.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// Services that are called by name.
#[async_trait]
pub trait Json: Send + Sync + 'static {
    /// Answers a call: `target` is its name, such as `AWSGlue.GetTable`.
    async fn call(&self, target: &str, input: Value) -> Result<Value, Fault>;
}

/// Answers a request that has the header.
pub(super) async fn answer<B>(service: &dyn Json, keys: &Keys, request: Request<B>) -> Response<Bytes>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Failure>,
{
    let (status, body) = match call(service, keys, request).await {
        Ok(output) => (StatusCode::OK, output),
        Err(Fault { code, message }) => {
            let is_ours = code.starts_with("Internal");
            let status = if is_ours { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
            // Some services write the one name and some the other; clients look for both.
            (status, json!({ "__type": code, "message": message, "Message": message }))
        }
    };
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    answer
}

async fn call<B>(service: &dyn Json, keys: &Keys, request: Request<B>) -> Result<Value, Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Failure>,
{
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("The request has more than {LARGEST_BODY} bytes.");
            return Err(Fault::new("RequestEntityTooLargeException", message));
        }
        Err(error) => {
            return Err(Fault::new("SerializationException", format!("The request broke off: {error}")));
        }
    };
    signature::check(keys, &head, &body)?;
    let target = head.headers.get(TARGET).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
    let input = input
        .map_err(|error| Fault::new("SerializationException", format!("The request is no JSON: {error}")))?;
    service.call(target, input).await
}
