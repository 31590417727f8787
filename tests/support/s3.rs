//! An S3 server in this process: the store of the offline cloud over a temporary folder, with faults on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use runner_core::async_trait;
use runner_local::web::Server;
use runner_local::{Keys, Store};
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use tokio::sync::oneshot;

use super::Scene;

/// The key that the server accepts.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// The secret that belongs to it.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A running server; it stops, and its objects are gone, when this is dropped.
pub struct S3 {
    root: tempfile::TempDir,
    address: SocketAddr,
    gate: Arc<Gate>,
    _stop: oneshot::Sender<()>,
}

/// One request, before the server looks at it.
pub struct Asked<'a> {
    /// `PutObject`, `HeadBucket` and so on.
    pub operation: &'a str,
    /// The object's name; empty where a bucket is meant.
    pub key: &'a str,
    /// The token of the session that the request was signed with; empty if there is none.
    pub token: &'a str,
    /// How many requests of this operation there were before.
    pub n_before: usize,
}

/// What the server shall do with a request.
pub enum Answer {
    /// What it would do anyway.
    Normal,
    /// Refuse with this code, such as `SlowDown`.
    Error(&'static str),
    /// Refuse since the bucket lies in this region.
    OtherRegion(&'static str),
    /// Answer only after this time.
    Late(Duration),
}

type Rule = dyn Fn(&Asked<'_>) -> Answer + Send + Sync;

/// Decides on requests and counts them.
#[derive(Default)]
struct Gate {
    rule: RwLock<Option<Box<Rule>>>,
    counts: Mutex<BTreeMap<String, usize>>,
}

impl S3 {
    pub fn start() -> S3 {
        let root = tempfile::tempdir().expect("a temporary folder");
        let gate = Arc::new(Gate::default());
        let store = Store::open(root.path()).expect("a folder for buckets");
        let keys = Keys { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let service = store.guarded_service(&keys, Access(Arc::clone(&gate)));
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
        S3 { root, address, gate, _stop: stop }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the runs of a scene find this server, and gives them the right key.
    pub fn surround(&self, scene: &mut Scene) {
        scene
            .set("AWS_ENDPOINT_URL_S3", self.url())
            .set("AWS_REGION", "eu-central-1")
            .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    }

    /// A client of Amazon's own, with the right key.
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

    /// Stores an object behind the server's back.
    pub fn put(&self, bucket: &str, key: &str, content: impl AsRef<[u8]>) {
        let path = self.root.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("creating the folder");
        std::fs::write(path, content).expect("writing an object");
    }

    /// Removes an object behind the server's back.
    pub fn remove(&self, bucket: &str, key: &str) {
        std::fs::remove_file(self.root.path().join(bucket).join(key)).expect("an object");
    }

    pub fn read(&self, bucket: &str, key: &str) -> String {
        let path = self.root.path().join(bucket).join(key);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("object {key} of {bucket}: {error}"))
    }

    /// The content of an object, if there is one of that name.
    pub fn find(&self, bucket: &str, key: &str) -> Option<String> {
        std::fs::read_to_string(self.root.path().join(bucket).join(key)).ok()
    }

    /// Takes a bucket away with all that is in it, and keeps it under another name.
    pub fn move_bucket(&self, from: &str, to: &str) {
        std::fs::rename(self.root.path().join(from), self.root.path().join(to)).expect("moving a bucket");
    }

    /// The names of all objects, in order.
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

    /// From now on every request is answered as `rule` says.
    pub fn answer(&self, rule: impl Fn(&Asked<'_>) -> Answer + Send + Sync + 'static) {
        *self.gate.rule.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(rule));
    }

    /// How many requests of an operation there were.
    pub fn requests(&self, operation: &str) -> usize {
        let counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(operation).copied().unwrap_or_default()
    }
}

struct Access(Arc<Gate>);

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let n_before = {
            let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(operation.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let answer = {
            let key = context.s3_path().get_object_key().unwrap_or_default();
            let rule = self.0.rule.read().unwrap_or_else(PoisonError::into_inner);
            let token = context.headers().get("x-amz-security-token");
            let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default();
            let asked = Asked { operation: &operation, key, token, n_before };
            rule.as_ref().map_or(Answer::Normal, |rule| rule(&asked))
        };
        match answer {
            Answer::Normal => {}
            Answer::Late(pause) => tokio::time::sleep(pause).await,
            Answer::Error(code) => {
                let code = S3ErrorCode::from_bytes(code.as_bytes()).expect("a code");
                return Err(S3Error::with_message(code, "the test says so"));
            }
            Answer::OtherRegion(region) => {
                let mut error = s3_error!(PermanentRedirect, "ask elsewhere");
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
