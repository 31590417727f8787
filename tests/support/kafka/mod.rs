//! Apache Kafka on this machine.

mod jars;
mod reading;
mod server;
mod topics;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jars::Jars;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
#[allow(unused_imports, reason = "the benchmarks take only some")]
pub use reading::Reading;
use server::Server;
pub use server::free_ports;
pub use topics::StoredRecord;

use super::proxy::Proxy;

/// The version that the guarantees are tested against.
const KAFKA: &str = "4.3.1";
/// The last version that runs with ZooKeeper.
const ZOOKEEPER_ERA: &str = "3.9.1";

/// A broker, and its data folder.
pub struct Broker {
    bootstrap: String,
    second: Option<String>,
    own: Option<OwnServer>,
}

/// The processes and files of a broker that the tests started.
struct OwnServer {
    // Dropped in this order: the servers exit before their folder is removed.
    broker: Mutex<Option<Server>>,
    zookeeper: Option<Server>,
    jars: Jars,
    folder: tempfile::TempDir,
}

impl Broker {
    /// The broker that the tests of this process share: the one that
    /// `KAFKA_BOOTSTRAP_SERVERS` names, else a new one. Use unique topics and
    /// groups.
    pub fn shared() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        let given = std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok().filter(|servers| !servers.is_empty());
        SHARED.get_or_init(|| match given {
            Some(bootstrap) => Broker { bootstrap, second: None, own: None },
            None => Broker::start(),
        })
    }

    /// The embedded broker of the offline cloud, in this process; all tests share it.
    pub fn embedded() -> &'static Broker {
        static EMBEDDED: OnceLock<Broker> = OnceLock::new();
        EMBEDDED.get_or_init(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.set_nonblocking(true).expect("a socket of tokio's");
            let bootstrap = listener.local_addr().expect("a bound socket").to_string();
            let (started, waits) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
                    let broker = runner_local::Broker::start(listener);
                    started.send(broker.is_ok()).expect("the receiver exists");
                    let _broker = broker;
                    std::future::pending::<()>().await;
                });
            });
            assert_eq!(waits.recv(), Ok(true), "the embedded broker has not started");
            Broker { bootstrap, second: None, own: None }
        })
    }

    /// A broker for one test, which may stop or break it.
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// A broker for one test with more settings. In a value
    /// `{port}` is replaced by the port of the broker, `{controller}` by that of
    /// its controller and `{second}` by another free port.
    pub fn start_with(settings: &[(&str, &str)]) -> Broker {
        started(|| Broker::start_kraft(&Jars::fetch(KAFKA), settings))
    }

    /// A broker for one test that its clients reach through a proxy; the test itself connects directly.
    pub fn start_with_proxy(proxy: &Proxy) -> Broker {
        let listeners =
            "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{second}";
        let advertised = format!("PLAINTEXT://127.0.0.1:{{port}},PROXIED://{}", proxy.address());
        let protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT";
        let broker = Broker::start_with(&[
            ("listeners", listeners),
            ("advertised.listeners", &advertised),
            ("listener.security.protocol.map", protocols),
        ]);
        proxy.set_target(broker.second_address());
        broker
    }

    /// Kafka 3.9 with ZooKeeper and
    /// 256 MiB of heap.
    pub fn start_zookeeper_era() -> Broker {
        started(|| Broker::start_zookeeper(&Jars::fetch(ZOOKEEPER_ERA)))
    }

    /// The value for `bootstrap_servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The address of `{second}` in the settings of `start_with`.
    pub fn second_address(&self) -> &str {
        self.second.as_deref().expect("a broker with settings of its own")
    }

    /// Stops the broker gracefully and keeps its data.
    pub fn stop(&self) {
        self.own().end("TERM");
    }

    /// Kills the broker and keeps its data.
    pub fn kill(&self) {
        self.own().end("KILL");
    }

    /// Starts the broker again with the same address and data.
    pub fn restart(&self) {
        self.own().start();
        assert!(self.is_ready(), "the broker has not come back:\n{}", self.log());
    }

    fn own(&self) -> &OwnServer {
        self.own.as_ref().expect("the tests do not stop the broker that KAFKA_BOOTSTRAP_SERVERS names")
    }

    fn start_kraft(jars: &Jars, settings: &[(&str, &str)]) -> Broker {
        let folder = tempfile::tempdir().expect("a folder for the broker");
        let [port, controller, second] = free_ports();
        let mut file = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n"
        );
        file += &common_settings(folder.path());
        for (name, value) in settings {
            // Of two lines with the same name the last one counts.
            let value = value.replace("{port}", &port.to_string());
            let value = value.replace("{controller}", &controller.to_string());
            file += &format!("{name}={}\n", value.replace("{second}", &second.to_string()));
        }
        fs::write(folder.path().join("server.properties"), file).expect("writing the broker's settings");
        let mut format = jars.java();
        let formatted = format
            .args(["-Xmx128M", "kafka.tools.StorageTool", "format", "--standalone"])
            .args(["-t", "cnVubmVyLXRlc3RzLWthZg", "-c"])
            .arg(folder.path().join("server.properties"))
            .output()
            .expect("starting Java");
        let stderr = String::from_utf8_lossy(&formatted.stderr);
        assert!(formatted.status.success(), "formatting the broker's storage failed:\n{stderr}");
        let own = OwnServer { broker: Mutex::default(), zookeeper: None, jars: jars.clone(), folder };
        Broker { second: Some(format!("127.0.0.1:{second}")), ..Broker::run(port, own) }
    }

    fn start_zookeeper(jars: &Jars) -> Broker {
        let folder = tempfile::tempdir().expect("a folder for the broker");
        let [port, zookeeper] = free_ports();
        let file = format!(
            "dataDir={}\nclientPort={zookeeper}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
            folder.path().join("zookeeper").display()
        );
        fs::write(folder.path().join("zookeeper.properties"), file).expect("writing ZooKeeper's settings");
        let file = format!(
            "broker.id=1\nzookeeper.connect=127.0.0.1:{zookeeper}\n\
             listeners=PLAINTEXT://127.0.0.1:{port}\n{}",
            common_settings(folder.path())
        );
        fs::write(folder.path().join("server.properties"), file).expect("writing the broker's settings");
        let mut java = jars.java();
        java.args(["-Xmx128M", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(folder.path().join("zookeeper.properties"));
        let zookeeper = Some(Server::start("zookeeper", folder.path(), &java));
        Broker::run(port, OwnServer { broker: Mutex::default(), zookeeper, jars: jars.clone(), folder })
    }

    fn run(port: u16, own: OwnServer) -> Broker {
        own.start();
        Broker { bootstrap: format!("127.0.0.1:{port}"), second: None, own: Some(own) }
    }

    /// Waits until the broker responds; false if it does not.
    fn is_ready(&self) -> bool {
        let client: BaseConsumer = self.client().create().expect("a client");
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let metadata = client.fetch_metadata(None, Duration::from_millis(200));
            if metadata.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
                return true;
            }
            let log = self.log();
            if log.contains("Address already in use") || log.contains("Exiting Kafka due to fatal") {
                return false;
            }
        }
        false
    }

    /// The last lines of the broker's log.
    pub fn log(&self) -> String {
        self.own.as_ref().map(|own| server::log("broker", own.folder.path())).unwrap_or_default()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("reconnect.backoff.ms", "20");
        config.set("reconnect.backoff.max.ms", "100");
        config
    }
}

