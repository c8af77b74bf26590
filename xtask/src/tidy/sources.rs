//! Rules for Rust sources.

use super::Finding;
use super::files::{Files, lines};

/// Above this a file probably answers for two things. A warning: the cut needs a head, not a number.
const LINES_MAX: usize = 600;

/// Each file says first what it answers for.
pub(super) fn opening(files: &Files) -> Vec<Finding> {
    files
        .ending(&[".rs"])
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| {
            Finding::new(
                path,
                1,
                "doesn't begin with `//!`: what does it answer for?",
            )
        })
        .collect()
}

pub(super) fn length(files: &Files) -> Vec<Finding> {
    files
        .ending(&[".rs"])
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, count)| *count > LINES_MAX)
        .map(|(path, count)| {
            let message =
                format!("{count} lines, more than {LINES_MAX}: does it answer for two things?");
            Finding::warning(path, message)
        })
        .collect()
}

/// What is unfinished, and what was for debugging, stays out of the sources; a test runs or doesn't exist.
pub(super) fn leftovers(files: &Files) -> Vec<Finding> {
    // In halves, or this file would find itself.
    let leftovers = [
        concat!("dbg", "!("),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let mut findings = Vec::new();
    for (path, text) in files.ending(&[".rs"]) {
        for (number, line) in lines(text) {
            for leftover in leftovers
                .iter()
                .filter(|leftover| line.contains(**leftover))
            {
                findings.push(Finding::new(
                    path,
                    number,
                    format!("`{leftover}` is a leftover"),
                ));
            }
        }
    }
    findings
}

/// What the engine may not reach for, and what to use instead. Clippy's lists (engine/clippy.toml) know types and
/// functions; this knows whole modules.
const OUTSIDE_THE_ENGINE: [(&str, &str); 9] = [
    ("std::net", "bytes go in and out of buffers"),
    ("std::fs", "durable state goes through the journal"),
    ("std::io", "bytes go in and out of buffers"),
    ("std::env", "settings are arguments"),
    ("std::process", "a rule never ends the process"),
    ("std::thread", "the caller has the threads"),
    (
        "std::time::Instant",
        "time is an argument: crate::time::Now",
    ),
    ("SystemTime", "time is an argument: crate::time::Now"),
    (
        "RandomState",
        "the order of a map would differ from run to run",
    ),
];

/// The same inputs always give the same outputs, or no simulation can be replayed.
pub(super) fn engine_is_deterministic(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.ending(&[".rs"]) {
        if !path.starts_with("engine/src/") {
            continue;
        }
        for (number, line) in code_lines(text) {
            for (name, instead) in OUTSIDE_THE_ENGINE {
                if line.contains(name) {
                    let message = format!("{name} has no place in the engine: {instead}");
                    findings.push(Finding::new(path, number, message));
                }
            }
            let locks = line.contains("std::sync") && !line.contains("std::sync::Arc");
            if locks && path != "engine/src/sync.rs" {
                let message =
                    "locks and atomics come from crate::sync, so that shuttle can see them";
                findings.push(Finding::new(path, number, message));
            }
        }
    }
    findings
}

/// The crates of boards say `no_std` themselves; that they keep it is shown by `cargo xtask nostd`.
pub(super) fn boards_have_no_std(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in ["codec/src/lib.rs", "edge-client/src/lib.rs"] {
        let says_so = files
            .text(path)
            .is_some_and(|text| text.lines().any(|line| line == "#![no_std]"));
        if !says_so {
            findings.push(Finding::new(path, 0, "has no line `#![no_std]`"));
        }
    }
    findings
}

/// The lines that aren't comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Files) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Files::made_up(&[(path, text)])).len()
    }

    #[test]
    fn a_file_without_an_opening_is_found() {
        assert_eq!(count(opening, "a.rs", "use std::fmt;\n"), 1);
        assert_eq!(count(opening, "a.rs", "//! What it is.\n"), 0);
        assert_eq!(count(opening, "a.py", "import sys\n"), 0);
    }

    #[test]
    fn a_long_file_is_a_warning() {
        let long = Files::made_up(&[("a.rs", &"\n".repeat(LINES_MAX + 1))]);
        assert!(length(&long).iter().all(|finding| finding.is_warning));
        assert_eq!(length(&long).len(), 1);
        assert_eq!(count(length, "a.rs", &"\n".repeat(LINES_MAX)), 0);
    }

    #[test]
    fn leftovers_are_found() {
        let text = concat!("let x = dbg", "!(y);\n// TO", "DO later\n#[ig", "nore]\n");
        assert_eq!(count(leftovers, "a.rs", text), 3);
        assert_eq!(count(leftovers, "a.rs", "// ignore the rest\n"), 0);
    }

    #[test]
    fn the_engine_may_not_reach_outside() {
        let rule = engine_is_deterministic;
        let path = "engine/src/hub/mod.rs";
        assert_eq!(count(rule, path, "use std::time::Instant;\n"), 1);
        assert_eq!(count(rule, path, "    std::thread::sleep(x);\n"), 1);
        assert_eq!(count(rule, path, "use std::sync::Mutex;\n"), 1);
        assert_eq!(count(rule, path, "use std::sync::Arc;\n"), 0);
        assert_eq!(count(rule, path, "// no std::net here\n"), 0);
        assert_eq!(
            count(rule, "engine/src/sync.rs", "use std::sync as imp;\n"),
            0
        );
        assert_eq!(
            count(rule, "broker/src/main.rs", "use std::net::TcpListener;\n"),
            0
        );
    }

    #[test]
    fn a_crate_for_boards_must_say_no_std() {
        let said = ("codec/src/lib.rs", "#![no_std]\n");
        let unsaid = ("edge-client/src/lib.rs", "//! A client.\n");
        assert_eq!(
            boards_have_no_std(&Files::made_up(&[said, unsaid])).len(),
            1
        );
    }
}
