//! `dunlin serve`, and `dunlin` alone: runs the broker.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{Exit, complain, print};
use crate::config::{Config, Loaded, Sources};
use crate::data_dir::{self, DataDir};
use crate::reload::Reloader;
use crate::server;
use crate::telemetry::Telemetry;

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
        output = print(&greeting(addresses, &program.to_string_lossy()));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %data_dir.display(), "started");
    };
    match runtime.block_on(server::run(config, reloader, ready)) {
        Ok(()) => output,
        Err(error @ server::Error::Listen { .. }) => complain(&error, Exit::Unavailable),
        Err(error) => complain(&error, Exit::Software),
    }
}

/// What a person sees, and a script reads: where the broker listens, and how to try it.
fn greeting(addresses: &[SocketAddr], program: &str) -> String {
    let mut text = String::new();
    for address in addresses {
        // Writing to a String doesn't fail.
        let _ = writeln!(text, "listening on mqtt://{address}");
    }
    if let Some(address) = addresses.first() {
        let host = if address.ip().is_unspecified() {
            "127.0.0.1".to_owned()
        } else {
            address.ip().to_string()
        };
        let mut place = String::new();
        if host != "127.0.0.1" {
            let _ = write!(place, " -h {host}");
        }
        if address.port() != 1883 {
            let _ = write!(place, " -p {}", address.port());
        }
        let _ = writeln!(text, "try it, in two other terminals:");
        let _ = writeln!(text, "  {program} sub{place} -v -t 'greetings/#'");
        let _ = writeln!(text, "  {program} pub{place} -t greetings/first -m hello");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_names_every_address_and_a_command_that_works() {
        let addresses = ["127.0.0.1:1883", "[::1]:7000"].map(|text| text.parse().ok());
        let addresses: Vec<SocketAddr> = addresses.into_iter().flatten().collect();
        let text = greeting(&addresses, "dunlin");
        assert!(
            text.starts_with(
                "listening on mqtt://127.0.0.1:1883\nlistening on mqtt://[::1]:7000\n"
            )
        );
        assert!(text.contains("  dunlin sub -v -t 'greetings/#'\n"));
        assert!(
            greeting(addresses.get(1..).unwrap_or_default(), "dunlin")
                .contains("dunlin pub -h ::1 -p 7000 -t")
        );
    }
}
