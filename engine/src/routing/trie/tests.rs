//! The trie against the plain matcher, and its bounds: nodes visited, depth, fan-out, memory.

use super::texts::Text;
use super::{Kind, Trie};
use crate::routing::matching::matches;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const LEVELS: [&str; 9] = [
    "",
    "a",
    "b",
    "$x",
    "$",
    "ä",
    "水",
    "exactly14bytes",
    "longer than fourteen bytes",
];

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LEVELS[..])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just("+")];
    (
        prop::collection::vec(level, 0..6),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(mut levels, multi)| {
            levels.extend(multi.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        filter: String,
        key: u64,
    },
    Remove {
        filter: String,
        key: u64,
    },
    /// Removes one that is there, chosen by this number.
    RemoveKnown(usize),
    Match {
        topic: String,
    },
}

fn step() -> impl Strategy<Value = Step> {
    // More keys than a group searches one by one.
    let key = 0..14u64;
    prop_oneof![
        6 => (filter(), key.clone()).prop_map(|(filter, key)| Step::Insert { filter, key }),
        2 => key.clone().prop_map(|key| Step::Insert { filter: "a/+".to_owned(), key }),
        1 => (filter(), key).prop_map(|(filter, key)| Step::Remove { filter, key }),
        4 => any::<usize>().prop_map(Step::RemoveKnown),
        3 => topic().prop_map(|topic| Step::Match { topic }),
    ]
}

type Model = BTreeMap<(String, u64), u32>;

/// All nodes that a set of filters can need: their beginnings, without `#`.
fn beginnings(model: &Model) -> BTreeSet<&str> {
    model
        .keys()
        .filter(|(filter, _)| filter != "#")
        .map(|(filter, _)| filter.strip_suffix("/#").unwrap_or(filter))
        .flat_map(|path| {
            path.match_indices('/')
                .map(|(at, _)| &path[..at])
                .chain([path])
        })
        .collect()
}

/// The beginnings that match the first levels of a topic, and the root.
fn nodes_on_the_way(model: &Model, topic: &str) -> usize {
    let starts: Vec<&str> = topic
        .match_indices('/')
        .map(|(at, _)| &topic[..at])
        .chain([topic])
        .collect();
    let on_the_way = |path: &&str| starts.iter().any(|start| path_matches(path, start));
    1 + beginnings(model).into_iter().filter(on_the_way).count()
}

/// As `matches`, but an empty text is one empty level here.
fn path_matches(path: &str, start: &str) -> bool {
    let (path, start): (Vec<_>, Vec<_>) = (path.split('/').collect(), start.split('/').collect());
    path.len() == start.len()
        && path
            .iter()
            .zip(&start)
            .all(|(wanted, level)| *wanted == "+" || wanted == level)
        && !(path[0] == "+" && start[0].starts_with('$'))
}

fn check_accounts(trie: &Trie<u32>, model: &Model) {
    assert_eq!(trie.len(), model.len());
    assert_eq!(trie.is_empty(), model.is_empty());
    assert!(trie.node_count() <= beginnings(model).len());
    let ends: BTreeSet<&str> = model.keys().map(|(filter, _)| filter.as_str()).collect();
    assert_eq!(trie.members.len(), ends.len());
    let nodes: Vec<_> = (0..1_000).filter_map(|id| trie.nodes.get(id)).collect();
    assert_eq!(trie.nodes.len(), nodes.len());
    assert!(
        nodes.iter().skip(1).all(|node| !node.is_bare()),
        "only the root may be bare"
    );
    let long_rest = |kind: &Kind| {
        matches!(
            kind,
            Kind::Leaf {
                rest: Text::Long { .. },
                ..
            }
        )
    };
    let long_names = nodes
        .iter()
        .filter(|node| matches!(node.name, Text::Long { .. }))
        .count();
    let long_rests = nodes.iter().filter(|node| long_rest(&node.kind)).count();
    assert_eq!(trie.texts.len(), long_names + long_rests);
    if model.is_empty() {
        assert_eq!(trie.heap_bytes(), Trie::<u32>::new(0).heap_bytes());
    }
}

fn values(trie: &Trie<u32>, topic: &str) -> Vec<u32> {
    let mut values = Vec::new();
    trie.for_each_match(topic, |value| values.push(*value));
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_plain_matcher(steps in prop::collection::vec(step(), 1..120), seed: u64) {
        let mut trie = Trie::new(seed);
        let mut other_seed = Trie::new(seed ^ 1);
        let mut model = Model::new();
        for (value, step) in (0u32..).zip(steps) {
            let generation = trie.generation();
            let removal = match &step {
                Step::RemoveKnown(at) if !model.is_empty() => model.keys().nth(at % model.len()).cloned(),
                Step::Remove { filter, key } => Some((filter.clone(), *key)),
                _ => None,
            };
            if let Some((filter, key)) = removal {
                let expected = model.remove(&(filter.clone(), key));
                prop_assert_eq!(trie.remove(&filter, key), expected);
                other_seed.remove(&filter, key);
                prop_assert_eq!(trie.value(&filter, key), None);
                prop_assert_eq!(trie.generation() != generation, expected.is_some());
            }
            match step {
                Step::Insert { filter, key } => {
                    prop_assert_eq!(trie.insert(&filter, key, value), model.insert((filter.clone(), key), value));
                    other_seed.insert(&filter, key, value);
                    prop_assert_eq!(trie.value(&filter, key), Some(&value));
                    prop_assert_ne!(trie.generation(), generation);
                }
                Step::Match { topic } => {
                    let found = values(&trie, &topic);
                    prop_assert_eq!(&found, &values(&other_seed, &topic), "order must not depend on the seed");
                    let expected: BTreeSet<u32> = model
                        .iter()
                        .filter(|((filter, _), _)| matches(filter, &topic))
                        .map(|(_, value)| *value)
                        .collect();
                    prop_assert_eq!(found.len(), expected.len(), "none twice");
                    prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
                    let visited = trie.walk(&topic, |_| {});
                    prop_assert!(visited <= nodes_on_the_way(&model, &topic));
                    prop_assert!(visited < 2 << topic.split('/').count());
                }
                Step::Remove { .. } | Step::RemoveKnown(_) => {}
            }
            check_accounts(&trie, &model);
        }
        for (filter, key) in model.clone().into_keys() {
            prop_assert_eq!(trie.remove(&filter, key), model.remove(&(filter, key)));
            check_accounts(&trie, &model);
        }
    }
}

#[test]
fn a_dollar_topic_needs_a_literal_first_level() {
    let mut trie = Trie::new(1);
    for (value, filter) in (0..).zip([
        "#", "+/x", "+/#", "$SYS/x", "$SYS/+", "$SYS/#", "$SYS/x/#", "+",
    ]) {
        trie.insert(filter, 0, value);
    }
    let sorted = |topic| {
        let mut values = values(&trie, topic);
        values.sort_unstable();
        values
    };
    assert_eq!(sorted("$SYS/x"), [3, 4, 5, 6]);
    assert_eq!(sorted("$SYS"), [5]);
    assert_eq!(sorted("$"), [0u32; 0]);
    assert_eq!(sorted("a/x"), [0, 1, 2]);
    assert_eq!(sorted("/$SYS"), [0, 2]);
}

#[test]
fn the_worst_filters_cost_what_the_documentation_says() {
    const LEVELS: u32 = 12;
    let mut trie = Trie::new(2);
    for bits in 0u32..1 << LEVELS {
        let levels: Vec<&str> = (0..LEVELS)
            .map(|at| if bits >> at & 1 == 0 { "a" } else { "+" })
            .collect();
        trie.insert(&levels.join("/"), u64::from(bits), bits);
    }
    let topic = ["a"; LEVELS as usize].join("/");
    assert_eq!(trie.node_count(), (2 << LEVELS) - 2);
    assert_eq!(trie.walk(&topic, |_| {}), (2 << LEVELS) - 1);
    // One name that no filter has halves every level below.
    assert_eq!(
        trie.walk("a/b/a/a/a/a/a/a/a/a/a/a", |_| {}),
        1 + (1 << LEVELS)
    );
    assert_eq!(trie.walk("a", |_| {}), 3);
    // `+` alone is a single path.
    let mut plus = Trie::new(2);
    plus.insert(&["+"; 128].join("/"), 0, 0);
    plus.insert(&(["+"; 127].join("/") + "/b"), 0, 0);
    assert_eq!(plus.walk(&["a"; 128].join("/"), |_| {}), 129);
}

#[test]
fn many_children_cost_one_probe() {
    let mut trie = Trie::new(3);
    for key in 0..50_000 {
        trie.insert(&format!("d/{key}/t"), key, key);
    }
    let mut found = Vec::new();
    assert_eq!(trie.walk("d/31415/t", |value| found.push(*value)), 3);
    assert_eq!(found, [31_415]);
    assert_eq!(trie.node_count(), 50_001);
}

#[test]
fn the_deepest_filters_need_no_stack() {
    // Pairs that part at the last level, so that all the others become nodes.
    let names = "a/".repeat(65_534) + "a";
    let multi = "a/".repeat(65_534) + "#";
    let mixed = "+/a/".repeat(32_767) + "+";
    let mixed_twin = "+/a/".repeat(32_767) + "a";
    let pluses = "+/".repeat(65_534) + "+";
    let empty = "/".repeat(65_534);
    let filters = [&names, &multi, &mixed, &mixed_twin, &pluses, &empty];
    let mut trie = Trie::new(4);
    for (key, filter) in (0u32..).zip(filters) {
        assert_eq!(trie.insert(filter, u64::from(key), key), None);
    }
    assert!(trie.node_count() > 2 * 65_530);
    assert_eq!(values(&trie, &names), [1, 0, 3, 2, 4]);
    assert_eq!(values(&trie, &empty), [5, 4]);
    assert_eq!(values(&trie, &names[..names.len() - 2]), [1]);
    for (key, filter) in (0u32..).zip(filters) {
        assert_eq!(trie.value(filter, u64::from(key)), Some(&key));
        assert_eq!(trie.remove(filter, u64::from(key)), Some(key));
    }
    assert_eq!((trie.len(), trie.node_count()), (0, 0));
    trie.insert(&multi, 0, 0);
    trie.insert(&names, 0, 0);
    drop(trie);
}

#[test]
fn a_hundred_thousand_subscribers_of_one_filter_come_and_go() {
    const MANY: u64 = 100_000;
    let mut trie = Trie::new(5);
    for key in 0..MANY {
        assert_eq!(trie.insert("news/+", key, key), None);
    }
    assert_eq!((trie.len(), trie.node_count()), (100_000, 1));
    assert_eq!(trie.insert("news/+", 77, 0), Some(77));
    let mut count = 0;
    trie.for_each_match("news/today", |_| count += 1);
    assert_eq!(count, MANY);
    let full = trie.heap_bytes();
    // From the front, the worst end for a list; each step would move the whole rest.
    for key in 0..MANY - 1 {
        assert!(trie.remove("news/+", key).is_some());
    }
    assert_eq!(trie.value("news/+", MANY - 1), Some(&(MANY - 1)));
    assert!(
        trie.heap_bytes() < full / 100,
        "the room of a large group is given back"
    );
    assert_eq!(trie.remove("news/+", MANY - 1), Some(MANY - 1));
    assert_eq!(trie.node_count(), 0);
}

#[test]
fn churn_takes_no_more_room() {
    let mut trie = Trie::new(7);
    for key in 0..20 {
        trie.insert("news/+", key, key);
        trie.insert(&format!("a level of its own {key}/x"), key, key);
    }
    let mut bytes = Vec::new();
    for key in 20..5_000 {
        trie.insert("news/+", key, key);
        trie.insert(&format!("a level of its own {key}/x"), key, key);
        trie.remove("news/+", key - 20);
        trie.remove(&format!("a level of its own {}/x", key - 20), key - 20);
        bytes.push(trie.heap_bytes());
    }
    let (early, late) = bytes.split_at(1_000);
    assert!(late.iter().max() <= early.iter().max(), "{late:?}");
    assert_eq!((trie.len(), trie.node_count()), (40, 21));
}

#[test]
fn a_subscription_takes_about_a_hundred_bytes() {
    // A value as the broker keeps it: a reference and a few options.
    type Value = (std::sync::Arc<u8>, u32, u8, bool);
    const COUNT: usize = 100_000;
    let session = std::sync::Arc::new(0);
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 4] = [
        ("command/device-000123", |at| {
            format!("command/device-{at:06}")
        }),
        ("devices/dev-000123/cmd", |at| {
            format!("devices/dev-{at:06}/cmd")
        }),
        ("site/7/line/42/robot-123/#", |at| {
            format!("site/{}/line/{}/robot-{at}/#", at % 10, at / 10 % 100)
        }),
        ("users/6f1c...(36 characters)/inbox/+", |at| {
            format!("users/{at:036x}/inbox/+")
        }),
    ];
    for (name, filter) in shapes {
        let mut trie: Trie<Value> = Trie::new(6);
        let mut text = 0;
        for at in 0..COUNT {
            let filter = filter(at);
            text += filter.len();
            trie.insert(&filter, 0, (session.clone(), 0, 1, true));
        }
        let (each, text) = (trie.heap_bytes() / COUNT, text / COUNT);
        println!(
            "{name}: {each} bytes each, {text} of them text, {} nodes",
            trie.node_count()
        );
        assert!(each < 100 + 2 * text, "{name}: {each} bytes");
    }
}
