//! Decisions (docs/decisions) are numbered without gaps and listed in the folder's README.md.

use super::Finding;
use super::files::Files;

const FOLDER: &str = "docs/decisions/";
const LIST: &str = "docs/decisions/README.md";

pub(super) fn numbered_and_listed(files: &Files) -> Vec<Finding> {
    let list = files.text(LIST).unwrap_or_default();
    let mut findings = Vec::new();
    let mut numbers = Vec::new();
    for file in files.0.iter().filter(|file| file.path != LIST) {
        let Some(name) = file.path.strip_prefix(FOLDER) else {
            continue;
        };
        match number(name) {
            Some(number) => numbers.push(number),
            None => findings.push(Finding::new(&file.path, 0, "isn't named NNNN-title.md")),
        }
        if !list.contains(&format!("({name})")) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("isn't linked from {LIST}"),
            ));
        }
    }
    numbers.sort_unstable();
    for (expected, number) in (1..).zip(numbers) {
        if number != expected {
            let message =
                format!("decision {expected:04} is missing or {number:04} is there twice");
            findings.push(Finding::new(LIST, 0, message));
            break;
        }
    }
    findings
}

fn number(name: &str) -> Option<u32> {
    let (number, title) = name.split_once('-')?;
    let is_title = title.ends_with(".md") && title.len() > ".md".len();
    (number.len() == 4 && is_title).then_some(())?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(list: &str, names: &[&str]) -> usize {
        let paths: Vec<String> = names.iter().map(|name| format!("{FOLDER}{name}")).collect();
        let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        files.push((LIST, list));
        numbered_and_listed(&Files::made_up(&files)).len()
    }

    #[test]
    fn numbered_and_linked_is_fine() {
        assert_eq!(
            count("[a](0001-a.md) [b](0002-b.md)", &["0002-b.md", "0001-a.md"]),
            0
        );
    }

    #[test]
    fn what_is_unlinked_unnumbered_or_out_of_row_is_found() {
        assert_eq!(count("", &["0001-a.md"]), 1);
        assert_eq!(count("(a.md)", &["a.md"]), 1);
        assert_eq!(
            count("(0001-a.md) (0003-c.md)", &["0001-a.md", "0003-c.md"]),
            1
        );
        assert_eq!(
            count("(0001-a.md) (0001-b.md)", &["0001-a.md", "0001-b.md"]),
            1
        );
    }
}
