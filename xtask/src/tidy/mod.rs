//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy checks. Also a test of this crate.
//!
//! A rule is a function from the files of the repository (or its dependency graph) to findings, so that each can be
//! shown a bad example in its own tests. Which rules there are, and why, is written where each is.

mod architecture;
mod decisions;
mod dependencies;
mod documents;
mod files;
mod manifests;
mod sources;

use std::fmt;

use self::files::Files;
use crate::process::{Failure, Outcome, root};

/// Something a rule has found.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 when the finding is about the whole file.
    line: usize,
    message: String,
    /// A warning is printed and fails nothing.
    is_warning: bool,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
            is_warning: false,
        }
    }

    fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::new(path, 0, message)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning" } else { "error" };
        match self.line {
            0 => write!(formatter, "{kind}: {}: {}", self.path, self.message),
            line => write!(formatter, "{kind}: {}:{line}: {}", self.path, self.message),
        }
    }
}

const RULES: &[fn(&Files) -> Vec<Finding>] = &[
    files::size,
    files::trailing_whitespace,
    files::machine_paths,
    files::issue_numbers,
    sources::opening,
    sources::length,
    sources::leftovers,
    sources::engine_is_deterministic,
    sources::boards_have_no_std,
    manifests::lints_are_shared,
    manifests::dependencies_are_shared,
    architecture::every_file_is_named,
    decisions::numbered_and_listed,
    documents::links_lead_somewhere,
    documents::readme_commands,
];

pub(crate) fn run() -> Outcome {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings
        .iter()
        .filter(|finding| !finding.is_warning)
        .count();
    println!(
        "tidy: {} rules, {errors} errors, {} warnings",
        RULES.len() + 1,
        findings.len() - errors
    );
    if errors == 0 {
        Ok(())
    } else {
        Err(Failure::new(format!("{errors} findings, listed above")))
    }
}

fn findings() -> Outcome<Vec<Finding>> {
    let files = Files::of_repository(&root())?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    findings.extend(dependencies::findings()?);
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = findings().map_err(|failure| failure.to_string());
        let errors: Vec<String> = match findings {
            Ok(findings) => findings
                .iter()
                .filter(|finding| !finding.is_warning)
                .map(Finding::to_string)
                .collect(),
            Err(failure) => vec![failure],
        };
        assert!(errors.is_empty(), "\n{}", errors.join("\n"));
    }
}
