//! `cargo xtask ci`: every check of CI that isn't a test, the cheap ones first. All are run, so that one round shows
//! all that is wrong; the tests are `cargo xtask test`.

use std::time::Instant;

use crate::process::{self, Failure, Outcome, answers, cargo, is_ci, spoken_time};
use crate::{no_std, tidy};

/// Built from source in about two minutes on two busy cores (measured: 2 min 09 s), which CI pays once per machine.
/// There is no other way by name: Debian doesn't package it. A person without it gets a loud line instead.
const CARGO_DENY_VERSION: &str = "0.20.2";

type Check = (&'static str, fn() -> Outcome);

const CHECKS: [Check; 6] = [
    ("formatting", formatting),
    ("tidy", tidy::run),
    ("clippy", clippy),
    ("documentation", documentation),
    ("licenses and sources of dependencies", licenses),
    ("no_std builds", no_std::run),
];

pub(crate) fn run() -> Outcome {
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("\n== {name}");
        let started = Instant::now();
        let result = check();
        let took = spoken_time(started.elapsed());
        match result {
            Ok(()) => lines.push(format!("ok      {name} ({took})")),
            Err(failure) => {
                eprintln!("{name}: {failure}");
                lines.push(format!("FAILED  {name} ({took}): {failure}"));
                failed.push(name);
            }
        }
    }
    println!("\n== checks\n{}", lines.join("\n"));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("failed: {}", failed.join(", "))))
    }
}

fn formatting() -> Outcome {
    process::run(&mut cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Outcome {
    process::run(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn documentation() -> Outcome {
    process::run(cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Known vulnerabilities (`cargo deny check advisories`) aren't checked here: their list must be fetched, and a change
/// of ours must not turn red because the list grew.
fn licenses() -> Outcome {
    if !answers("cargo-deny", &["--version"]) {
        if !is_ci() {
            println!(
                "LEFT OUT: licenses and sources of dependencies: no cargo-deny here; \
                 cargo install cargo-deny --locked --version {CARGO_DENY_VERSION}"
            );
            return Ok(());
        }
        process::run(&mut cargo([
            "install",
            "cargo-deny",
            "--locked",
            "--version",
            CARGO_DENY_VERSION,
        ]))?;
    }
    process::run(&mut cargo(["deny", "check", "bans", "licenses", "sources"]))
}
