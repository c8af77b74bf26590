//! Rules for Cargo.toml files: one place for versions, one place for lints.

use super::Finding;
use super::files::{Files, lines};

/// The root of the workspace, and what is a workspace of its own.
fn is_member(path: &str) -> bool {
    path.ends_with("/Cargo.toml") && !path.starts_with("examples/boards/")
}

/// Each crate takes the workspace's lints, or none are in force there.
pub(super) fn lints_are_shared(files: &Files) -> Vec<Finding> {
    files
        .ending(&["Cargo.toml"])
        .filter(|(path, _)| is_member(path))
        .filter(|(_, text)| {
            !entries(text).any(|entry| entry.section == "lints" && entry.text == "workspace = true")
        })
        .map(|(path, _)| Finding::new(path, 0, "has no `[lints] workspace = true`"))
        .collect()
}

/// Versions and features are decided once, in the root, and never with default features unseen.
pub(super) fn dependencies_are_shared(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.ending(&["Cargo.toml"]) {
        for entry in entries(text) {
            let is_root = path == "Cargo.toml" && entry.section == "workspace.dependencies";
            let is_dependency = is_member(path) && entry.section.ends_with("dependencies");
            if is_root && !entry.text.contains("default-features = false") {
                let message = "a dependency without `default-features = false`";
                findings.push(Finding::new(path, entry.line, message));
            }
            if is_dependency && !entry.text.contains("workspace = true") {
                let message = "a dependency that isn't the workspace's";
                findings.push(Finding::new(path, entry.line, message));
            }
        }
    }
    findings
}

/// A line `key = value` and the table it stands in.
struct Entry<'a> {
    line: usize,
    section: &'a str,
    text: &'a str,
}

/// Enough TOML for manifests that keep each entry on one line.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    lines(text).filter_map(move |(line, text)| {
        let text = text.trim();
        if text.starts_with('[') {
            section = text.trim_matches(['[', ']']);
            return None;
        }
        (text.contains('=') && !text.starts_with('#')).then_some(Entry {
            line,
            section,
            text,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let with = ("a/Cargo.toml", "[lints]\nworkspace = true\n");
        let without = ("b/Cargo.toml", "[package]\nname = \"b\"\n");
        let found = lints_are_shared(&Files::made_up(&[with, without]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "b/Cargo.toml");
    }

    #[test]
    fn a_dependency_of_its_own_is_found() {
        let rule = |path, text| dependencies_are_shared(&Files::made_up(&[(path, text)])).len();
        assert_eq!(rule("a/Cargo.toml", "[dependencies]\nbytes = \"1\"\n"), 1);
        assert_eq!(
            rule("a/Cargo.toml", "[dependencies]\nbytes.workspace = true\n"),
            0
        );
        let target = "[target.'cfg(unix)'.dev-dependencies]\nbytes = { version = \"1\" }\n";
        assert_eq!(rule("a/Cargo.toml", target), 1);
        assert_eq!(rule("a/Cargo.toml", "[package]\nname = \"a\"\n"), 0);
    }

    #[test]
    fn default_features_are_found() {
        let rule = |entry| {
            let text = format!("[workspace.dependencies]\n{entry}\n");
            dependencies_are_shared(&Files::made_up(&[("Cargo.toml", &text)])).len()
        };
        assert_eq!(rule("bytes = \"1\""), 1);
        assert_eq!(
            rule("bytes = { version = \"1\", default-features = false }"),
            0
        );
    }
}
