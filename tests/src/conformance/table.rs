//! The tables of docs/conformance against the rows: every statement of both standards is answered by rows or by a
//! reason, and the tables and the rows say the same. Not the rows themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::rows;
use crate::raw::{Failure, Outcome, Version, ensure};

/// How many statements each section of MQTT 5.0 has, from the standard's appendix B.
const SECTIONS_V5: &[(&str, u32)] = &[
    ("1.5.4", 3),
    ("1.5.5", 1),
    ("1.5.7", 1),
    ("2.1.3", 1),
    ("2.2.1", 6),
    ("2.2.2", 1),
    ("3.1.0", 2),
    ("3.1.2", 30),
    ("3.1.3", 12),
    ("3.1.4", 6),
    ("3.2.0", 2),
    ("3.2.2", 22),
    ("3.3.1", 13),
    ("3.3.2", 20),
    ("3.3.4", 10),
    ("3.4.2", 3),
    ("3.5.2", 3),
    ("3.6.1", 1),
    ("3.6.2", 3),
    ("3.7.2", 3),
    ("3.8.1", 1),
    ("3.8.3", 5),
    ("3.8.4", 8),
    ("3.9.2", 2),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.11.2", 2),
    ("3.11.3", 2),
    ("3.12.4", 1),
    ("3.14.0", 1),
    ("3.14.1", 1),
    ("3.14.2", 4),
    ("3.14.4", 3),
    ("3.15.1", 1),
    ("3.15.2", 3),
    ("4.1.0", 2),
    ("4.2.0", 1),
    ("4.3.1", 1),
    ("4.3.2", 5),
    ("4.3.3", 13),
    ("4.4.0", 2),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.0", 1),
    ("4.7.1", 2),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.2", 6),
    ("4.9.0", 3),
    ("4.12.0", 7),
    ("4.12.1", 2),
    ("4.13.1", 1),
    ("4.13.2", 1),
    ("6.0.0", 4),
];

/// The same of MQTT 3.1.1.
const SECTIONS_V311: &[(&str, u32)] = &[
    ("1.5.3", 3),
    ("2.2.2", 2),
    ("2.3.1", 7),
    ("3.1.0", 2),
    ("3.1.2", 24),
    ("3.1.3", 11),
    ("3.1.4", 5),
    ("3.2.0", 1),
    ("3.2.2", 6),
    ("3.3.1", 12),
    ("3.3.2", 3),
    ("3.3.4", 1),
    ("3.3.5", 2),
    ("3.6.1", 1),
    ("3.8.1", 1),
    ("3.8.3", 4),
    ("3.8.4", 6),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.12.4", 1),
    ("3.14.1", 1),
    ("3.14.4", 3),
    ("4.1.0", 2),
    ("4.3.1", 1),
    ("4.3.2", 2),
    ("4.3.3", 2),
    ("4.4.0", 1),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.1", 3),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.0", 2),
    ("6.0.0", 4),
    ("7.0.0", 2),
    ("7.1.1", 1),
    ("7.1.2", 1),
];

/// Numbers the standards skip.
const SKIPPED_V5: &[&str] = &["2.2.1-1"];

/// What stands behind a statement in a table.
#[derive(Clone, Debug)]
struct Answer {
    /// Names in backquotes: rows, or `engine: NAME` for a test of the engine.
    names: BTreeSet<String>,
    /// The whole cell.
    cell: String,
}

type Table = BTreeMap<String, Answer>;

/// How many statements, rows and reasons one standard has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    statements: usize,
    shown: usize,
    reasons: usize,
    rows: usize,
    engine: usize,
}

fn file(version: Version) -> PathBuf {
    let name = match version {
        Version::V5 => "mqtt5.md",
        Version::V311 => "mqtt311.md",
    };
    documents().join(name)
}

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance")
}

/// Every statement is answered, and tables and rows say the same.
///
/// # Errors
/// With a line for each thing that is wrong.
pub fn complete() -> Outcome {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for row in rows() {
        if !names.insert(row.name) {
            wrong.push(format!("two rows are called {}", row.name));
        }
        if row.v5.is_empty() && row.v311.is_empty() {
            wrong.push(format!("{} claims nothing", row.name));
        }
    }
    for (version, sections, skipped) in [
        (Version::V5, SECTIONS_V5, SKIPPED_V5),
        (Version::V311, SECTIONS_V311, &[][..]),
    ] {
        check(version, sections, skipped, &mut wrong)?;
    }
    ensure(wrong.is_empty(), || {
        format!("{} errors:\n{}", wrong.len(), wrong.join("\n"))
    })
}

