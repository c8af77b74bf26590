//! The project's tasks: `cargo xtask TASK`. Answers for the command line alone; each task has a file of its own.
//!
//! No dependency at all, so that the first call on a fresh machine compiles in seconds.

use std::process::ExitCode;

use crate::process::{Failure, Outcome};

mod ci;
mod cross;
mod no_std;
mod process;
mod suites;
mod tidy;

const USAGE: &str = "\
cargo xtask TASK

  test [--tier 1|2] [--soak] [SUITE...]
                installs what the tests need, runs them all (or the named suites)
                  --tier 1   the suites of every change: at most 10 minutes
                  --tier 2   the others: 30 minutes more
                  --soak     the same suites with far more rounds (DUNLIN_SOAK=1)
  ci            formatting, tidy, licenses, clippy, documentation, no_std builds
  tidy          the rules of the house that no compiler checks
  nostd         builds the crates of boards for Cortex-M, with a toolchain made here if need be
  cross ARG...  runs `cross` with this repository's cross.toml
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome {
    let Some((task, rest)) = arguments.split_first() else {
        print!("{USAGE}");
        return Err(Failure::new("name a task"));
    };
    match task.as_str() {
        "test" => suites::run(rest),
        "cross" => cross::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        task if !rest.is_empty() => Err(Failure::new(format!(
            "{task} takes no arguments, here are: {}",
            rest.join(" ")
        ))),
        "ci" => ci::run(),
        "tidy" => tidy::run(),
        "nostd" => no_std::run(),
        other => Err(Failure::new(format!(
            "no task is named {other}; `cargo xtask help` lists them"
        ))),
    }
}
