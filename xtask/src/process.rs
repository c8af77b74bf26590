//! Running other programs: what is run is shown, and a failure says which command failed.
//!
//! Nothing here reads standard input: a program that asks would hang a CI run, so it gets none.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Why a task didn't do what it should: one message for a person.
#[derive(Debug)]
pub(crate) struct Failure(String);

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Names what an I/O operation was about, since the error alone doesn't say.
pub(crate) trait Named<T> {
    fn named(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().unwrap_or(folder).to_path_buf()
}

/// Where cargo builds; a build that must not disturb the usual one goes into a folder below.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Relative means relative to where cargo was called; so it is for this process.
        Some(path) => std::path::absolute(&path).unwrap_or_else(|_| path.into()),
        None => root().join("target"),
    }
}

/// True on a CI machine, where nothing may be left out.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// The cargo that called us, run in the repository's root.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs the command with its output going where ours goes.
///
/// # Errors
/// When it can't be started or doesn't succeed.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", spoken(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .named(spoken(command))?;
    succeeded(command, status)
}

/// Runs the command and returns what it wrote to standard output; its standard error is ours.
///
/// # Errors
/// When it can't be started, doesn't succeed, or writes something else than UTF-8.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .named(spoken(command))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout)
        .map_err(|error| Failure::new(format!("{}: {error}", spoken(command))))
}

/// True when the program is there and answers to these arguments with success.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs the command, passes its output on line by line as it comes, and shows each line to `on_line`.
///
/// # Errors
/// When it can't be started or waited for. Its exit status is the caller's to judge.
pub(crate) fn watch(command: &mut Command, mut on_line: impl FnMut(&str)) -> Outcome<ExitStatus> {
    println!("$ {}", spoken(command));
    let what = spoken(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .named(&what)?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child
            .stdout
            .take()
            .map(|stream| read(stream, sender.clone())),
        child.stderr.take().map(|stream| read(stream, sender)),
    ];
    // One stream for both: on a terminal they are one anyway, and in a log their order stays right.
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").named("standard output")?;
        on_line(&line);
    }
    drop(out);
    for reader in readers.into_iter().flatten() {
        if reader.join().is_err() {
            return Err(Failure::new(format!("{what}: its output was lost")));
        }
    }
    child.wait().named(&what)
}

fn read(
    stream: impl Read + Send + 'static,
    sender: mpsc::Sender<String>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send(line).is_err() {
                // The receiver has failed and says so itself.
                return;
            }
        }
    })
}

fn succeeded(command: &Command, status: ExitStatus) -> Outcome {
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("{}: {status}", spoken(command))))
    }
}

/// The command as one would type it.
fn spoken(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| {
            Some(format!("{}={:?}", name.display(), value?.to_string_lossy()))
        })
        .collect();
    let program = Path::new(command.get_program());
    words.push(
        program
            .file_name()
            .unwrap_or(command.get_program())
            .to_string_lossy()
            .into_owned(),
    );
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        if argument.contains(char::is_whitespace) {
            words.push(format!("'{argument}'"));
        } else {
            words.push(argument.into_owned());
        }
    }
    words.join(" ")
}

/// A duration as a person reads it: "7 s", "2 min 05 s".
pub(crate) fn spoken_time(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_command_gives_each_line_and_its_status() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let status = watch(&mut command, |line| lines.push(line.to_owned())).map(|s| s.code());
        assert!(matches!(status, Ok(Some(3))));
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_failing_command_is_named_with_its_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]).env("SETTING", "x");
        let failure = run(&mut command).map_err(|failure| failure.to_string());
        let message = failure.err().unwrap_or_default();
        assert_eq!(message, "SETTING=\"x\" sh -c 'exit 7': exit status: 7");
    }

    #[test]
    fn times_are_spoken_with_their_units() {
        assert_eq!(spoken_time(Duration::from_millis(7_400)), "7 s");
        assert_eq!(spoken_time(Duration::from_secs(125)), "2 min 05 s");
    }
}
