//! Runs the rows of the conformance proof, each version of each row a test, and the completeness tests of its tables.
//!
//! All rows talk to one broker process; those that need a configuration of their own start one more. With
//! `DUNLIN_ADDR=HOST:PORT` they talk to whatever listens there instead.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use dunlin_tests::broker::Broker;
use dunlin_tests::conformance::{Context, rows, table};
use dunlin_tests::raw::{Failure, Outcome, Version};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("conformance: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Rows wait for time-outs far more than they work, so there can be many more of them than processors.
    arguments.test_threads.get_or_insert(32);
    let foreign = foreign_address()?;
    if !arguments.list {
        match table::summary() {
            Ok(lines) => println!("{}\n{}", table::SUMMARY_HEADING, lines.join("\n")),
            Err(failure) => eprintln!("conformance: {failure}"),
        }
    }
    let broker = match foreign {
        None if !arguments.list => Some(Broker::start()?),
        _ => None,
    };
    let address = foreign.or_else(|| broker.as_ref().map(Broker::address));
    let conclusion = libtest_mimic::run(&arguments, trials(address, foreign.is_some()));
    drop(broker);
    Ok(conclusion.exit_code())
}

fn foreign_address() -> Outcome<Option<SocketAddr>> {
    let Ok(text) = std::env::var("DUNLIN_ADDR") else {
        return Ok(None);
    };
    match text.parse() {
        Ok(address) => Ok(Some(address)),
        Err(error) => Err(Failure::new(format!("DUNLIN_ADDR {text}: {error}"))),
    }
}

fn trials(address: Option<SocketAddr>, foreign: bool) -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("table::every_statement_is_answered", || {
            failed(table::complete())
        }),
        Trial::test("table::the_numbers_are_current", || {
            failed(table::numbers_current())
        }),
        Trial::test("table::the_sources_cite_what_exists", || {
            failed(table::citations_exist())
        }),
    ];
    for (number, row) in rows().into_iter().enumerate() {
        for version in [Version::V5, Version::V311] {
            if row.claims(version).is_empty() {
                continue;
            }
            let name = format!("v{}::{}", version.level(), row.name);
            let context =
                address.map(|address| Arc::new(Context::new(address, version, foreign, number)));
            let trial = Trial::test(name, move || match &context {
                Some(context) => failed(row.run(context)),
                None => Err("no broker to talk to".into()),
            });
            trials.push(trial.with_ignored_flag(foreign && row.is_configured()));
        }
    }
    trials
}

fn failed(outcome: Outcome) -> Result<(), Failed> {
    outcome.map_err(|failure| failure.to_string().into())
}
