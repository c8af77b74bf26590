//! `cargo xtask test`: runs the suites, says what each took of its time budget, and ends with the sum of all tests.
//!
//! Fails when a test fails, when a suite doesn't compile, and when a suite ran no test at all. Goes on after a failure
//! so that one run shows all of them; only when the test programs don't compile there is nothing to go on with.

mod table;
mod tally;

use std::process::Command;
use std::time::{Duration, Instant};

use self::table::{Kind, SUITES, Suite};
use self::tally::Tally;
use crate::no_std;
use crate::process::{Failure, Outcome, cargo, is_ci, root, spoken_time, target_dir, watch};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let selection = Selection::parse(arguments)?;
    let programs = table::test_programs(&root())?;
    let mut results = Vec::new();
    for suite in SUITES.iter().filter(|suite| selection.takes(suite)) {
        println!(
            "\n== {} (tier {}, budget {}): {}",
            suite.name,
            suite.tier,
            spoken_time(Duration::from_secs(suite.budget_s)),
            suite.proves
        );
        let result = run_suite(suite, &programs, selection.soak);
        let stop = matches!(suite.kind, Kind::Build) && result.problem.is_some();
        results.push(result);
        if stop {
            break;
        }
    }
    conclude(&results)
}

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    tier: Option<u8>,
    soak: bool,
    names: Vec<String>,
}

impl Selection {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut selection = Self::default();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--soak" => selection.soak = true,
                "--tier" => {
                    selection.tier = match arguments.next() {
                        Some("1") => Some(1),
                        Some("2") => Some(2),
                        other => {
                            return Err(Failure::new(format!(
                                "--tier takes 1 or 2, not {}",
                                other.unwrap_or("nothing")
                            )));
                        }
                    };
                }
                name if SUITES.iter().any(|suite| suite.name == name) => {
                    selection.names.push(name.to_owned());
                }
                other => {
                    let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
                    return Err(Failure::new(format!(
                        "no suite is named {other}: there are {}",
                        names.join(", ")
                    )));
                }
            }
        }
        Ok(selection)
    }

    fn takes(&self, suite: &Suite) -> bool {
        self.tier.is_none_or(|tier| tier == suite.tier)
            && (self.names.is_empty() || self.names.iter().any(|name| name == suite.name))
    }
}

struct SuiteResult {
    suite: &'static Suite,
    tally: Tally,
    took: Duration,
    /// Why the suite failed, besides or instead of failed tests.
    problem: Option<String>,
}

fn run_suite(suite: &'static Suite, programs: &[String], soak: bool) -> SuiteResult {
    let started = Instant::now();
    let mut tally = Tally::default();
    let missing = suite.kind.missing(programs);
    let result = if missing.is_empty() {
        execute(suite, programs, soak, &mut tally)
    } else {
        let what = format!(
            "suite {}: no crate has the test program {}",
            suite.name,
            missing.join(", ")
        );
        leave_out(what, &mut tally)
    };
    let problem = match result {
        Ok(()) if suite.kind.has_tests() && tally.run() == 0 && tally.left_out.is_empty() => {
            Some("ran no test at all".to_owned())
        }
        Ok(()) => None,
        Err(failure) => Some(failure.to_string()),
    };
    // A suite that broke without a failed test still is a failure in the sum.
    if problem.is_some() && tally.failed == 0 {
        tally.failed = 1;
    }
    let took = started.elapsed();
    println!(
        "-- {}: {}",
        suite.name,
        verdict(suite, &tally, took, problem.as_deref())
    );
    SuiteResult {
        suite,
        tally,
        took,
        problem,
    }
}

fn execute(suite: &Suite, programs: &[String], soak: bool, tally: &mut Tally) -> Outcome {
    let mut command = match &suite.kind {
        Kind::NoStd => return no_std::run(),
        Kind::Install => return install(tally),
        Kind::Build => cargo(["test", "--workspace", "--no-run"]),
        Kind::Unit => cargo_test(&["--lib", "--bins"]),
        Kind::Documentation => cargo_test(&["--doc"]),
        Kind::Beside => cargo_test_programs(&table::unnamed(programs)),
        Kind::Programs(names) => cargo_test_programs(names),
        Kind::Shuttle(names) => shuttle(names),
    };
    if soak {
        command.env("DUNLIN_SOAK", "1");
    }
    let status = watch(&mut command, |line| tally.read(line))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("cargo ended with {status}")))
    }
}

/// Always the whole workspace, with targets picked by name: a different set of packages is a different set of
/// features, and would compile the dependencies again.
fn cargo_test(targets: &[&str]) -> Command {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(targets);
    command
}

fn cargo_test_programs(names: &[&str]) -> Command {
    let mut command = cargo_test(&[]);
    for name in names {
        command.args(["--test", name]);
    }
    command
}

fn shuttle(names: &[&str]) -> Command {
    let mut command = cargo(["test", "--package", "dunlin-engine", "--no-fail-fast"]);
    for name in names {
        command.args(["--test", name]);
    }
    // Other flags are another build of everything: in a folder of its own it doesn't push the usual one out.
    command
        .arg("--target-dir")
        .arg(target_dir().join("shuttle"));
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg shuttle").trim());
    command
}

