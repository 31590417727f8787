//! The cloud: all services together, bound first and started afterwards.

use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde_json::Value;

use crate::kafka::Broker;
use crate::keys::Keys;
use crate::listen::bind;
use crate::s3::Store;
use crate::stocks::Stocks;
use crate::web::{Aws, Json, Server, plain};
use crate::{Athena, AthenaSettings, Catalogue, Fault, Glue};

/// The bucket that the stock consumer writes to.
pub const BUCKET: &str = "stock-market-local";
/// The bucket that Athena writes its rows to.
pub const RESULTS: &str = "athena-results-local";
const REGION: &str = "us-east-1";

/// Where everything lies and listens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the objects and the catalogue; it is made if it is missing.
    pub data: PathBuf,
    /// Where the services listen.
    pub ports: Ports,
    /// What the stock API answers with: a CSV text with a header.
    pub prices: &'static [u8],
}

/// Ports of 127.0.0.1; 0 is a free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Of the broker.
    pub kafka: u16,
    /// Of S3, Glue and Athena.
    pub aws: u16,
    /// Of the stock API.
    pub api: u16,
}

/// A cloud whose ports are known and held, and where nobody answers yet: the moment
/// to set variables, before there are threads that read them.
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
    services: Arc<Services>,
    /// No other cloud may keep its objects in the same folder meanwhile.
    _lock: File,
}

/// The services that speak JSON.
struct Services {
    glue: Glue,
    athena: Athena,
}

#[async_trait]
impl Json for Services {
    async fn call(&self, target: &str, input: Value) -> Result<Value, Fault> {
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

struct Socket {
    listener: TcpListener,
    address: SocketAddr,
}

impl Socket {
    fn bind(service: &str, port: u16) -> Result<Socket> {
        let listener = bind(service, port)?;
        let address = listener.local_addr().context("asking a socket for its port")?;
        Ok(Socket { listener, address })
    }
}

impl Cloud {
    /// Takes the folder and the ports, or says which one is taken.
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

    /// Ends every service; no task of theirs is left.
    pub async fn stop(self) {
        tokio::join!(self.api.stop(), self.aws.stop(), self.broker.stop());
        tokio::join!(self.services.glue.stop(), self.services.athena.stop());
    }
}

impl Bound {
    /// Where the broker is, for `bootstrap_servers`.
    pub fn kafka(&self) -> String {
        self.kafka.address.to_string()
    }

    /// Where S3, Glue and Athena are.
    pub fn aws_url(&self) -> String {
        format!("http://{}", self.aws.address)
    }

    /// An address that answers with all prices.
    pub fn api_url(&self) -> String {
        format!("http://{}/prices", self.api.address)
    }

    /// The variables that point pipelines and every AWS tool at this cloud, and away from any other
    /// that the user has set; what pipelines remember of it lies beside its data.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let state = self.data.join("state");
        let none = String::new;
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.kafka()),
            ("AWS_ENDPOINT_URL", self.aws_url()),
            ("AWS_REGION", REGION.into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", self.keys.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.keys.secret_key.clone()),
            ("STOCKS_BUCKET", BUCKET.into()),
            ("STOCKS_API", self.api_url()),
            ("RUNNER_DATA_DIR", state.display().to_string()),
            ("AWS_ENDPOINT_URL_S3", self.aws_url()),
            ("AWS_ENDPOINT_URL_GLUE", self.aws_url()),
            ("AWS_ENDPOINT_URL_ATHENA", self.aws_url()),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false".into()),
            ("AWS_SESSION_TOKEN", none()),
            ("AWS_USE_FIPS_ENDPOINT", "false".into()),
            ("AWS_USE_DUALSTACK_ENDPOINT", "false".into()),
            ("KAFKA_SECURITY_PROTOCOL", none()),
            ("KAFKA_SASL_MECHANISM", none()),
            ("KAFKA_SASL_USERNAME", none()),
            ("KAFKA_SASL_PASSWORD", none()),
            ("NO_PROXY", "127.0.0.1".into()),
            ("no_proxy", "127.0.0.1".into()),
        ]
    }

    /// Starts every service; all of them answer when this returns.
    pub async fn start(self) -> Result<Cloud> {
        let store = Store::open(&self.data.join("s3"))?;
        for bucket in [BUCKET, RESULTS] {
            store.create_bucket(bucket)?;
        }
        let catalogue = Catalogue::open(Some(&self.data))?;
        let settings = AthenaSettings { output_location: Some(format!("s3://{RESULTS}/")) };
        let services = Arc::new(Services {
            glue: Glue::start(Arc::clone(&catalogue), store.root().to_owned()),
            athena: Athena::start(catalogue, store.root().to_owned(), settings),
        });
        let json: Arc<dyn Json> = Arc::clone(&services) as _;
        let aws = Aws::new(store.service(&self.keys), json, self.keys);
        let stocks = self.stocks;
        Ok(Cloud {
            broker: Broker::start(self.kafka.listener).await?,
            aws: Server::start(self.aws.listener, aws)?,
            api: Server::start(self.api.listener, plain(move |uri| stocks.answer(uri)))?,
            services,
            _lock: self.lock,
        })
    }
}

/// Makes the folder of a cloud, and holds it against a second one.
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
