//! An S3 server in this process: the store of the offline cloud over a temporary folder, with faults on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use runner_core::async_trait;
use runner_local::web::Server;
use runner_local::{Keys, Store};
use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::PutObjectInput;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};
use tokio::sync::oneshot;

use super::TestEnv;

/// The key that the server accepts.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// The secret that belongs to it.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A running server; it stops and its objects are removed when this is dropped.
pub struct S3 {
    root: tempfile::TempDir,
    address: SocketAddr,
    rules: Arc<Rules>,
    _stop: oneshot::Sender<()>,
}

/// A request before the server handles it.
pub struct Request<'a> {
    /// `PutObject`, `HeadBucket` and so on.
    pub operation: &'a str,
    /// The object key; empty for a request about a bucket.
    pub key: &'a str,
    /// The session token of the request; empty if there is none.
    pub token: &'a str,
    /// The number of earlier requests of this operation.
    pub n_before: usize,
}

/// How the server responds to a request.
pub enum Response {
    /// As usual.
    Normal,
    /// With this error code, such as `SlowDown`.
    Error(&'static str),
    /// With a redirect, since the bucket is in this region.
    OtherRegion(&'static str),
    /// As usual, after this delay.
    Delayed(Duration),
}

type Rule = dyn Fn(&Request<'_>) -> Response + Send + Sync;

/// Decides how to respond to requests, and counts them.
#[derive(Default)]
struct Rules {
    rule: RwLock<Option<Box<Rule>>>,
    counts: Mutex<BTreeMap<String, usize>>,
    ignores_conditions: AtomicBool,
}

impl S3 {
    pub fn start() -> S3 {
        let root = tempfile::tempdir().expect("a temporary folder");
        let rules = Arc::new(Rules::default());
        let store = Store::open(root.path()).expect("a folder for buckets");
        let keys = Keys { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let service = store.guarded_service(&keys, Access(Arc::clone(&rules)));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket of tokio's");
        let address = listener.local_addr().expect("a bound socket");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let _server = Server::start(listener, service).expect("a server");
                drop(stopped.await);
            });
        });
        S3 { root, address, rules, _stop: stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the variables that point runs to this server, with the right key.
    pub fn configure(&self, env: &mut TestEnv) {
        env.set("AWS_ENDPOINT_URL_S3", self.url())
            .set("AWS_REGION", "eu-central-1")
            .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    }

    /// A client of the AWS SDK, with the right key.
    pub fn client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.url())
            .force_path_style(true)
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub fn create_bucket(&self, bucket: &str) {
        std::fs::create_dir(self.root.path().join(bucket)).expect("a new bucket");
    }

    /// Stores an object directly in the folder of the server.
    pub fn put(&self, bucket: &str, key: &str, content: impl AsRef<[u8]>) {
        let path = self.root.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("creating the folder");
        std::fs::write(path, content).expect("writing an object");
    }

    /// Removes an object directly from the folder of the server.
    pub fn remove(&self, bucket: &str, key: &str) {
        std::fs::remove_file(self.root.path().join(bucket).join(key)).expect("an object");
    }

    pub fn read(&self, bucket: &str, key: &str) -> String {
        let path = self.root.path().join(bucket).join(key);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("object {key} of {bucket}: {error}"))
    }

    /// The content of an object, if it exists.
    pub fn find(&self, bucket: &str, key: &str) -> Option<String> {
        std::fs::read_to_string(self.root.path().join(bucket).join(key)).ok()
    }

    /// Renames a bucket with its content.
    pub fn move_bucket(&self, from: &str, to: &str) {
        std::fs::rename(self.root.path().join(from), self.root.path().join(to)).expect("moving a bucket");
    }

    /// The keys of all objects, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let root = self.root.path().join(bucket);
        let mut keys = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of objects") {
                let entry = entry.expect("an object");
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else {
                    keys.push(path.strip_prefix(&root).expect("inside").to_string_lossy().into_owned());
                }
            }
        }
        keys.sort_unstable();
        keys
    }

    pub fn count(&self, bucket: &str) -> usize {
        self.keys(bucket).len()
    }

    /// Lets `rule` decide on every request from now on.
    pub fn respond_with(&self, rule: impl Fn(&Request<'_>) -> Response + Send + Sync + 'static) {
        *self.rules.rule.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(rule));
    }

    /// Ignores the header If-None-Match from now on, as some old servers do.
    pub fn ignore_conditions(&self) {
        self.rules.ignores_conditions.store(true, Ordering::Relaxed);
    }

    /// The number of requests of an operation.
    pub fn requests(&self, operation: &str) -> usize {
        let counts = self.rules.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(operation).copied().unwrap_or_default()
    }
}

struct Access(Arc<Rules>);

#[async_trait]
impl S3Access for Access {
    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        if self.0.ignores_conditions.load(Ordering::Relaxed) {
            request.input.if_none_match = None;
        }
        Ok(())
    }

    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let n_before = {
            let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(operation.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let response = {
            let key = context.s3_path().get_object_key().unwrap_or_default();
            let rule = self.0.rule.read().unwrap_or_else(PoisonError::into_inner);
            let token = context.headers().get("x-amz-security-token");
            let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default();
            let request = Request { operation: &operation, key, token, n_before };
            rule.as_ref().map_or(Response::Normal, |rule| rule(&request))
        };
        match response {
            Response::Normal => {}
            Response::Delayed(pause) => tokio::time::sleep(pause).await,
            Response::Error(code) => {
                let code = S3ErrorCode::from_bytes(code.as_bytes()).expect("a code");
                return Err(S3Error::with_message(code, "injected by the test"));
            }
            Response::OtherRegion(region) => {
                let mut error = s3_error!(PermanentRedirect, "the bucket is in another region");
                let mut headers = context.headers().clone();
                headers.clear();
                headers.insert("x-amz-bucket-region", region.parse().expect("a header"));
                error.set_headers(headers);
                return Err(error);
            }
        }
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        Ok(())
    }
}
