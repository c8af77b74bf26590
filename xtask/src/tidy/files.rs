//! The files of the repository as git sees them, and the rules for all of them, whatever they are written in.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Finding;
use crate::process::{Failure, Named as _, Outcome, output};

/// A clone should stay small; what is bigger is data and belongs elsewhere.
const SIZE_MAX: usize = 1 << 20;

/// All files that are, or would be, committed.
#[derive(Debug, Default)]
pub(super) struct Files(pub(super) Vec<File>);

#[derive(Debug)]
pub(super) struct File {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) bytes: usize,
    /// `None` when it isn't UTF-8.
    pub(super) text: Option<String>,
}

impl Files {
    pub(super) fn of_repository(root: &Path) -> Outcome<Self> {
        let listed = output(
            Command::new("git")
                .args([
                    "ls-files",
                    "-z",
                    "--cached",
                    "--others",
                    "--exclude-standard",
                ])
                .current_dir(root),
        )?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let place = root.join(path);
            // Deleted but not yet committed so: nothing to look at.
            if !place.is_file() {
                continue;
            }
            let content = fs::read(&place).named(path)?;
            files.push(File {
                path: path.to_owned(),
                bytes: content.len(),
                text: String::from_utf8(content).ok(),
            });
        }
        if files.is_empty() {
            return Err(Failure::new("git lists no files: is this a clone?"));
        }
        Ok(Self(files))
    }

    /// The text of this file, if it is there.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|file| file.path == path)?
            .text
            .as_deref()
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.0.iter().any(|file| file.path == path)
    }

    /// Every text file with one of these endings.
    pub(super) fn ending<'a>(
        &'a self,
        endings: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(|file| {
            let ends = endings.iter().any(|ending| file.path.ends_with(ending));
            Some((file.path.as_str(), file.text.as_deref()?)).filter(|_| ends)
        })
    }

    /// A repository made up by a test.
    #[cfg(test)]
    pub(super) fn made_up(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            bytes: text.len(),
            text: Some((*text).to_owned()),
        };
        Self(files.iter().map(file).collect())
    }
}

/// Each line of a text with its number.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

pub(super) fn size(files: &Files) -> Vec<Finding> {
    files
        .0
        .iter()
        .filter(|file| file.bytes > SIZE_MAX)
        .map(|file| {
            let message = format!("{} bytes, at most {SIZE_MAX} are allowed", file.bytes);
            Finding::new(&file.path, 0, message)
        })
        .collect()
}

pub(super) fn trailing_whitespace(files: &Files) -> Vec<Finding> {
    let endings = [
        ".rs",
        ".md",
        ".toml",
        ".sh",
        ".py",
        ".mjs",
        ".js",
        ".json",
        ".yml",
        ".txt",
        "/run",
        ".gitignore",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ];
    let mut findings = Vec::new();
    for (path, text) in files.ending(&endings) {
        for (number, line) in lines(text) {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(Finding::new(
                    path,
                    number,
                    "whitespace at the end of the line",
                ));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            findings.push(Finding::new(
                path,
                0,
                "no line break at the end of the file",
            ));
        }
    }
    findings
}

/// A path of somebody's machine works nowhere else.
pub(super) fn machine_paths(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.ending(&[""]) {
        for (number, line) in lines(text) {
            if let Some(place) = machine_path(line) {
                let message = format!("{place} is a path of one machine");
                findings.push(Finding::new(path, number, message));
            }
        }
    }
    findings
}

fn machine_path(line: &str) -> Option<&'static str> {
    // In halves, or this file would find itself.
    for place in [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ] {
        for (at, _) in line.match_indices(place) {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let starts =
                before.is_none_or(|before| !before.is_alphanumeric() && !"._-/*}".contains(before));
            let after = line.get(at + place.len()..).unwrap_or_default();
            let name = after
                .find(|char: char| !char.is_alphanumeric())
                .map_or(after, |end| after.get(..end).unwrap_or_default());
            // A single letter stands for anybody's home.
            if starts && (!place.contains("me/") || name.len() > 1) {
                return Some(place);
            }
        }
    }
    None
}

/// The sources outlive the tracker: what matters about an issue is written down where it matters.
pub(super) fn issue_numbers(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.ending(&[".rs", ".md", ".toml", ".sh", ".py", ".mjs"]) {
        for (number, line) in lines(text) {
            if cites_issue(line) {
                findings.push(Finding::new(path, number, "cites an issue by its number"));
            }
        }
    }
    findings
}

fn cites_issue(line: &str) -> bool {
    let hash = line.match_indices('#').any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + 1..).unwrap_or_default();
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let next = after.chars().nth(digits);
        let opens = matches!(before, Some(' ' | '('));
        let closes = next.is_none_or(|next| " .,;:)".contains(next));
        digits > 0 && opens && closes
    });
    let lower = line.to_ascii_lowercase();
    let word = lower.match_indices("issue ").any(|(at, word)| {
        let after = lower.get(at + word.len()..).unwrap_or_default();
        after
            .trim_start_matches('#')
            .starts_with(|char: char| char.is_ascii_digit())
    });
    hash || word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_at_an_end_is_found() {
        let files = Files::made_up(&[("a.rs", "fn a() {} \n"), ("b.md", "text"), ("c.rs", "ok\n")]);
        let places: Vec<_> = trailing_whitespace(&files)
            .into_iter()
            .map(|finding| (finding.path, finding.line))
            .collect();
        assert_eq!(places, [("a.rs".to_owned(), 1), ("b.md".to_owned(), 0)]);
    }

    #[test]
    fn a_big_file_is_found() {
        let big = "x".repeat(SIZE_MAX + 1);
        let found = size(&Files::made_up(&[("big", &big), ("small", "x")]));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let found = |line: &str| machine_path(line).is_some();
        assert!(found(concat!("see /wo", "rk/main")));
        assert!(found(concat!("\"/ro", "ot/.cargo\"")));
        assert!(found(concat!("/ho", "me/anna/dunlin")));
        assert!(!found(concat!("/ho", "me/a")));
        assert!(!found(concat!("frame", "wo", "rk/x")));
        assert!(!found("/var/lib/dunlin"));
    }

    #[test]
    fn issue_numbers_are_found() {
        assert!(cites_issue(concat!("// see ", "#", "12")));
        assert!(cites_issue(concat!("fixes Iss", "ue 3")));
        assert!(!cites_issue("the filter sport/#, then"));
        assert!(!cites_issue("#[derive(Debug)]"));
        assert!(!cites_issue("{value:#06x}"));
        assert!(!cites_issue("an issue with 3 parts"));
    }
}
