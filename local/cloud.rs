//! The cloud: all services together, first bound and then started.

use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::kafka::Broker;
use crate::keys::Keys;
use crate::listen::bind;
use crate::s3::Store;
use crate::stocks::Stocks;
use crate::web::{Aws, Server};
use crate::{Athena, Catalogue, Glue};

/// The bucket that the stock consumer writes to.
pub const BUCKET: &str = "stock-market-local";
/// The bucket for the results of Athena.
pub const RESULTS: &str = "athena-results-local";
const REGION: &str = "us-east-1";

/// The settings of a cloud.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the objects and the catalogue; it is created if it is missing.
    pub data: PathBuf,
    /// The ports of the services.
    pub ports: Ports,
    /// The prices of the stock APIs: a CSV text with a header.
    pub prices: &'static [u8],
}

/// Ports of 127.0.0.1; 0 means a free port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The broker.
    pub kafka: u16,
    /// S3, Glue and Athena.
    pub aws: u16,
    /// The stock APIs.
    pub api: u16,
}

/// A cloud with bound ports that does not answer yet. Environment variables can be set now, before threads
/// read them.
pub struct Bound {
    data: PathBuf,
    lock: File,
    keys: Keys,
    stocks: Stocks,
    kafka: Socket,
    aws: Socket,
    api: Socket,
}

/// A running cloud.
pub struct Cloud {
    broker: Broker,
    aws: Server,
    api: Server,
    glue: Arc<Glue>,
    athena: Arc<Athena>,
    /// Keeps a second cloud out of the folder.
    _lock: File,
}

struct Socket {
    listener: TcpListener,
    address: SocketAddr,
}

impl Socket {
    fn bind(service: &str, port: u16) -> Result<Socket> {
        let listener = bind(service, port)?;
        let address = listener.local_addr().context("reading the port of a socket")?;
        Ok(Socket { listener, address })
    }
}

impl Cloud {
    /// Locks the folder and binds the ports; the error names the one in use.
    pub fn bind(settings: Settings) -> Result<Bound> {
        Ok(Bound {
            lock: lock(&settings.data)?,
            stocks: Stocks::from_csv(settings.prices)?,
            keys: Keys::default(),
            kafka: Socket::bind("Kafka", settings.ports.kafka)?,
            aws: Socket::bind("S3", settings.ports.aws)?,
            api: Socket::bind("the stock API", settings.ports.api)?,
            data: std::path::absolute(settings.data).context("finding the folder of the offline cloud")?,
        })
    }

    /// Stops all services and ends their tasks.
    pub async fn stop(self) {
        tokio::join!(self.api.stop(), self.aws.stop(), self.broker.stop());
        tokio::join!(self.glue.stop(), self.athena.stop());
    }
}

impl Bound {
    /// The address of the broker, for `bootstrap_servers`.
    pub fn kafka(&self) -> String {
        self.kafka.address.to_string()
    }

    /// The address of S3, Glue and Athena.
    pub fn aws_url(&self) -> String {
        format!("http://{}", self.aws.address)
    }

    /// The address of all prices.
    pub fn api_url(&self) -> String {
        format!("http://{}/prices", self.api.address)
    }

    /// The address of the API that answers like Alpha Vantage.
    pub fn daily_api_url(&self) -> String {
        format!("http://{}/query", self.api.address)
    }

    /// The variables for pipelines and AWS tools; they override what the user has set for another cloud.
    /// Checkpoints of this cloud are stored in its folder.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let state = self.data.join("state");
        let unset = String::new;
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka()),
            ("AWS_ENDPOINT_URL", self.aws_url()),
            ("AWS_REGION", REGION.into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", self.keys.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.keys.secret_key.clone()),
            ("STOCKS_BUCKET", BUCKET.into()),
            ("STOCKS_API", self.api_url()),
            ("STOCKS_DAILY_API", self.daily_api_url()),
            ("RUNNER_DATA_DIR", state.display().to_string()),
            ("AWS_ENDPOINT_URL_S3", self.aws_url()),
            ("AWS_ENDPOINT_URL_GLUE", self.aws_url()),
            ("AWS_ENDPOINT_URL_ATHENA", self.aws_url()),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false".into()),
            ("AWS_SESSION_TOKEN", unset()),
            ("AWS_USE_FIPS_ENDPOINT", "false".into()),
            ("AWS_USE_DUALSTACK_ENDPOINT", "false".into()),
            ("KAFKA_SECURITY_PROTOCOL", unset()),
            ("KAFKA_SASL_MECHANISM", unset()),
            ("KAFKA_SASL_USERNAME", unset()),
            ("KAFKA_SASL_PASSWORD", unset()),
            ("NO_PROXY", "127.0.0.1".into()),
            ("no_proxy", "127.0.0.1".into()),
        ]
    }

    /// Starts all services; they answer when this returns.
    pub fn start(self) -> Result<Cloud> {
        let store = Store::open(&self.data.join("s3"))?;
        for bucket in [BUCKET, RESULTS] {
            store.create_bucket(bucket)?;
        }
        let catalogue = Catalogue::open(&self.data)?;
        let glue = Arc::new(Glue::start(Arc::clone(&catalogue), store.root().to_owned()));
        let athena = Arc::new(Athena::start(catalogue, store.root().to_owned(), format!("s3://{RESULTS}/")));
        let aws = Aws { s3: store.service(&self.keys), glue: glue.clone(), athena: athena.clone() };
        Ok(Cloud {
            broker: Broker::start(self.kafka.listener)?,
            aws: Server::start(self.aws.listener, aws)?,
            api: Server::start(self.api.listener, self.stocks)?,
            glue,
            athena,
            _lock: self.lock,
        })
    }
}

/// Creates the folder of a cloud and locks it.
fn lock(folder: &Path) -> Result<File> {
    let what = || format!("the offline cloud cannot keep its data in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(what)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"));
    let file = file.with_context(what)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another offline cloud keeps its data in {}: stop it, or name another folder",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(what),
    }
}