impl OwnServer {
    fn start(&self) {
        let mut java = self.jars.java();
        java.args(["-Xmx256M", "-Xms128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-XX:+ExitOnOutOfMemoryError")
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka"])
            .arg(self.folder.path().join("server.properties"));
        let server = Server::start("broker", self.folder.path(), &java);
        *self.broker.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    fn end(&self, signal: &str) {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        broker.as_mut().expect("a running broker").end(signal);
    }
}

/// The buffer of the log cleaner is half of the broker's heap by default.
fn common_settings(folder: &Path) -> String {
    format!(
        "log.dirs={}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
          transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n\
          group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\n\
          log.cleaner.dedupe.buffer.size=4194304\n",
        folder.join("data").display()
    )
}

/// One of Kafka's own command line programs.
pub fn tool(class: &str) -> std::process::Command {
    let mut java = Jars::fetch_tools(KAFKA).java();
    java.args(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", class]);
    java
}

/// Tries again if another process took the port.
fn started(start: impl Fn() -> Broker) -> Broker {
    for _ in 0..3 {
        let broker = start();
        if broker.is_ready() {
            return broker;
        }
        let log = broker.log();
        assert!(log.contains("Address already in use"), "the broker has not come up:\n{log}");
    }
    panic!("no free port for the broker after three tries")
}
