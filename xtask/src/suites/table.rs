//! The suites by name: what each proves, how long it may take, which test programs are its own. Running them is
//! `mod.rs`'s.

use std::fs;
use std::path::Path;

use crate::process::{Named as _, Outcome};

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Suite {
    pub name: &'static str,
    /// 1: of every change; 2: the long ones.
    pub tier: u8,
    /// What it should take at most on two cores once everything is built, in seconds. Being over is said loudly and
    /// fails nothing: a slow machine is no bug.
    pub budget_s: u64,
    pub proves: &'static str,
    pub kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// The foreign clients are installed; no tests.
    Install,
    /// All test programs are compiled, so that the other suites' times are their own; no tests.
    Build,
    /// The tests in the crates' sources.
    Unit,
    /// The examples in the documentation.
    Documentation,
    /// The test programs beside the crates that no other suite names.
    Beside,
    /// These test programs, wherever they are.
    Programs(&'static [&'static str]),
    /// These test programs, built with `--cfg shuttle`: every lock of the engine is a point where threads may switch.
    Shuttle(&'static [&'static str]),
    /// The crates of boards are built for Cortex-M; no tests.
    NoStd,
}

impl Kind {
    /// The test programs that this suite alone runs.
    pub(crate) fn programs(&self) -> &'static [&'static str] {
        match self {
            Self::Programs(names) | Self::Shuttle(names) => names,
            _ => &[],
        }
    }

    /// Those of its programs that no crate has.
    pub(crate) fn missing(&self, programs: &[String]) -> Vec<&'static str> {
        let there = |name: &str| programs.iter().any(|program| program == name);
        let named = self.programs().iter().copied();
        named.filter(|name| !there(name)).collect()
    }

    /// False for what prepares or builds without running a test.
    pub(crate) fn has_tests(&self) -> bool {
        !matches!(self, Self::Install | Self::Build | Self::NoStd)
    }
}

/// In the order in which they are run: what fails soonest and explains most comes first.
pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "build",
        tier: 1,
        budget_s: 270,
        proves: "every test program compiles",
        kind: Kind::Build,
    },
    Suite {
        name: "unit",
        tier: 1,
        budget_s: 45,
        proves: "the rules of each module, with virtual time and without sockets",
        kind: Kind::Unit,
    },
    Suite {
        name: "beside",
        tier: 1,
        budget_s: 75,
        proves: "each crate through its doors: properties, differential, fuzz functions, the program",
        kind: Kind::Beside,
    },
    Suite {
        name: "documentation",
        tier: 1,
        budget_s: 30,
        proves: "the examples in the documentation",
        kind: Kind::Documentation,
    },
    Suite {
        name: "conformance",
        tier: 1,
        budget_s: 60,
        proves: "both standards, statement by statement, against the real broker",
        kind: Kind::Programs(&["conformance"]),
    },
    Suite {
        name: "foreign-clients",
        tier: 1,
        budget_s: 30,
        proves: "mosquitto, paho-mqtt and MQTT.js are there",
        kind: Kind::Install,
    },
    Suite {
        name: "interop",
        tier: 1,
        budget_s: 90,
        proves: "the field's clients work unchanged",
        kind: Kind::Programs(&["interop"]),
    },
    Suite {
        name: "concurrency",
        tier: 2,
        budget_s: 420,
        proves: "publish, subscribe, takeover and expiry against each other, in many interleavings",
        kind: Kind::Shuttle(&["concurrency"]),
    },
    Suite {
        name: "hostile",
        tier: 2,
        budget_s: 300,
        proves: "no client can crash, fill or stall the broker",
        kind: Kind::Programs(&["hostile"]),
    },
    Suite {
        name: "nostd",
        tier: 2,
        budget_s: 240,
        proves: "the crates of boards compile for Cortex-M",
        kind: Kind::NoStd,
    },
];

/// The names of all test programs beside the crates, sorted: what `cargo test --test` takes.
pub(crate) fn test_programs(root: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for krate in folders(root)? {
        let tests = krate.join("tests");
        if !krate.join("Cargo.toml").is_file() || !tests.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&tests).named(tests.display())? {
            let path = entry.named(tests.display())?.path();
            if path.extension().is_some_and(|extension| extension == "rs")
                && let Some(name) = path.file_stem()
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn folders(root: &Path) -> Outcome<Vec<std::path::PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root).named(root.display())? {
        let path = entry.named(root.display())?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Those of `programs` that no suite names: the suite `beside` runs them, so that no test program is forgotten.
pub(crate) fn unnamed(programs: &[String]) -> Vec<&str> {
    programs
        .iter()
        .map(String::as_str)
        .filter(|program| {
            SUITES
                .iter()
                .all(|suite| !suite.kind.programs().contains(program))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_keep_the_promises_of_the_tiers() {
        let budget = |tier| -> u64 {
            let suites = SUITES.iter().filter(|suite| suite.tier == tier);
            suites.map(|suite| suite.budget_s).sum()
        };
        assert!(budget(1) <= 10 * 60, "tier 1: {} s", budget(1));
        assert!(budget(2) <= 30 * 60, "tier 2: {} s", budget(2));
    }

    #[test]
    fn an_unnamed_test_program_is_run_beside_the_others() {
        let programs = ["conformance", "new_one"].map(str::to_owned);
        assert_eq!(unnamed(&programs), ["new_one"]);
    }

    #[test]
    fn a_suite_knows_which_of_its_programs_are_missing() {
        let kind = Kind::Programs(&["here", "gone"]);
        assert_eq!(kind.missing(&["here".to_owned()]), ["gone"]);
        assert!(Kind::Unit.missing(&[]).is_empty());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
