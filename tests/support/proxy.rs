//! A proxy between the runner and a server, which spoils connections on demand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What all connections are like, until it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything goes through.
    Fair,
    /// Connections are cut as soon as they come, and those that are there at once.
    Refusing,
    /// Connections stay, and nothing goes through.
    Silent,
    /// So many bytes a second go through, each way of each connection.
    Trickle(usize),
}

/// What befalls a single request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Half of it goes through, then the connection is cut.
    CutRequest,
    /// It goes through; instead of the answer the connection is cut.
    DropAnswer,
}

/// Faults that are yet to happen.
#[derive(Clone, Copy, Debug)]
struct Strike {
    fault: Fault,
    larger_than: usize,
    n_left: usize,
}

/// A running proxy; it ends, and its connections with it, when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    weather: watch::Sender<Weather>,
    strike: Mutex<Option<Strike>>,
    n_struck: AtomicUsize,
}

impl Proxy {
    /// A proxy that leads nowhere yet: a Kafka broker has to know its address first.
    pub fn start() -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            target: Mutex::default(),
            weather: watch::Sender::new(Weather::Fair),
            strike: Mutex::default(),
            n_struck: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.connect(client).await });
            }
        });
        Proxy { address, shared, _runtime: runtime }
    }

    /// A proxy in front of `target`, an address with or without `http://`.
    pub fn to(target: &str) -> Proxy {
        let proxy = Proxy::start();
        proxy.lead_to(target);
        proxy
    }

    pub fn lead_to(&self, target: &str) {
        let target = target.trim_start_matches("http://").parse().expect("an address");
        *lock(&self.shared.target) = Some(target);
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// The fault befalls the next `n_times` requests with more bytes than `larger_than`.
    pub fn strike(&self, fault: Fault, larger_than: usize, n_times: usize) {
        *lock(&self.shared.strike) = Some(Strike { fault, larger_than, n_left: n_times });
    }

    /// How many faults have happened.
    pub fn n_struck(&self) -> usize {
        self.shared.n_struck.load(Ordering::Relaxed)
    }
}

/// Why a connection ends.
struct Cut;

impl Shared {
    async fn connect(&self, client: TcpStream) {
        let target = *lock(&self.target);
        let Some(target) = target else { return };
        if *self.weather.borrow() == Weather::Refusing {
            return;
        }
        let Ok(server) = TcpStream::connect(target).await else { return };
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let is_doomed = AtomicBool::new(false);
        let mut weather = self.weather.subscribe();
        tokio::select! {
            _ = self.pass(client_reads, server_writes, |bytes| self.befalls(bytes, &is_doomed)) => {}
            _ = self.pass(server_reads, client_writes, |bytes| {
                if is_doomed.load(Ordering::Relaxed) { 0 } else { bytes.len() }
            }) => {}
            _ = weather.wait_for(|weather| *weather == Weather::Refusing) => {}
        }
    }

    /// How much of a request goes through; less than all of it, and the connection is cut.
    fn befalls(&self, request: &[u8], is_doomed: &AtomicBool) -> usize {
        let mut strike = lock(&self.strike);
        let Some(Strike { fault, n_left, .. }) =
            strike.as_mut().filter(|it| it.n_left > 0 && request.len() > it.larger_than)
        else {
            return request.len();
        };
        *n_left -= 1;
        self.n_struck.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::CutRequest => request.len() / 2,
            Fault::DropAnswer => {
                is_doomed.store(true, Ordering::Relaxed);
                request.len()
            }
        }
    }

    /// Passes on what comes, as far as `let_through` says.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        let_through: impl Fn(&[u8]) -> usize,
    ) -> Result<(), Cut> {
        let mut weather = self.weather.subscribe();
        let mut bytes = vec![0; 1 << 16];
        loop {
            let n = from.read(&mut bytes).await.map_err(|_| Cut)?;
            if n == 0 {
                return Ok(());
            }
            let n_through = let_through(&bytes[..n]);
            let mut rest = &bytes[..n_through];
            while !rest.is_empty() {
                let now = *weather.wait_for(|weather| *weather != Weather::Silent).await.map_err(|_| Cut)?;
                let Weather::Trickle(rate) = now else {
                    to.write_all(rest).await.map_err(|_| Cut)?;
                    break;
                };
                let (first, later) = rest.split_at(rest.len().min((rate / 20).max(1)));
                to.write_all(first).await.map_err(|_| Cut)?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                rest = later;
            }
            if n_through < n {
                return Err(Cut);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
