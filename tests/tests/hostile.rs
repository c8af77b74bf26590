//! Runs the attacks of hostile clients, each against a broker of its own.
//!
//! One after the other by default: what is timed is the broker under this attack, not under two.

use std::process::ExitCode;

use dunlin_tests::hostile::{CEILING, scenarios};
use dunlin_tests::process::raise_open_files;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    if !arguments.list {
        match raise_open_files() {
            Ok(files) => println!(
                "open files allowed: {files}; memory ceiling of each broker: {CEILING} bytes"
            ),
            Err(failure) => {
                eprintln!("hostile: {failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    let trials = scenarios().into_iter().map(|scenario| {
        Trial::test(scenario.name, move || {
            scenario
                .play()
                .map_err(|failure| failure.to_string().into())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