fn check(
    version: Version,
    sections: &[(&str, u32)],
    skipped: &[&str],
    wrong: &mut Vec<String>,
) -> Outcome {
    let table = read(version)?;
    let at = file(version)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let statements: BTreeSet<String> = sections
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}-{number}")))
        .filter(|statement| !skipped.contains(&statement.as_str()))
        .collect();
    wrong.extend(
        statements
            .iter()
            .filter(|id| !table.contains_key(*id))
            .map(|id| format!("{at}: {id} is missing")),
    );
    wrong.extend(
        table
            .keys()
            .filter(|id| !statements.contains(*id))
            .map(|id| format!("{at}: {id} doesn't exist")),
    );

    let mut claimed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let rows = rows();
    for row in &rows {
        for id in row.claims(version) {
            if !statements.contains(*id) {
                wrong.push(format!("{} claims {id}, which doesn't exist", row.name));
            }
            if !claimed.entry(*id).or_default().insert(row.name.to_owned()) {
                wrong.push(format!("{} claims {id} twice", row.name));
            }
        }
    }
    let engine = engine_sources()?;
    for (id, answer) in &table {
        let (tests, named): (BTreeSet<_>, BTreeSet<_>) = answer
            .names
            .iter()
            .cloned()
            .partition(|name| name.starts_with("engine: "));
        let claimed = claimed.remove(id.as_str()).unwrap_or_default();
        for name in claimed.difference(&named) {
            wrong.push(format!("{at}: {id} doesn't name {name}, which claims it"));
        }
        for name in named.difference(&claimed) {
            let known = rows.iter().any(|row| row.name == name);
            let why = if known {
                "which doesn't claim it"
            } else {
                "which doesn't exist"
            };
            wrong.push(format!("{at}: {id} names {name}, {why}"));
        }
        for test in tests {
            let function = test.trim_start_matches("engine: ");
            if !engine
                .iter()
                .any(|source| source.contains(&format!("fn {function}(")))
            {
                wrong.push(format!(
                    "{at}: {id} names {test}, and the engine has no such function"
                ));
            }
        }
        if answer.names.is_empty() && answer.cell.split_whitespace().count() < 5 {
            wrong.push(format!("{at}: {id} has neither a row nor a reason"));
        }
    }
    Ok(())
}

/// The lines `| MQTT-3.1.0-1 | words | answer |` of a table.
fn read(version: Version) -> Outcome<Table> {
    let path = file(version);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let mut table = Table::new();
    for line in text.lines().filter(|line| line.starts_with("| MQTT-")) {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split(" | ")
            .map(str::trim)
            .collect();
        let [id, words, cell] = cells[..] else {
            return Err(Failure::new(format!(
                "{}: not three cells: {line}",
                path.display()
            )));
        };
        ensure(!words.is_empty() && !cell.is_empty(), || {
            format!("{}: an empty cell: {line}", path.display())
        })?;
        let names = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .map(String::from)
            .collect();
        let id = id.trim_start_matches("MQTT-").to_owned();
        let answer = Answer {
            names,
            cell: cell.to_owned(),
        };
        ensure(table.insert(id, answer).is_none(), || {
            format!("{}: twice: {line}", path.display())
        })?;
    }
    Ok(table)
}

fn engine_sources() -> Outcome<Vec<String>> {
    Ok(sources("engine")?
        .into_iter()
        .map(|(_, text)| text)
        .collect())
}

/// The Rust files of a crate, with their paths from the repository's root.
fn sources(member: &str) -> Outcome<Vec<(String, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    let mut folders = vec![root.join(member)];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                sources.push((name, std::fs::read_to_string(path)?));
            }
        }
    }
    Ok(sources)
}

/// Every `[MQTT-x.y.z-n]` (MQTT 5) and `[3:MQTT-x.y.z-n]` (3.1.1) in the sources is a statement that exists.
///
/// # Errors
/// With a line for each that doesn't.
pub fn citations_exist() -> Outcome {
    let (v5, v311) = (read(Version::V5)?, read(Version::V311)?);
    let mut wrong = Vec::new();
    for member in ["codec", "engine", "broker", "edge-client"] {
        for (name, text) in sources(member)? {
            for (line, number) in text.lines().zip(1..) {
                for (mark, table) in [("[MQTT-", &v5), ("[3:MQTT-", &v311)] {
                    let cited = line
                        .split(mark)
                        .skip(1)
                        .filter_map(|rest| rest.split_once(']'));
                    let unknown = cited.filter(|(id, _)| !table.contains_key(*id));
                    wrong.extend(
                        unknown
                            .map(|(id, _)| format!("{name}:{number}: {mark}{id}] doesn't exist")),
                    );
                }
            }
        }
    }
    wrong.sort();
    ensure(wrong.is_empty(), || {
        format!("{} errors:\n{}", wrong.len(), wrong.join("\n"))
    })
}

fn numbers(version: Version) -> Outcome<Numbers> {
    let table = read(version)?;
    let engine: BTreeSet<_> = table
        .values()
        .flat_map(|answer| &answer.names)
        .filter(|name| name.starts_with("engine: "))
        .collect();
    let reasons = table
        .values()
        .filter(|answer| answer.names.is_empty())
        .count();
    Ok(Numbers {
        statements: table.len(),
        shown: table.len() - reasons,
        reasons,
        rows: rows()
            .iter()
            .filter(|row| !row.claims(version).is_empty())
            .count(),
        engine: engine.len(),
    })
}

/// What the columns of [`summary`] are.
pub const SUMMARY_HEADING: &str =
    "| standard | statements | shown | with a reason | rows | tests of the engine |";

/// The lines that docs/conformance/README.md must have.
///
/// # Errors
/// When a table can't be read.
pub fn summary() -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for (name, version) in [("MQTT 5.0", Version::V5), ("MQTT 3.1.1", Version::V311)] {
        let Numbers {
            statements,
            shown,
            reasons,
            rows,
            engine,
        } = numbers(version)?;
        lines.push(format!(
            "| {name} | {statements} | {shown} | {reasons} | {rows} | {engine} |"
        ));
    }
    Ok(lines)
}

/// The numbers in docs/conformance/README.md are those of the tables and rows.
///
/// # Errors
/// With the line that should be there.
pub fn numbers_current() -> Outcome {
    let readme = std::fs::read_to_string(documents().join("README.md"))?;
    for line in summary()? {
        ensure(readme.lines().any(|candidate| candidate == line), || {
            format!("README.md must say: {line}")
        })?;
    }
    Ok(())
}
