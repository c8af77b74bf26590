//! What can be wrong with a configuration, and how it is said: the key, the value, the layer it came
//! from and what would be valid, all of it at once.
//!
//! Does not answer for finding the problems (`layers`, `value`, `listeners`).

use std::fmt;
use std::path::{Path, PathBuf};

use ::config::ValueKind;

use super::value::{Setting, shown};

/// The layer that a value comes from, lowest first. The merged values carry it as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File {
        /// The file as it was named.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// The environment variable of this name.
    Environment(String),
    /// This command line flag.
    Flag(String),
}

impl Origin {
    /// A value of this origin.
    pub(super) fn setting(&self, kind: impl Into<ValueKind>) -> Setting {
        Setting::new(Some(&self.to_string()), kind)
    }

    /// Where a value comes from: the way back from [`Origin::setting`].
    pub(super) fn of(setting: &Setting) -> Self {
        let text = setting.origin().unwrap_or_default();
        match text.split_once(' ') {
            Some(("file", rest)) => rest.rsplit_once(", line ").and_then(|(path, line)| {
                Some(Self::File {
                    path: path.to_owned(),
                    line: line.parse().ok()?,
                })
            }),
            Some(("environment", name)) => Some(Self::Environment(name.to_owned())),
            Some(("flag", flag)) => Some(Self::Flag(flag.to_owned())),
            _ => None,
        }
        .unwrap_or(Self::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "file {}, line {line}", printable(path)),
            Self::Environment(name) => write!(f, "environment {}", printable(name)),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The configuration file can't be read.
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The configuration file isn't TOML.
    Syntax {
        /// Where it stops being TOML.
        origin: Origin,
        /// What the parser says.
        reason: String,
    },
    /// The layers can't be laid upon each other.
    Unmerged {
        /// What the `config` crate says.
        reason: String,
    },
    /// Nothing is configured under this name.
    Unknown {
        /// The name as written.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A key that must be there.
    Missing {
        /// The key.
        key: String,
        /// What lacks it.
        origin: Origin,
        /// What to add.
        advice: String,
    },
    /// A value that isn't allowed for its key.
    Invalid {
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// Where it comes from.
        origin: Origin,
        /// What would be valid, or what to do.
        advice: String,
    },
}

impl Problem {
    pub(super) fn invalid(key: &str, setting: &Setting, advice: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            value: shown(setting),
            origin: Origin::of(setting),
            advice: advice.into(),
        }
    }

    /// Problems of one file are told in the order of its lines.
    fn line(&self) -> usize {
        match self {
            Self::Syntax { origin, .. }
            | Self::Unknown { origin, .. }
            | Self::Missing { origin, .. }
            | Self::Invalid { origin, .. } => match origin {
                Origin::File { line, .. } => *line,
                Origin::Default | Origin::Environment(_) | Origin::Flag(_) => usize::MAX,
            },
            Self::Unreadable { .. } | Self::Unmerged { .. } => 0,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, reason } => {
                write!(f, "file {}: can't be read: {reason}", printable_path(path))
            }
            Self::Syntax { origin, reason } => write!(f, "{origin}: not TOML: {reason}"),
            Self::Unmerged { reason } => write!(f, "the layers can't be merged: {reason}"),
            Self::Unknown {
                key,
                origin,
                nearest: Some(nearest),
            } => {
                write!(
                    f,
                    "{} ({origin}): no such key; did you mean {nearest}?",
                    printable(key)
                )
            }
            Self::Unknown {
                key,
                origin,
                nearest: None,
            } => write!(
                f,
                "{} ({origin}): no such key; `dunlin print-config` lists the keys",
                printable(key)
            ),
            Self::Missing {
                key,
                origin,
                advice,
            } => write!(f, "{key} ({origin}): missing: {advice}"),
            Self::Invalid {
                key,
                value,
                origin,
                advice,
            } => {
                write!(f, "{key} = {value} ({origin}): {advice}")
            }
        }
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` when there are any.
    pub(super) fn check(mut found: Vec<Problem>) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(Problem::line);
        Err(Self(found))
    }

    /// One by one.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [_] => f.write_str("the configuration has a problem:")?,
            several => write!(f, "the configuration has {} problems:", several.len())?,
        }
        for problem in &self.0 {
            for line in problem.to_string().lines() {
                let indent = if line.is_empty() { "" } else { "  " };
                write!(f, "\n{indent}{line}")?;
            }
        }
        Ok(())
    }
}

/// The text without control characters, which could end a comment or drive a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

/// A path for a message, without control characters.
pub(super) fn printable_path(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// The candidate that `word` is most like, if it is like one at all.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may differ; more than that is another word.
    let bound = word.chars().count().div_ceil(3);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance: letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((b, above), diagonal) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or(i);
            next.push(
                (diagonal + usize::from(a != *b))
                    .min(above + 1)
                    .min(left + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }

    #[test]
    fn suggests_the_nearest_name_and_only_a_near_one() {
        let names = ["limits.connections", "limits.connect_timeout", "log.level"];
        assert_eq!(
            nearest("limits.conections", names.into_iter()),
            Some("limits.connections")
        );
        assert_eq!(nearest("log.lvl", names.into_iter()), Some("log.level"));
        assert_eq!(nearest("persistence", names.into_iter()), None);
    }

    #[test]
    fn an_origin_outlives_its_way_through_a_merged_value() {
        for origin in [
            Origin::Default,
            Origin::File {
                path: "a b, line 3".into(),
                line: 7,
            },
            Origin::Environment("DUNLIN__LOG__LEVEL".into()),
            Origin::Flag("--log-level".into()),
        ] {
            assert_eq!(Origin::of(&origin.setting(true)), origin);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\nb\u{1b}[1mé"), "a\\nb\\u{1b}[1mé");
    }

    #[test]
    fn problems_of_a_file_come_in_the_order_of_its_lines() {
        let at = |line| Problem::Unknown {
            key: format!("k{line}"),
            origin: Origin::File {
                path: "a.toml".into(),
                line,
            },
            nearest: None,
        };
        let flag = Problem::Invalid {
            key: "log.level".into(),
            value: "loud".into(),
            origin: Origin::Flag("--log-level".into()),
            advice: "use one of \"info\", \"debug\"\nor nothing".into(),
        };
        let problems = Problems::check(vec![flag, at(7), at(2)]).map_err(|p| p.to_string());
        assert_eq!(
            problems,
            Err("the configuration has 3 problems:\n  \
                 k2 (file a.toml, line 2): no such key; `dunlin print-config` lists the keys\n  \
                 k7 (file a.toml, line 7): no such key; `dunlin print-config` lists the keys\n  \
                 log.level = loud (flag --log-level): use one of \"info\", \"debug\"\n  \
                 or nothing"
                .to_owned())
        );
        assert_eq!(Problems::check(Vec::new()), Ok(()));
    }
}
