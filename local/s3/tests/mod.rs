//! Tests of the store through the SDK of AWS over a real socket.

mod buckets;
mod listings;
mod objects;
mod uploads;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use tempfile::TempDir;

use super::Store;
use crate::Keys;
use crate::listen::bind;
use crate::web::Server;

const BUCKET: &str = "a-bucket";

struct Scene {
    folder: TempDir,
    client: Client,
    _server: Server,
}

impl Scene {
    /// A store with a bucket.
    fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let store = Store::open(folder.path()).expect("a store");
        let listener = bind("S3", 0).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let keys = Keys::default();
        let server = Server::start(listener, store.service(&keys)).expect("a server");
        Scene { folder, client: client(&url, &keys), _server: server }
    }

    /// Stores an object and answers its `ETag`.
    async fn put(&self, key: &str, content: impl Into<ByteStream>) -> String {
        let put = self.client.put_object().bucket(BUCKET).key(key).body(content.into());
        put.send().await.unwrap_or_else(|error| panic!("{key}: {error:?}")).e_tag.expect("an ETag")
    }

    async fn read(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(BUCKET).key(key).send().await.expect("an object");
        got.body.collect().await.expect("its content").to_vec()
    }

    /// How many objects and uploads are staged.
    fn n_staged(&self) -> usize {
        std::fs::read_dir(self.folder.path().join(super::STAGE)).expect("a folder").count()
    }
}

fn client(url: &str, keys: &Keys) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// The code and the message of a refusal.
fn refused<T>(answer: Result<T, SdkError<impl ProvideErrorMetadata>>) -> (String, String) {
    let error = answer.err().expect("a refusal");
    (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
}

fn code<T>(answer: Result<T, SdkError<impl ProvideErrorMetadata>>) -> String {
    refused(answer).0
}
