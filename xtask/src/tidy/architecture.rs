//! docs/ARCHITECTURE.md is the map: it names every source file of the four crates, and no file that there isn't.
//!
//! The map of a crate is the section whose heading names its folder in backquotes, as `codec/src`. In it, names in
//! backquotes that end in `.rs` are files of that folder.

use std::collections::BTreeSet;

use super::Finding;
use super::files::{Files, lines};

const MAP: &str = "docs/ARCHITECTURE.md";
const CRATES: [&str; 4] = ["codec/src", "engine/src", "broker/src", "edge-client/src"];

pub(super) fn every_file_is_named(files: &Files) -> Vec<Finding> {
    let Some(map) = files.text(MAP) else {
        return vec![Finding::new(MAP, 0, "there is no map of the sources")];
    };
    let mut findings = Vec::new();
    for folder in CRATES {
        let named = named(map, folder);
        let there: BTreeSet<&str> = files
            .0
            .iter()
            .filter_map(|file| file.path.strip_prefix(folder)?.strip_prefix('/'))
            .filter(|name| name.ends_with(".rs"))
            .collect();
        for missing in there.iter().filter(|name| !is_tests(name)) {
            if !named.iter().any(|(_, name)| name == missing) {
                let message = format!("doesn't name {folder}/{missing}");
                findings.push(Finding::new(MAP, 0, message));
            }
        }
        for (line, stale) in named.iter().filter(|(_, name)| !there.contains(name)) {
            let message = format!("names {folder}/{stale}, which there isn't");
            findings.push(Finding::new(MAP, *line, message));
        }
    }
    findings
}

/// Tests beside the code are named by what they test.
fn is_tests(name: &str) -> bool {
    name == "tests.rs" || name.ends_with("/tests.rs") || name.contains("tests/")
}

/// The files named in the section of this folder, with their lines.
fn named<'a>(map: &'a str, folder: &str) -> Vec<(usize, &'a str)> {
    let heading = format!("`{folder}`");
    let mut named = Vec::new();
    let mut inside = false;
    for (number, line) in lines(map) {
        if line.starts_with('#') {
            inside = line.contains(&heading);
        } else if inside {
            let quoted = line.split('`').skip(1).step_by(2);
            let files = quoted.filter(|name| name.ends_with(".rs"));
            named.extend(files.map(|name| (number, name)));
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: [(&str, &str); 3] = [
        ("engine/src/lib.rs", ""),
        ("engine/src/hub/mod.rs", ""),
        ("engine/src/hub/tests.rs", ""),
    ];

    fn findings(map: &str) -> Vec<String> {
        let mut files = SOURCES.to_vec();
        files.push((MAP, map));
        every_file_is_named(&Files::made_up(&files))
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn a_full_map_is_fine() {
        let map = "### The rules: `engine/src`\n- `lib.rs`, `hub/mod.rs`: and so on\n";
        assert!(findings(map).is_empty());
    }

    #[test]
    fn a_missing_and_a_stale_name_are_found() {
        let map = "### `engine/src`\n- `lib.rs`, `hub/gone.rs`\n### `other`\n`hub/mod.rs`\n";
        let expected = [
            "doesn't name engine/src/hub/mod.rs",
            "names engine/src/hub/gone.rs, which there isn't",
        ];
        assert_eq!(findings(map), expected);
    }

    #[test]
    fn no_map_is_found() {
        assert_eq!(every_file_is_named(&Files::made_up(&SOURCES)).len(), 1);
    }
}
