//! Starts the real broker as a process of its own, on a free port and an empty data directory.
//!
//! The binary is the one named by `DUNLIN_BIN`, else the one cargo puts beside the test executables; when that is
//! missing or older than its sources, `cargo build -p dunlin` makes it. The process is ended by its id when the
//! value is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use crate::raw::{Failure, Outcome};

/// How long the broker may take to say where it listens.
const START: Duration = Duration::from_secs(10);
/// How long it may take to leave after SIGTERM before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// The file beside its data that takes its standard error.
const LOG: &str = "log";

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Broker {
    /// A broker with the defaults.
    ///
    /// # Errors
    /// When it can't be built or started, or doesn't say where it listens.
    pub fn start() -> Outcome<Self> {
        Self::launch(None)
    }

    /// A broker with this configuration file.
    ///
    /// # Errors
    /// As for [`Broker::start`].
    pub fn start_with(config: &str) -> Outcome<Self> {
        Self::launch(Some(config))
    }

    fn launch(config: Option<&str>) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(binary()?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path().join("data"));
        if let Some(config) = config {
            let path = directory.path().join("dunlin.toml");
            std::fs::write(&path, config)?;
            command.arg("--config").arg(path);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.path().join(LOG))?);
        let mut child = command.spawn()?;
        let Some(stdout) = child.stdout.take() else {
            return Err(Failure::new("the broker has no standard output"));
        };
        let (sender, receiver) = mpsc::channel();
        // The reader lives as long as the broker: a full pipe would stall it.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = listening(&line)
                    && sender.send(address).is_err()
                {
                    // Nobody waits for another address after the first.
                }
            }
        });
        let Ok(address) = receiver.recv_timeout(START) else {
            let status = child.try_wait()?;
            drop(child.kill());
            drop(child.wait());
            return Err(Failure::new(format!(
                "the broker didn't say where it listens (its status: {status:?})"
            )));
        };
        Ok(Self {
            child,
            address,
            directory,
        })
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

    /// What it has logged so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> Outcome<String> {
        let bytes = std::fs::read(self.directory.path().join(LOG))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Asks it to stop (SIGTERM) and waits; false when it had to be killed.
    ///
    /// # Errors
    /// When the process can't be waited for.
    pub fn stop(&mut self) -> Outcome<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        // std has no signals; `kill` is on every machine these tests run on.
        Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.stop().is_err() {
            drop(self.child.kill());
        }
    }
}

/// The address in a line like `listening on mqtt://127.0.0.1:1883`, wherever in the line it stands.
fn listening(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("listening on mqtt://")?.1;
    let end = rest
        .find(|char: char| !char.is_ascii_hexdigit() && !".:[]".contains(char))
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn binary() -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os("DUNLIN_BIN") {
        return Ok(path.into());
    }
    let executable = std::env::current_exe()?;
    let Some(profile) = executable.parent().and_then(Path::parent) else {
        return Err(Failure::new(format!(
            "{} isn't in a target directory",
            executable.display()
        )));
    };
    let path = profile.join("dunlin");
    static BUILDING: Mutex<()> = Mutex::new(());
    // A poisoned lock only says that another test failed to build; this one tries again.
    let _building = BUILDING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let built = path
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok();
    if built.is_none_or(|built| newest_source() > built) {
        build(profile)?;
    }
    Ok(path)
}

/// When the sources that make the binary last changed.
fn newest_source() -> SystemTime {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<PathBuf> = ["codec", "engine", "broker", "edge-client"]
        .iter()
        .map(|name| root.join(name).join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
                newest = newest.max(modified);
            }
        }
    }
    newest
}

fn build(profile: &Path) -> Outcome {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.args(["build", "--package", "dunlin"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "cargo build --package dunlin: {status}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn finds_the_address_anywhere_in_a_line() {
        let expected = "127.0.0.1:1883".parse().ok();
        assert_eq!(listening("listening on mqtt://127.0.0.1:1883"), expected);
        assert_eq!(
            listening("INFO dunlin: listening on mqtt://127.0.0.1:1883, try: dunlin sub"),
            expected
        );
        assert_eq!(
            listening("listening on mqtt://[::1]:5"),
            "[::1]:5".parse().ok()
        );
        assert_eq!(listening("starting"), None);
    }
}
