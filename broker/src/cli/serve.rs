//! `dunlin serve`, and `dunlin` alone: runs the broker.
//!
//! Answers for the order of start-up (configuration, logging, data directory, threads, listeners),
//! for what it says and for the exit code. Does not answer for serving (`server`).

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Exit, complain, print};
use crate::config::{Config, Loaded, Sources};
use crate::data_dir::{self, DataDir};
use crate::reload::Reloader;
use crate::server;
use crate::telemetry::Telemetry;

/// How long work that can't be interrupted may go on after the last connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// `program` is how the user called us: the commands to try are shown with it.
pub(super) fn run(sources: Sources, program: &OsStr) -> Exit {
    let config = match Loaded::read(&sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => return complain(&problems, Exit::Config),
    };
    let telemetry = match Telemetry::start(&config.log) {
        Ok(telemetry) => telemetry,
        Err(error) => return complain(&error, Exit::Software),
    };
    // The lock on the directory is held until the broker has stopped.
    let directory = match DataDir::open(&config.data_dir) {
        Ok(directory) => directory,
        Err(error) => return complain(&error, exit_of(&error)),
    };
    let exit = serve(config, Reloader::new(sources, telemetry), program);
    drop(directory);
    exit
}

fn exit_of(error: &data_dir::Error) -> Exit {
    match error {
        data_dir::Error::InUse { .. } => Exit::InUse,
        _ => Exit::CantCreate,
    }
}

fn serve(config: Config, reloader: Reloader, program: &OsStr) -> Exit {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.runtime.workers > 0 {
        builder.worker_threads(config.runtime.workers);
    }
    let runtime = match builder.thread_name("dunlin").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return complain(
                &format_args!("can't start threads: {error}"),
                Exit::Software,
            );
        }
    };
    let data_dir = config.data_dir.clone();
    let mut output = Exit::Ok;
    let ready = |addresses: &[SocketAddr]| {
        output = print(&greeting(addresses, program));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %data_dir.display(), "started");
    };
    let served = runtime.block_on(server::run(config, reloader, ready));
    runtime.shutdown_timeout(LINGER);
    match served {
        Ok(()) => output,
        Err(error @ server::Error::Listen { .. }) => complain(&error, Exit::Unavailable),
        Err(error) => complain(&error, Exit::Software),
    }
}

/// What a person sees, and a script reads: where the broker listens, and how to try it.
fn greeting(addresses: &[SocketAddr], program: &OsStr) -> String {
    let mut text: String = addresses
        .iter()
        .map(|address| format!("listening on mqtt://{address}\n"))
        .collect();
    if let Some(address) = addresses.first() {
        let program = shell_word(&program.to_string_lossy());
        let place = place(*address);
        text += &format!(
            "try it, in two other terminals:\n  \
             {program} sub{place} -v -t 'greetings/#'\n  \
             {program} pub{place} -t greetings/first -m hello\n"
        );
    }
    text
}

/// The options with which `sub` and `pub` reach this address from here.
fn place(address: SocketAddr) -> String {
    let mut options = String::new();
    if address.ip() != std::net::Ipv4Addr::LOCALHOST && !address.ip().is_unspecified() {
        options += &format!(" -h {}", address.ip());
    }
    if address.port() != 1883 {
        options += &format!(" -p {}", address.port());
    }
    options
}

/// The word as a shell takes it.
fn shell_word(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_greeting_names_every_address_and_a_command_that_works() -> Outcome {
        let addresses = ["127.0.0.1:1883".parse()?, "[::1]:7000".parse()?];
        assert_eq!(
            greeting(&addresses, "target/release/dunlin".as_ref()),
            "listening on mqtt://127.0.0.1:1883\n\
             listening on mqtt://[::1]:7000\n\
             try it, in two other terminals:\n  \
             target/release/dunlin sub -v -t 'greetings/#'\n  \
             target/release/dunlin pub -t greetings/first -m hello\n"
        );
        Ok(())
    }

    #[test]
    fn the_commands_name_what_is_not_the_default() -> Outcome {
        for (address, options) in [
            ("127.0.0.1:1883", ""),
            ("0.0.0.0:1883", ""),
            ("[::]:1884", " -p 1884"),
            ("[::1]:1883", " -h ::1"),
            ("192.168.1.5:1885", " -h 192.168.1.5 -p 1885"),
        ] {
            assert_eq!(place(address.parse()?), options, "{address}");
        }
        Ok(())
    }

    #[test]
    fn a_program_is_named_so_that_a_shell_takes_it() {
        for (word, quoted) in [
            ("./target/debug/dunlin", "./target/debug/dunlin"),
            ("my broker/dunlin", "'my broker/dunlin'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn a_data_directory_in_use_has_a_code_of_its_own() {
        let in_use = data_dir::Error::InUse {
            path: "/d".into(),
            holder: None,
        };
        assert_eq!(exit_of(&in_use), Exit::InUse);
        let taken = data_dir::Error::NotADirectory { path: "/d".into() };
        assert_eq!(exit_of(&taken), Exit::CantCreate);
    }
}
