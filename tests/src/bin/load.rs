//! `load`: the load generator's command line. What is measured, and how, stands in `dunlin_tests::load`.

use std::process::ExitCode;
use std::time::Duration;

use dunlin_tests::load::brokers::Kind;
use dunlin_tests::load::{idle, one_to_one, retained};
use dunlin_tests::raw::{Failure, Outcome};

const USAGE: &str = "\
load one-to-one [--brokers dunlin,mosquitto] [--qos 0,1,2] [--pairs 10] [--rounds 5] [--ms 2000] [--payload 64] [--windows 500,100,20]
load idle       [--brokers dunlin,mosquitto] [--connections 10000]
load retained   [--brokers dunlin,mosquitto] [--topics 100000]
Starts the brokers itself: dunlin from DUNLIN_BIN or from beside this program, mosquitto from where it's installed.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let mut words = std::env::args().skip(1);
    let Some(scenario) = words.next() else {
        return Err(Failure::new(format!("what shall be measured?\n{USAGE}")));
    };
    let options = Options::read(words)?;
    match scenario.as_str() {
        "one-to-one" => one_to_one::run(&options.plan),
        "idle" => idle::run(&options.plan.brokers, options.connections),
        "retained" => retained::run(&options.plan.brokers, options.topics),
        _ => Err(Failure::new(format!(
            "no scenario is named {scenario}\n{USAGE}"
        ))),
    }
}

struct Options {
    plan: one_to_one::Plan,
    connections: usize,
    topics: u64,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self {
            plan: one_to_one::Plan {
                brokers: vec![Kind::Dunlin, Kind::Mosquitto],
                levels: vec![0, 1, 2],
                pairs: 10,
                rounds: 5,
                time: Duration::from_secs(2),
                payload_bytes: 64,
                windows: [500, 100, 20],
            },
            connections: 10_000,
            topics: 100_000,
        };
        let plan = &mut options.plan;
        while let Some(flag) = words.next() {
            let value = words.next().unwrap_or_default();
            match flag.as_str() {
                "--brokers" => {
                    plan.brokers = value.split(',').map(Kind::named).collect::<Outcome<_>>()?;
                }
                "--qos" => plan.levels = value.split(',').map(number).collect::<Outcome<_>>()?,
                "--pairs" => plan.pairs = number(&value)?,
                "--rounds" => plan.rounds = number(&value)?,
                "--ms" => plan.time = Duration::from_millis(number(&value)?),
                "--payload" => plan.payload_bytes = number(&value)?,
                "--windows" => {
                    let windows = value.split(',').map(number).collect::<Outcome<Vec<_>>>()?;
                    let failed = |_| Failure::new("--windows takes one number for each QoS");
                    plan.windows = windows.try_into().map_err(failed)?;
                }
                "--connections" => options.connections = number(&value)?,
                "--topics" => options.topics = number(&value)?,
                _ => return Err(Failure::new(format!("no option is named {flag}\n{USAGE}"))),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse()
        .map_err(|_| Failure::new(format!("not a number that fits: {text}\n{USAGE}")))
}
