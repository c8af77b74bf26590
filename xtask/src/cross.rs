//! `cargo xtask cross`: calls `cross`, the cross-compiler in containers, with this repository's cross.toml.
//!
//! `cross` looks for a file named Cross.toml and reads no other unless `CROSS_CONFIG` names it. It isn't cargo, so the
//! `[env]` table of .cargo/config.toml doesn't reach it when it's called by hand; it does reach what `cargo run`
//! starts, and so this task.

use std::process::Command;

use crate::process::{Failure, Outcome, answers, root, run as run_command};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if std::env::var_os("CROSS_CONFIG").is_none() {
        return Err(Failure::new(
            "CROSS_CONFIG isn't set: call this as `cargo xtask cross`, or set it to the path of cross.toml",
        ));
    }
    if !answers("cross", &["--version"]) {
        return Err(Failure::new(
            "no `cross` here: `cargo install cross --locked`, and Docker or Podman",
        ));
    }
    run_command(Command::new("cross").args(arguments).current_dir(root()))
}
