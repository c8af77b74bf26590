//! Idle connections: what a process takes when nobody is there, and for each client with one subscription that says
//! nothing.

use std::time::Duration;

use super::brokers::{Broker, Kind};
use super::socket::Socket;
use super::{machine, mib};
use crate::process::{memory, raise_open_files};
use crate::raw::{Failure, Outcome};

/// Lets the broker finish what it does after the last client came.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures and prints, one broker after the other.
///
/// # Errors
/// When a broker fails, or this process can't have as many connections.
pub fn run(brokers: &[Kind], connections: usize) -> Outcome {
    let files = raise_open_files()?;
    if files < connections + 100 {
        return Err(Failure::new(format!(
            "{connections} connections need more open files than the {files} that are allowed"
        )));
    }
    println!(
        "idle, {connections} connections with one subscription each; {}",
        machine()?
    );
    println!(
        "               process: resident  anonymous    with all: resident  anonymous    per connection: resident  anonymous"
    );
    for &kind in brokers {
        let broker = Broker::start(kind)?;
        std::thread::sleep(SETTLE);
        let before = memory(broker.process_id())?;
        let mut sockets = Vec::with_capacity(connections);
        for number in 0..connections {
            let mut socket = Socket::connect(broker.address(), &format!("idle-{number}"))?;
            socket.subscribe(&format!("idle/{number}/command"), 1)?;
            sockets.push(socket);
        }
        std::thread::sleep(SETTLE);
        let after = memory(broker.process_id())?;
        let each = |before: u64, after: u64| {
            after.saturating_sub(before) as f64 / connections.max(1) as f64
        };
        println!(
            "  {:12}      {:8.2} MiB {:6.2} MiB        {:8.2} MiB {:6.2} MiB            {:8.0} bytes {:5.0} bytes",
            kind.name(),
            mib(before.resident),
            mib(before.anonymous),
            mib(after.resident),
            mib(after.anonymous),
            each(before.resident, after.resident),
            each(before.anonymous, after.anonymous),
        );
    }
    Ok(())
}
