//! Runs the scenarios of the interop suite with every client software that is installed, each variant a test.
//!
//! The broker is ours, or whatever listens at `DUNLIN_ADDR=HOST:PORT`. Scenarios of a software that isn't installed
//! are left out with a line that counts them; when `CI` is set, it's a failure. `tests/interop/install.sh` installs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use dunlin_tests::broker::Broker;
use dunlin_tests::interop::scenarios::{PAIR, SCENARIOS, Scenario};
use dunlin_tests::interop::software::Software;
use dunlin_tests::interop::stage::{Cast, Workshop};
use dunlin_tests::raw::{Failure, Outcome, Version};
use libtest_mimic::{Arguments, Trial};

/// Most scenarios wait more than they work.
const THREADS: usize = 16;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("interop: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let foreign = foreign_address()?;
    let broker = match foreign {
        None if !arguments.list => Some(Broker::start()?),
        _ => None,
    };
    // To list the tests nothing has to listen.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = foreign
        .or_else(|| broker.as_ref().map(Broker::address))
        .unwrap_or(nowhere);
    let Some(target) = Path::new(env!("CARGO_TARGET_TMPDIR")).parent() else {
        return Err(Failure::new("no target directory"));
    };
    let (workshop, missing) = Workshop::new(address, foreign.is_some(), target)?;
    let (played, left_out): (Vec<Variant>, _) = variants().into_iter().partition(|variant| {
        missing
            .iter()
            .all(|(software, _)| !variant.plays(*software))
    });
    let mut trials = trials(played, Arc::new(workshop));
    for (software, reason) in missing {
        let count = left_out
            .iter()
            .filter(|variant| variant.plays(software))
            .count();
        let told = format!(
            "{count} scenarios of {software}: not installed ({reason}); run tests/interop/install.sh"
        );
        if std::env::var_os("CI").is_some() {
            trials.push(Trial::test(
                format!("{software}::is_installed"),
                move || Err(told.into()),
            ));
        } else {
            eprintln!("LEFT OUT: {told}");
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
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

/// A scenario with its cast.
struct Variant {
    name: String,
    cast: Cast,
    scenario: Scenario,
}

impl Variant {
    fn plays(&self, software: Software) -> bool {
        self.cast.software == software || self.cast.other == software
    }
}

fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    for scenario in SCENARIOS {
        for software in Software::ALL {
            for version in scenario.versions {
                if scenario
                    .needs
                    .iter()
                    .any(|need| software.lacks(*need, *version))
                {
                    continue;
                }
                // One variant even when the QoS doesn't matter; then its name has none.
                let levels = if scenario.levels.is_empty() {
                    &[0]
                } else {
                    scenario.levels
                };
                for qos in levels {
                    let level = if scenario.levels.is_empty() {
                        String::new()
                    } else {
                        format!("qos{qos}::")
                    };
                    let name =
                        format!("{software}::{}::{level}{}", spoken(*version), scenario.name);
                    let cast = Cast {
                        software,
                        other: software,
                        version: *version,
                        qos: *qos,
                    };
                    variants.push(Variant {
                        name,
                        cast,
                        scenario: *scenario,
                    });
                }
            }
        }
    }
    for software in Software::ALL {
        for other in Software::ALL.into_iter().filter(|other| *other != software) {
            for version in PAIR.versions {
                let name = format!("{software}::{}::{}::{other}", spoken(*version), PAIR.name);
                let cast = Cast {
                    software,
                    other,
                    version: *version,
                    qos: 0,
                };
                variants.push(Variant {
                    name,
                    cast,
                    scenario: PAIR,
                });
            }
        }
    }
    variants
}

fn spoken(version: Version) -> &'static str {
    match version {
        Version::V311 => "v311",
        Version::V5 => "v5",
    }
}

fn trials(variants: Vec<Variant>, workshop: Arc<Workshop>) -> Vec<Trial> {
    let trial = |(
        number,
        Variant {
            name,
            cast,
            scenario,
        },
    ): (usize, Variant)| {
        let workshop = Arc::clone(&workshop);
        Trial::test(name, move || {
            workshop
                .play(cast, number, scenario.run)
                .map_err(|failure| failure.to_string().into())
        })
    };
    variants.into_iter().enumerate().map(trial).collect()
}
