//! docs/CONFIG.md against the code: every key with its default, range, effect and meaning.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::keys::LISTENER_KEYS;
use super::listeners::Draft;
use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The rows of the documentation's tables, made of the code.
fn documented() -> String {
    let config = Config::default();
    let mut rows = String::new();
    let mut row = |path: &str, default: String, range: String, reloads: bool, meaning: &str| {
        let reload = if reloads { "reload" } else { "restart" };
        writeln!(
            rows,
            "| `{path}` | {default} | {range} | {reload} | {meaning} |"
        )
    };
    for key in KEYS {
        let default = match key.path {
            "data_dir" => "see below".to_owned(),
            _ => format!("`{}`", key.kind.toml(&(key.value)(&config))),
        };
        assert!(
            row(
                key.path,
                default,
                key.kind.range(),
                key.reloads,
                key.meaning
            )
            .is_ok()
        );
    }
    let draft = Draft::from(&Listener::default());
    for key in LISTENER_KEYS {
        let path = format!("listeners[].{}", key.path);
        let default = match key.path {
            "allow_anonymous" => "`true` on loopback".to_owned(),
            _ => format!("`{}`", key.kind.toml(&(key.value)(&draft))),
        };
        assert!(row(&path, default, key.kind.range(), key.reloads, key.meaning).is_ok());
    }
    rows
}

#[test]
#[cfg(target_pointer_width = "64")] // The largest sizes are smaller elsewhere; the page says so.
fn the_documentation_has_every_key_and_no_other() -> Outcome {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
    let page = std::fs::read_to_string(path)?;
    let written: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 4)
        .collect();
    let rows = documented();
    let expected: BTreeSet<&str> = rows.lines().collect();
    let missing: Vec<_> = expected.difference(&written).copied().collect();
    let stray: Vec<_> = written.difference(&expected).copied().collect();
    assert!(
        missing.is_empty() && stray.is_empty(),
        "docs/CONFIG.md lacks\n{}\nand has, which the code doesn't,\n{}",
        missing.join("\n"),
        stray.join("\n")
    );
    Ok(())
}

#[test]
fn the_documented_example_is_valid() -> Outcome {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
    let page = std::fs::read_to_string(path)?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("dunlin.toml");
    let examples: Vec<_> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        std::fs::write(&file, example)?;
        Loaded::read(&Sources {
            file: Some(file.clone()),
            ..Sources::default()
        })?;
    }
    Ok(())
}
