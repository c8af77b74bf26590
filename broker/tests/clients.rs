//! `dunlin pub` and `dunlin sub` as a user has them: what goes in at one comes out at the other, what they
//! say, and the exit codes that scripts rely on.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A broker on a free port, killed when dropped, and the clients of it.
struct Broker {
    child: Child,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn dunlin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Broker {
    fn start() -> Outcome<Self> {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Outcome<Self> {
        let home = tempfile::tempdir()?;
        let mut child = dunlin()
            .args(["serve", "--listen", address])
            .env("HOME", home.path())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        out.read_line(&mut line)?;
        // Whatever else it prints, a full pipe would stall it.
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        let address = line
            .strip_prefix("listening on mqtt://")
            .ok_or("no address")?;
        Ok(Self {
            address: address.trim_end().parse()?,
            child,
            home,
        })
    }

    /// `dunlin` with these arguments, separated by spaces, and the broker's port. It gives up by itself.
    fn client(&self, arguments: &str) -> Command {
        let mut command = dunlin();
        command
            .args(arguments.split(' '))
            .args(["-p", &self.address.port().to_string()])
            .current_dir(self.home.path());
        if !arguments.contains("-W") {
            command.args(["-W", "20"]);
        }
        command
    }

    /// Exit code, standard output and standard error of a client.
    fn run(&self, arguments: &str) -> Outcome<(i32, String, String)> {
        told(&self.client(arguments).output()?)
    }

    /// Standard output of a client that says nothing else and ends well.
    fn printed(&self, arguments: &str) -> Outcome<String> {
        let (code, out, errors) = self.run(arguments)?;
        if (code, errors.as_str()) == (0, "") {
            Ok(out)
        } else {
            Err(format!("{arguments}: {code}, {errors:?}").into())
        }
    }
}

fn told(output: &Output) -> Outcome<(i32, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().ok_or("killed")?;
    Ok((code, text(&output.stdout), text(&output.stderr)))
}

#[test]
fn each_line_arrives_once_and_in_order() -> Outcome {
    let broker = Broker::start()?;
    let lines: String = (0..500).map(|number| format!("line {number}\n")).collect();
    for version in ["5", "3.1.1"] {
        for qos in [1, 2] {
            let session = format!("sub -V {version} -c -i s{version}{qos} -t lines -q {qos}");
            broker.printed(&format!("{session} -E"))?;
            let mut child = broker
                .client(&format!("pub -V {version} -t lines -q {qos} -l"))
                .stdin(Stdio::piped())
                .spawn()?;
            let mut input = child.stdin.take().ok_or("no standard input")?;
            input.write_all(lines.as_bytes())?;
            drop(input);
            let published = told(&child.wait_with_output()?)?;
            assert_eq!(published, (0, String::new(), String::new()));
            assert_eq!(broker.printed(&format!("{session} -C 500"))?, lines);
        }
    }
    Ok(())
}

#[test]
fn a_file_arrives_byte_for_byte() -> Outcome {
    let broker = Broker::start()?;
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    std::fs::write(broker.home.path().join("file"), &bytes)?;
    broker.printed("pub -t file -r -f file -q 1")?;
    let output = broker.client("sub -t file -N -C 1").output()?;
    assert!(output.stdout == bytes);
    Ok(())
}

#[test]
fn retained_messages_are_told_apart() -> Outcome {
    let broker = Broker::start()?;
    broker.printed("pub -t r/a -m kept -r")?;
    broker.printed("pub -t r/b -m too -r -q 2")?;
    let both = broker.printed("sub -t r/a -t r/b -v -C 2")?;
    assert!(["r/a kept\nr/b too\n", "r/b too\nr/a kept\n"].contains(&both.as_str()));
    assert_eq!(broker.printed("sub -t r/a -C 1")?, "kept\n");
    let (code, out, _) = broker.run("sub -t r/# --retained-only -v -W 0.3")?;
    assert_eq!((code, out.len()), (27, both.len()));
    broker.printed("pub -t r/a -n -r")?;
    let (code, out, _) = broker.run("sub -t r/# -v -W 0.3")?;
    assert_eq!((code, out.as_str()), (27, "r/b too\n"));
    let (code, out, _) = broker.run("sub -t r/# -R -W 0.3")?;
    assert_eq!((code, out.as_str()), (27, ""));
    Ok(())
}

#[test]
fn a_kept_session_can_be_unsubscribed() -> Outcome {
    let broker = Broker::start()?;
    broker.printed("sub -c -i s -t x -q 1 -E")?;
    broker.printed("sub -c -i s -U x")?;
    broker.printed("pub -t x -m lost -q 1")?;
    let (code, out, _) = broker.run("sub -c -i s -t y -W 0.3")?;
    assert_eq!((code, out.as_str()), (27, ""));
    Ok(())
}

#[test]
fn the_will_is_published_for_who_is_killed_and_not_for_who_leaves() -> Outcome {
    let broker = Broker::start()?;
    broker.printed("sub -c -i s -t wills -q 1 -E")?;
    for (signal, payload) in [("-INT", "left"), ("-KILL", "killed")] {
        let will = format!("--will-topic wills --will-payload {payload} --will-qos 1");
        broker.printed("pub -t ready -m yes -r")?;
        let mut child = broker.client(&format!("sub -t ready {will}")).spawn()?;
        // It's connected when it prints.
        let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        out.read_line(&mut String::new())?;
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status()?.success());
        let status = child.wait()?;
        assert_eq!(status.code(), (payload == "left").then_some(0));
    }
    assert_eq!(
        broker.printed("sub -c -i s -t wills -q 1 -C 1")?,
        "killed\n"
    );
    Ok(())
}

#[test]
fn a_subscriber_whose_session_is_taken_over_says_so_and_ends() -> Outcome {
    let broker = Broker::start()?;
    broker.printed("pub -t ready -m yes -r")?;
    let mut first = broker.client("sub -t ready -i same").spawn()?;
    let mut out = BufReader::new(first.stdout.take().ok_or("no standard output")?);
    out.read_line(&mut String::new())?;
    broker.printed("sub -t ready -i same -C 1")?;
    let (code, _, errors) = told(&first.wait_with_output()?)?;
    assert_eq!(code, 77, "{errors}");
    assert!(errors.contains("session taken over"), "{errors}");
    Ok(())
}

#[test]
fn a_subscriber_comes_back_after_the_broker() -> Outcome {
    let broker = Broker::start()?;
    let address = broker.address.to_string();
    broker.printed("pub -t a -m before -r")?;
    let mut child = broker.client("sub -t a -C 2").spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    drop(broker);
    let broker = Broker::start_at(&address)?;
    broker.printed("pub -t a -m after -r")?;
    out.read_line(&mut line)?;
    assert_eq!(line, "before\nafter\n");
    assert!(child.wait()?.success());
    Ok(())
}

#[test]
fn properties_go_through_and_wrong_ones_are_usage_errors() -> Outcome {
    let broker = Broker::start()?;
    let good = "-D publish content-type text/plain -D publish user-property a b -D will \
                will-delay-interval 5 --will-topic w -D connect user-property a b";
    broker.printed(&format!("pub -t p -m x {good}"))?;
    for wrong in [
        "-D publish topic-alias 1",
        "-D publish content-type a -V 3.1.1",
        "-D nowhere content-type a",
        "-D publish message-expiry-interval soon",
        "-D publish user-property a",
        "-D will will-delay-interval 5",
        "-D connect content-type a",
    ] {
        let (code, _, errors) = broker.run(&format!("pub -t p -m x {wrong}"))?;
        assert_eq!(code, 2, "{wrong}: {errors}");
        assert!(!errors.is_empty());
    }
    Ok(())
}

#[test]
fn what_cannot_be_done_has_its_exit_code() -> Outcome {
    let broker = Broker::start()?;
    for (arguments, code) in [
        ("pub -t a/# -m x", 2),
        ("pub -t a", 2),
        ("pub -t a -m x -l", 2),
        ("pub -t a -f missing", 74),
        ("pub -t a -m x --pw-file missing", 74),
        ("sub", 2),
        ("sub -t a -c", 2),
        ("sub -t a/#/b", 2),
        ("sub -t a -q 3", 2),
        ("sub -t a -W 0.1", 27),
    ] {
        let (found, _, errors) = broker.run(arguments)?;
        assert_eq!(found, code, "{arguments}: {errors}");
        assert!(!errors.is_empty(), "{arguments}");
        let (found, _, errors) = broker.run(&format!("{arguments} --quiet"))?;
        assert_eq!(found, code, "{arguments}");
        assert!(code == 2 || errors.is_empty(), "{arguments}: {errors}");
    }
    let port = broker.address.port();
    drop(broker);
    let output = dunlin()
        .args(["pub", "-t", "a", "-m", "x", "-p", &port.to_string()])
        .output()?;
    let (code, _, errors) = told(&output)?;
    assert_eq!(code, 69, "{errors}");
    assert!(errors.contains("can't reach a broker"), "{errors}");
    Ok(())
}

#[test]
fn a_password_that_is_an_argument_is_warned_of() -> Outcome {
    let broker = Broker::start()?;
    let (code, _, errors) = broker.run("pub -t a -m x -u me -P secret")?;
    assert_eq!(code, 0);
    assert!(
        errors.contains("--pw-file") && !errors.contains("secret"),
        "{errors}"
    );
    std::fs::write(broker.home.path().join("pw"), "secret\n")?;
    broker.printed("pub -t a -m x -u me --pw-file pw")?;
    Ok(())
}
