//! Brokers to measure: how each is started on a free port of the loopback with nothing but its defaults, and ended.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::raw::{Failure, Outcome};

/// How long a broker may take to accept connections.
const START: Duration = Duration::from_secs(10);

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours: `DUNLIN_BIN`, else the program beside this one.
    Dunlin,
    /// mosquitto from the PATH: anonymous, nothing persisted, its defaults otherwise (so 20 messages in flight to a
    /// subscriber and 1,000 queued).
    Mosquitto,
}

impl Kind {
    /// The kind of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Outcome<Self> {
        match name {
            "dunlin" => Ok(Self::Dunlin),
            "mosquitto" => Ok(Self::Mosquitto),
            _ => Err(Failure::new(format!(
                "no broker is named {name}: dunlin, mosquitto"
            ))),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dunlin => "dunlin",
            Self::Mosquitto => "mosquitto",
        }
    }
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// Its kind.
    pub kind: Kind,
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Broker {
    /// Starts one and waits until it accepts connections.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(kind: Kind) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        // Free at this moment; nobody else on this machine takes ports at random in between, or the start fails.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = match kind {
            Kind::Dunlin => dunlin(directory.path(), address)?,
            Kind::Mosquitto => mosquitto(directory.path(), address)?,
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command
            .stderr(fs::File::create(directory.path().join("log"))?)
            .spawn()
            .map_err(|error| Failure::new(format!("{command:?}: {error}")))?;
        let mut broker = Self {
            kind,
            child,
            address,
            _directory: directory,
        };
        broker.wait_until_open()?;
        Ok(broker)
    }

    /// Starts one of each of these.
    ///
    /// # Errors
    /// When one can't be started.
    pub fn start_all(kinds: &[Kind]) -> Outcome<Vec<Self>> {
        kinds.iter().map(|kind| Self::start(*kind)).collect()
    }

    fn wait_until_open(&mut self) -> Outcome {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let name = self.kind.name();
                return Err(Failure::new(format!(
                    "{name} doesn't listen (its status: {ended:?})"
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It holds nothing that has to be saved.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn dunlin(directory: &Path, address: SocketAddr) -> Outcome<Command> {
    let path = match std::env::var_os("DUNLIN_BIN") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("dunlin"),
    };
    if !path.is_file() {
        return Err(Failure::new(format!(
            "{} isn't there: cargo build --release -p dunlin",
            path.display()
        )));
    }
    let mut command = Command::new(path);
    command.args(["serve", "--listen", &address.to_string(), "--data-dir"]);
    command.arg(directory.join("data"));
    Ok(command)
}

fn mosquitto(directory: &Path, address: SocketAddr) -> Outcome<Command> {
    let path = directory.join("mosquitto.conf");
    let (ip, port) = (address.ip(), address.port());
    fs::write(
        &path,
        format!("listener {port} {ip}\nallow_anonymous true\npersistence false\nlog_type error\n"),
    )?;
    // Debian keeps it where only root's PATH leads.
    let installed = Path::new("/usr/sbin/mosquitto");
    let program = if installed.is_file() {
        installed
    } else {
        Path::new("mosquitto")
    };
    let mut command = Command::new(program);
    command.arg("-c").arg(path);
    Ok(command)
}
