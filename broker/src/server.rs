//! The running broker: from a checked configuration to listening sockets, and down again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dunlin_engine::hub::Hub;
use dunlin_engine::journal::{Journal, MemoryLog, Watermark};
use dunlin_engine::routing::AllowAll;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::listener::{Door, tcp};
use crate::log_limit::LogLimit;
use crate::registry::Registry;
use crate::reload::Reloader;
use crate::timers::Timers;

/// How long connections may take to end when the broker stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What all connections have in common.
#[derive(Debug)]
pub struct Shared {
    /// The rules and their state.
    pub hub: Hub,
    /// The time.
    pub clock: Clock,
    /// Deadlines of connections.
    pub timers: Timers,
    /// Connections.
    pub registry: Arc<Registry>,
    /// For log events that strangers can cause.
    pub log_limit: LogLimit,
    seed: u64,
    ids: AtomicU64,
}

impl Shared {
    /// Sixteen bytes that never come again in this process and can't be guessed outside it.
    #[must_use]
    pub fn random_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        // Should the system have no randomness to give, a counter still keeps them apart.
        if getrandom::fill(&mut id).is_err() {
            let counter = self.ids.fetch_add(1, Ordering::Relaxed);
            let (high, low) = id.split_at_mut(8);
            high.copy_from_slice(&self.seed.to_be_bytes());
            low.copy_from_slice(&counter.to_be_bytes());
        }
        id
    }
}

/// Why the broker can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address can't be listened on.
    #[error("can't listen on {address}: {error}{}", hint(*.address, .error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Signals can't be received.
    #[error("can't receive signals: {0}")]
    Signals(io::Error),
}

fn hint(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other =
                SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(1883));
            format!(
                "\nanother program, perhaps another broker, listens there: stop it, or use --listen {other}"
            )
        }
        io::ErrorKind::PermissionDenied => {
            "\nports below 1024 need the right to bind them: use a higher port with --listen".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "\nthis machine has no such address: see `ip address`".into()
        }
        _ => String::new(),
    }
}

/// Runs the broker until SIGTERM or SIGINT. `ready` is called with the addresses once connections
/// are accepted.
///
/// # Errors
/// When it can't start; nothing is left running then.
pub async fn run(
    config: Config,
    reloader: Reloader,
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::Signals)?;
    let shared = Arc::new(start_shared(&config)?);
    let mut addresses = Vec::new();
    let mut doors: Vec<(TcpListener, Arc<Door>)> = Vec::new();
    for listener in &config.listeners {
        let failed = |error| Error::Listen {
            address: listener.address,
            error,
        };
        let socket = tcp::bind(listener.address).map_err(failed)?;
        addresses.push(socket.local_addr().map_err(failed)?);
        doors.push((socket, Arc::new(Door::new(listener, &config))));
    }
    raise_open_files();
    let mut tasks = JoinSet::new();
    for (socket, door) in doors {
        tasks.spawn(tcp::serve(socket, door, Arc::clone(&shared)));
    }
    let timed = Arc::clone(&shared);
    tasks.spawn(async move { timed.timers.run(&timed.clock, &timed.hub).await });
    let reported = Arc::clone(&shared);
    tasks.spawn(async move { crate::drop_report::run(reported.hub.drops()).await });
    ready(&addresses);
    serve_signals(&mut signals, config, &reloader, &shared).await;
    stop(tasks, &shared).await;
    Ok(())
}

pub(crate) fn start_shared(config: &Config) -> Result<Shared, Error> {
    let seed = getrandom::u64()?;
    let watermark = Arc::new(Watermark::default());
    // This version has no durable store: what is acknowledged is safe in this process's memory.
    let log = MemoryLog::volatile(Arc::clone(&watermark));
    let journal = Journal::new(Box::new(log), watermark);
    Ok(Shared {
        hub: Hub::new(config.limits.clone(), journal, Arc::new(AllowAll), seed),
        clock: Clock::start(),
        timers: Timers::default(),
        registry: Arc::new(Registry::default()),
        log_limit: LogLimit::default(),
        seed,
        ids: AtomicU64::new(0),
    })
}

/// The signals that the broker obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Reloads on SIGHUP; returns on SIGTERM and SIGINT.
async fn serve_signals(
    signals: &mut Signals,
    mut config: Config,
    reloader: &Reloader,
    shared: &Shared,
) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hang_up.recv() => {
                if let Some(reloaded) = reloader.reload(&config) {
                    shared.hub.set_limits(reloaded.limits.clone());
                    config = reloaded;
                }
            }
        }
    }
}

/// Stops accepting, tells every client, waits for them to be told.
async fn stop(mut tasks: JoinSet<()>, shared: &Shared) {
    tasks.shutdown().await;
    let connections = shared.registry.len();
    tracing::info!(connections, "stopping");
    shared.registry.stop();
    if tokio::time::timeout(DRAIN, shared.registry.wait_until_empty())
        .await
        .is_err()
    {
        let connections = shared.registry.len();
        tracing::warn!(connections, "stopped without the answer of some clients");
    }
}

/// Lets the process have as many open files as the system allows it: one per connection.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = ?limit.current, "the number of open files stays as it is");
    }
}
