//! Rules for Markdown: links lead somewhere, and the README keeps its promise of two commands.

use super::Finding;
use super::files::{Files, lines};

const README: &str = "README.md";

/// What a newcomer types; nothing else is needed before them.
const COMMANDS: [&str; 2] = ["cargo run --release", "cargo xtask test"];

/// Links to files of the repository; those to the web can't be checked without it.
pub(super) fn links_lead_somewhere(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.ending(&[".md"]) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in prose(text) {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let place = resolve(folder, target);
                let is_folder = files
                    .0
                    .iter()
                    .any(|file| file.path.starts_with(&format!("{place}/")));
                if !files.contains(&place) && !is_folder {
                    let message = format!("the link to {target} leads nowhere");
                    findings.push(Finding::new(path, number, message));
                }
            }
        }
    }
    findings
}

/// The first two commands of the README, each a line of its own and there once.
pub(super) fn readme_commands(files: &Files) -> Vec<Finding> {
    let Some(text) = files.text(README) else {
        return vec![Finding::new(README, 0, "there is none")];
    };
    let commands: Vec<&str> = fenced(text)
        .map(|(_, line)| line)
        .filter(|line| !line.is_empty())
        .collect();
    let mut findings = Vec::new();
    if commands.get(..COMMANDS.len()) != Some(&COMMANDS[..]) {
        let message = format!("its first commands aren't `{}`", COMMANDS.join("` and `"));
        findings.push(Finding::new(README, 0, message));
    }
    for command in COMMANDS {
        let count = commands.iter().filter(|line| **line == command).count();
        if count != 1 {
            let message =
                format!("has `{command}` {count} times as a line of a code block, not once");
            findings.push(Finding::new(README, 0, message));
        }
    }
    findings
}

/// `target` as seen from `folder`, from the root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The lines inside code blocks.
fn fenced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    marked(text)
        .filter(|(inside, ..)| *inside)
        .map(|(_, number, line)| (number, line))
}

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    marked(text)
        .filter(|(inside, ..)| !*inside)
        .map(|(_, number, line)| (number, line))
}

/// Each line with whether it's inside a code block; the fences themselves are left out.
fn marked(text: &str) -> impl Iterator<Item = (bool, usize, &str)> {
    let mut inside = false;
    lines(text).filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return None;
        }
        Some((inside, number, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_link_is_found() {
        let files = Files::made_up(&[
            (
                "docs/A.md",
                "[ok](B.md) [up](../README.md) [dir](sub/) [web](https://x.org/y)\n",
            ),
            (
                "docs/B.md",
                "[gone](C.md#there)\n```\n[code](never.md)\n```\n",
            ),
            ("docs/sub/D.md", "[self](#part)\n"),
            ("README.md", ""),
        ]);
        let messages: Vec<_> = links_lead_somewhere(&files)
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(messages, ["the link to C.md leads nowhere"]);
    }

    fn count(readme: &str) -> usize {
        readme_commands(&Files::made_up(&[(README, readme)])).len()
    }

    #[test]
    fn the_two_commands_come_first_and_once() {
        let two = "```sh\ncargo run --release\n```\n\n```sh\ncargo xtask test\n```\n";
        assert_eq!(count(two), 0);
        assert_eq!(count(&format!("{two}```\ndunlin sub\n```\n")), 0);
        assert_eq!(count(&format!("```\napt install x\n```\n{two}")), 1);
        assert_eq!(count(&format!("{two}{two}")), 2);
        assert_eq!(count("cargo run --release\ncargo xtask test\n"), 3);
    }
}
