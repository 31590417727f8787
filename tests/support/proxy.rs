//! A proxy between the runner and a server that injects network faults.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The state of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everything passes.
    Normal,
    /// New and existing connections are cut.
    Refusing,
    /// Connections stay open, and nothing passes.
    Unresponsive,
    /// So many bytes per second pass, in each direction of each connection.
    Slow(usize),
}

/// A fault of a single request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Half of the request passes, then the connection is cut.
    CutRequest,
    /// The request passes, and the connection is cut before the response.
    DropResponse,
}

/// Faults that are still to be injected.
#[derive(Clone, Copy, Debug)]
struct PendingFaults {
    fault: Fault,
    larger_than: usize,
    n_left: usize,
}

/// A running proxy; it stops and closes its connections when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    network: watch::Sender<Network>,
    pending: Mutex<Option<PendingFaults>>,
    n_injected: AtomicUsize,
}

impl Proxy {
    /// A proxy without a target: a Kafka broker needs the address of the proxy first.
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
            network: watch::Sender::new(Network::Normal),
            pending: Mutex::default(),
            n_injected: AtomicUsize::new(0),
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

    /// A proxy for `target`, an address with or without `http://`.
    pub fn to(target: &str) -> Proxy {
        let proxy = Proxy::start();
        proxy.set_target(target);
        proxy
    }

    pub fn set_target(&self, target: &str) {
        let target = target.trim_start_matches("http://").parse().expect("an address");
        *lock(&self.shared.target) = Some(target);
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Injects the fault into the next `n_requests` requests of more than `larger_than` bytes.
    pub fn inject_faults(&self, fault: Fault, larger_than: usize, n_requests: usize) {
        *lock(&self.shared.pending) = Some(PendingFaults { fault, larger_than, n_left: n_requests });
    }

    /// The number of injected faults.
    pub fn n_injected(&self) -> usize {
        self.shared.n_injected.load(Ordering::Relaxed)
    }
}

/// Why a connection ends.
struct Cut;

impl Shared {
    async fn connect(&self, client: TcpStream) {
        let target = *lock(&self.target);
        let Some(target) = target else { return };
        if *self.network.borrow() == Network::Refusing {
            return;
        }
        let Ok(server) = TcpStream::connect(target).await else { return };
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let cuts_response = AtomicBool::new(false);
        let mut network = self.network.subscribe();
        tokio::select! {
            _ = self.pass(client_reads, server_writes, |bytes| self.apply_fault(bytes, &cuts_response)) => {}
            _ = self.pass(server_reads, client_writes, |bytes| {
                if cuts_response.load(Ordering::Relaxed) { 0 } else { bytes.len() }
            }) => {}
            _ = network.wait_for(|network| *network == Network::Refusing) => {}
        }
    }

    /// The number of bytes of a request that pass; if that is not all, the connection is cut.
    fn apply_fault(&self, request: &[u8], cuts_response: &AtomicBool) -> usize {
        let mut pending = lock(&self.pending);
        let Some(PendingFaults { fault, n_left, .. }) =
            pending.as_mut().filter(|it| it.n_left > 0 && request.len() > it.larger_than)
        else {
            return request.len();
        };
        *n_left -= 1;
        self.n_injected.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::CutRequest => request.len() / 2,
            Fault::DropResponse => {
                cuts_response.store(true, Ordering::Relaxed);
                request.len()
            }
        }
    }

    /// Forwards bytes as far as `let_through` allows.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        let_through: impl Fn(&[u8]) -> usize,
    ) -> Result<(), Cut> {
        let mut network = self.network.subscribe();
        let mut bytes = vec![0; 1 << 16];
        loop {
            let n = from.read(&mut bytes).await.map_err(|_| Cut)?;
            if n == 0 {
                return Ok(());
            }
            let n_through = let_through(&bytes[..n]);
            let mut rest = &bytes[..n_through];
            while !rest.is_empty() {
                let now =
                    *network.wait_for(|network| *network != Network::Unresponsive).await.map_err(|_| Cut)?;
                let Network::Slow(rate) = now else {
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
