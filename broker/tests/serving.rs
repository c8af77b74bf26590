//! The real program serving: what it prints when it starts, what it refuses to start on, how it
//! reloads and stops. What it says to clients is tested elsewhere.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How long the program may take to end.
const STOP: Duration = Duration::from_secs(10);

/// A running program; killed when dropped.
struct Broker {
    child: Child,
    out: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
}

impl Broker {
    /// Starts it with its data below `home`.
    fn start(home: &Path, arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dunlin"))
            .args(arguments)
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let log = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        Ok(Self { child, out, log })
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(line)
    }

    /// The address of the next start-up line, which must be one of an address.
    fn address(&mut self) -> Outcome<SocketAddr> {
        let line = self.line()?;
        let address = line
            .strip_prefix("listening on mqtt://")
            .ok_or_else(|| format!("{line:?}"))?;
        Ok(address.trim_end().parse()?)
    }

    /// Reads the log up to a line that contains `text`.
    fn logged(&mut self, text: &str) -> Outcome<String> {
        let mut line = String::new();
        while self.log.read_line(&mut line)? != 0 {
            if line.contains(text) {
                return Ok(line);
            }
            line.clear();
        }
        Err(format!("the log ended without {text:?}").into())
    }

    fn signal(&self, signal: &str) -> Outcome {
        // std has no signals.
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err("the signal wasn't sent".into())
        }
    }

    /// Waits for the end: the status and the rest of standard error.
    fn end(mut self) -> Outcome<(ExitStatus, String)> {
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let mut rest = String::new();
                self.log.read_to_string(&mut rest)?;
                return Ok((status, rest));
            }
            if Instant::now() > deadline {
                return Err("it didn't end".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Code and standard error of a start that must fail.
fn refused(home: &Path, arguments: &[&str]) -> Outcome<(Option<i32>, String)> {
    let mut broker = Broker::start(home, arguments)?;
    let line = broker.line()?;
    if !line.is_empty() {
        return Err(format!("it said {line:?}").into());
    }
    let (status, errors) = broker.end()?;
    Ok((status.code(), errors))
}

/// The last line, which is the program's own word after the log.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[test]
fn it_says_where_it_listens_how_to_try_it_and_stops_when_asked_to() -> Outcome {
    for command in [&[][..], &["serve"]] {
        let home = tempfile::tempdir()?;
        let listen = ["--listen", "127.0.0.1:0", "--listen", "mqtt://127.0.0.1:0"];
        let mut broker = Broker::start(home.path(), &[command, &listen].concat())?;
        let [first, second] = [broker.address()?, broker.address()?];
        assert_ne!(first, second);
        assert_ne!(first.port(), 0);
        assert_eq!(broker.line()?, "try it, in two other terminals:\n");
        let program = env!("CARGO_BIN_EXE_dunlin");
        assert_eq!(
            broker.line()?,
            format!("  {program} sub -p {} -v -t 'greetings/#'\n", first.port())
        );
        assert_eq!(
            broker.line()?,
            format!(
                "  {program} pub -p {} -t greetings/first -m hello\n",
                first.port()
            )
        );
        for address in [first, second] {
            TcpStream::connect(address)?;
        }
        assert!(
            home.path()
                .join(".local/state/dunlin/dunlin.lock")
                .is_file()
        );
        broker.signal("-TERM")?;
        let (status, _) = broker.end()?;
        assert_eq!(status.code(), Some(0));
    }
    Ok(())
}

#[test]
fn two_brokers_do_not_share_a_data_directory() -> Outcome {
    let home = tempfile::tempdir()?;
    let listen = ["--listen", "127.0.0.1:0"];
    let mut first = Broker::start(home.path(), &listen)?;
    first.address()?;
    let (code, errors) = refused(home.path(), &listen)?;
    let expected = format!(
        "dunlin: the data directory {} is in use by another dunlin (process {}); stop that one, or give \
         this one a directory of its own with --data-dir",
        home.path().join(".local/state/dunlin").display(),
        first.child.id()
    );
    assert_eq!((code, last_line(&errors)), (Some(75), expected.as_str()));
    first.signal("-KILL")?;
    first.end()?;
    // A lock doesn't outlive its process, however that ended.
    Broker::start(home.path(), &listen)?.address()?;
    Ok(())
}

#[test]
fn a_taken_address_is_named_and_another_suggested() -> Outcome {
    let home = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let (code, errors) = refused(home.path(), &["--listen", &address.to_string()])?;
    let next = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(1883));
    // What the system calls the error stands between.
    let said = format!("dunlin: can't listen on {address}: ");
    let advice = format!(
        "\nanother program, perhaps another broker, listens there: stop it, or use --listen {next}\n"
    );
    assert_eq!(code, Some(69));
    assert!(
        errors.contains(&said) && errors.ends_with(&advice),
        "{errors}"
    );
    Ok(())
}

#[test]
fn nothing_is_opened_before_the_whole_configuration_is_valid() -> Outcome {
    let home = tempfile::tempdir()?;
    let (code, errors) = refused(
        home.path(),
        &["--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"],
    )?;
    assert_eq!(code, Some(78));
    let problem =
        "  listeners[1].address = 0.0.0.0:0 (flag --listen): reachable from other machines";
    assert!(errors.contains(problem), "{errors}");
    assert_eq!(std::fs::read_dir(home.path())?.count(), 0);
    Ok(())
}

#[test]
fn a_data_directory_that_is_none_is_refused() -> Outcome {
    let home = tempfile::tempdir()?;
    let file = home.path().join("file");
    std::fs::write(&file, "")?;
    let path = file.to_string_lossy();
    let (code, errors) = refused(
        home.path(),
        &["--listen", "127.0.0.1:0", "--data-dir", &path],
    )?;
    let expected = format!(
        "dunlin: the data directory {path} is not a directory; move that away or choose another with --data-dir"
    );
    assert_eq!((code, last_line(&errors)), (Some(73), expected.as_str()));
    Ok(())
}

#[test]
fn a_reload_changes_the_log_level_and_an_invalid_file_changes_nothing() -> Outcome {
    let home = tempfile::tempdir()?;
    let file = home.path().join("dunlin.toml");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--config",
        &file.to_string_lossy(),
    ];
    std::fs::write(&file, "[log]\nlevel = \"info\"\n")?;
    let mut broker = Broker::start(home.path(), &arguments)?;
    broker.address()?;

    std::fs::write(&file, "[log]\nlevel = \"loud\"\n")?;
    broker.signal("-HUP")?;
    broker.logged("not reloaded, the configuration in force stays")?;

    std::fs::write(&file, "[log]\nlevel = \"debug\"\n[runtime]\nworkers = 1\n")?;
    broker.signal("-HUP")?;
    let line = broker.logged("reloaded key=")?;
    assert!(
        line.contains(r#"key=log.level before="info" after="debug""#),
        "{line}"
    );
    let line = broker.logged("takes a restart")?;
    assert!(
        line.contains("key=runtime.workers before=0 after=1"),
        "{line}"
    );
    broker.signal("-TERM")?;
    assert_eq!(broker.end()?.0.code(), Some(0));
    Ok(())
}
