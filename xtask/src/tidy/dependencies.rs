//! Which crate may depend on which. What cargo resolves is asked, not what the manifests look like: a forbidden crate
//! that comes in through another one counts too.

use super::Finding;
use crate::process::{Outcome, cargo, output};

/// The arrows between our crates, for the product and its tests alike: from each to what it may use.
const ARROWS: [(&str, &[&str]); 8] = [
    ("dunlin-codec", &[]),
    ("dunlin-engine", &["dunlin-codec"]),
    ("dunlin-client", &["dunlin-codec"]),
    (
        "dunlin",
        &["dunlin-codec", "dunlin-engine", "dunlin-client"],
    ),
    ("dunlin-examples", &["dunlin-codec", "dunlin-client"]),
    (
        "dunlin-fuzz",
        &["dunlin-codec", "dunlin-engine", "dunlin-client", "dunlin"],
    ),
    (
        "dunlin-tests",
        &[
            "dunlin-codec",
            "dunlin-engine",
            "dunlin-client",
            "dunlin",
            "dunlin-fuzz",
        ],
    ),
    ("xtask", &[]),
];

/// A crate that runs without an operating system or without I/O, and all that may stand below it, directly or not. To
/// add one is a decision: is it maintained, small, without I/O, does it build for boards?
struct Closure {
    krate: &'static str,
    /// For cargo: with which features. A feature for gateways may bring what a board never sees.
    features: &'static str,
    allowed: &'static [&'static str],
}

const CLOSURES: [Closure; 4] = [
    Closure {
        krate: "dunlin-codec",
        features: "--all-features",
        allowed: &[],
    },
    Closure {
        krate: "dunlin-engine",
        features: "--all-features",
        allowed: &["dunlin-codec", "bytes", "foldhash", "siphasher", "smallvec"],
    },
    Closure {
        krate: "dunlin-client",
        features: "--no-default-features",
        allowed: &[
            "dunlin-codec",
            "byteorder",
            "embedded-io",
            "embedded-io-async",
            "hash32",
            "heapless",
            "stable_deref_trait",
        ],
    },
    Closure {
        krate: "xtask",
        features: "--all-features",
        allowed: &[],
    },
];

pub(super) fn findings() -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    let direct = output(&mut cargo([
        "tree",
        "--workspace",
        "--all-features",
        "--edges",
        "normal,build,dev",
        "--depth",
        "1",
        "--prefix",
        "depth",
        "--format",
        "{p}",
    ]))?;
    findings.extend(arrows(&edges(&direct)));
    for closure in &CLOSURES {
        let all = output(&mut cargo([
            "tree",
            "--package",
            closure.krate,
            closure.features,
            "--edges",
            "normal,build",
            "--prefix",
            "depth",
            "--format",
            "{p}",
        ]))?;
        findings.extend(strangers(closure, &all));
    }
    Ok(findings)
}

/// Which crate names which directly, from the lines of `cargo tree --prefix depth --depth 1`.
fn edges(tree: &str) -> Vec<(&str, &str)> {
    let mut edges = Vec::new();
    let mut from = "";
    for line in tree.lines() {
        match node(line) {
            Some((0, name)) => from = name,
            Some((_, name)) => edges.push((from, name)),
            None => {}
        }
    }
    edges
}

/// `2bytes v1.12.1` is `bytes` at depth 2; headings such as `[dev-dependencies]` and empty lines are nothing.
fn node(line: &str) -> Option<(u32, &str)> {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let (depth, rest) = line.split_at_checked(digits)?;
    Some((depth.parse().ok()?, rest.split(' ').next()?))
}

fn arrows(edges: &[(&str, &str)]) -> Vec<Finding> {
    let ours = |name: &str| ARROWS.iter().any(|(krate, _)| *krate == name);
    let mut findings = Vec::new();
    for (from, to) in edges.iter().filter(|(from, to)| ours(to) || !ours(from)) {
        let message = match ARROWS.iter().find(|(krate, _)| krate == from) {
            None => format!("{from} is a new crate: decide what it may use"),
            Some((_, allowed)) if !allowed.contains(to) && from != to => {
                format!("{from} may not depend on {to}")
            }
            Some(_) => continue,
        };
        findings.push(Finding::new("Cargo.toml", 0, message));
    }
    findings
}

/// What stands below the crate and isn't allowed there.
fn strangers(closure: &Closure, tree: &str) -> Vec<Finding> {
    let mut strangers: Vec<&str> = tree
        .lines()
        .filter_map(node)
        .map(|(_, name)| name)
        .filter(|name| *name != closure.krate && !closure.allowed.contains(name))
        .collect();
    strangers.sort_unstable();
    strangers.dedup();
    strangers
        .into_iter()
        .map(|name| {
            let message = format!("{} may not stand on {name}, directly or not", closure.krate);
            Finding::new("Cargo.lock", 0, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_tree_is_read() {
        let tree = "0dunlin v0.1.0 (/x/broker)\n1bytes v1.12.1\n[dev-dependencies]\n1tempfile v3.0.0\n\n\
                    0xtask v0.1.0 (/x/xtask)\n";
        assert_eq!(edges(tree), [("dunlin", "bytes"), ("dunlin", "tempfile")]);
    }

    #[test]
    fn an_arrow_that_points_the_wrong_way_is_found() {
        assert_eq!(arrows(&[("dunlin-codec", "dunlin-engine")]).len(), 1);
        assert_eq!(arrows(&[("dunlin-engine", "dunlin")]).len(), 1);
        assert_eq!(arrows(&[("dunlin-stranger", "bytes")]).len(), 1);
        let fine = [("dunlin-engine", "dunlin-codec"), ("dunlin", "tokio")];
        assert!(arrows(&fine).is_empty());
    }

    #[test]
    fn what_comes_in_through_another_crate_is_found() {
        let tree =
            "0dunlin-engine v0.1.0 (/x)\n1bytes v1.0.0\n2tokio v1.0.0\n1dunlin-codec v0.1.0 (/x)\n";
        let closure = Closure {
            krate: "dunlin-engine",
            features: "",
            allowed: &["bytes", "dunlin-codec"],
        };
        let found = strangers(&closure, tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("tokio"));
    }
}