/// Installs the foreign clients. Where that can't be (no root, no network), the interop suite leaves their scenarios
/// out and counts them; on a CI machine it's a failure.
fn install(tally: &mut Tally) -> Outcome {
    let mut command = Command::new("sh");
    command.arg("tests/interop/install.sh").current_dir(root());
    let mut missing = Vec::new();
    let status = watch(&mut command, |line| {
        if line.contains("MISSING") {
            missing.push(line.to_owned());
        }
    })?;
    if status.success() {
        return Ok(());
    }
    leave_out(missing.join("; "), tally)
}

/// Says so loudly at the end, and fails on a CI machine, where nothing may be left out.
fn leave_out(what: String, tally: &mut Tally) -> Outcome {
    if is_ci() {
        return Err(Failure::new(format!("on CI nothing is left out: {what}")));
    }
    tally.left_out.push(what);
    Ok(())
}

fn verdict(suite: &Suite, tally: &Tally, took: Duration, problem: Option<&str>) -> String {
    let mut words = Vec::new();
    let word = match problem {
        Some(_) => "FAILED",
        None if tally.run() == 0 && !tally.left_out.is_empty() => "LEFT OUT",
        None => "ok",
    };
    words.push(word.to_owned());
    if suite.kind.has_tests() {
        words.push(tally.closing_line());
    }
    let budget = Duration::from_secs(suite.budget_s);
    words.push(format!(
        "took {} of {}",
        spoken_time(took),
        spoken_time(budget)
    ));
    if took > budget {
        words.push("OVER ITS BUDGET".to_owned());
    }
    words.extend(problem.map(str::to_owned));
    words.join(", ")
}

fn conclude(results: &[SuiteResult]) -> Outcome {
    let mut sum = Tally::default();
    println!("\n== suites");
    for result in results {
        println!(
            "{:16} {}",
            result.suite.name,
            verdict(
                result.suite,
                &result.tally,
                result.took,
                result.problem.as_deref()
            )
        );
        sum.add(&result.tally);
    }
    let took: Duration = results.iter().map(|result| result.took).sum();
    println!("{:16} {}", "all", spoken_time(took));
    for line in &sum.left_out {
        println!("LEFT OUT: {line}");
    }
    let failed: Vec<_> = results
        .iter()
        .filter(|result| result.problem.is_some())
        .map(|result| result.suite.name)
        .collect();
    println!("\n{}", sum.closing_line());
    if !failed.is_empty() {
        return Err(Failure::new(format!("failed: {}", failed.join(", "))));
    }
    if sum.failed > 0 {
        return Err(Failure::new("a test failed although its program succeeded"));
    }
    if sum.run() == 0 && results.iter().any(|result| result.suite.kind.has_tests()) {
        return Err(Failure::new("no test was run: everything was left out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Selection, String> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Selection::parse(&arguments).map_err(|failure| failure.to_string())
    }

    fn taken(arguments: &[&str]) -> Vec<&'static str> {
        let selection = parse(arguments).unwrap_or_default();
        SUITES
            .iter()
            .filter(|suite| selection.takes(suite))
            .map(|suite| suite.name)
            .collect()
    }

    #[test]
    fn nothing_named_is_everything() {
        assert_eq!(taken(&[]).len(), SUITES.len());
    }

    #[test]
    fn a_tier_and_names_narrow_the_choice() {
        assert!(taken(&["--tier", "2"]).contains(&"nostd"));
        assert!(!taken(&["--tier", "2"]).contains(&"unit"));
        assert_eq!(taken(&["unit", "--soak"]), ["unit"]);
    }

    #[test]
    fn a_wrong_word_is_refused() {
        assert!(parse(&["--tier", "3"]).is_err());
        assert!(parse(&["--tier"]).is_err());
        assert!(parse(&["conformanze"]).is_err_and(|message| message.contains("conformance")));
    }

    #[test]
    fn a_verdict_names_failure_and_budget() {
        let suite = &SUITES[1];
        let tally = Tally {
            passed: 3,
            failed: 1,
            ..Tally::default()
        };
        let slow = verdict(suite, &tally, Duration::from_secs(600), Some("cargo ended"));
        assert!(slow.starts_with("FAILED, 3 passed, 1 failed, took 10 min 00 s of"));
        assert!(slow.contains("OVER ITS BUDGET"));
    }

    #[test]
    fn a_run_that_left_everything_out_fails() {
        let left_out = SuiteResult {
            suite: &SUITES[1],
            tally: Tally::default(),
            took: Duration::ZERO,
            problem: None,
        };
        assert!(conclude(&[left_out]).is_err());
    }

    #[test]
    fn a_sum_with_a_failure_fails_even_if_no_suite_says_so() {
        let result = |failed, problem| SuiteResult {
            suite: &SUITES[1],
            tally: Tally {
                passed: 1,
                failed,
                ..Tally::default()
            },
            took: Duration::ZERO,
            problem,
        };
        assert!(conclude(&[result(0, None)]).is_ok());
        assert!(conclude(&[result(1, None)]).is_err());
        assert!(conclude(&[result(0, None), result(0, Some("broke".to_owned()))]).is_err());
    }
}
