//! The scan against the plain matcher, whole and in slices with changes between them, and what it looks at.

use super::{HasTopic, Next, ScanEnd, TopicMap, advance, first};
use crate::routing::matching::matches;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    topic: String,
    value: u32,
}

impl HasTopic for Entry {
    fn topic(&self) -> &str {
        &self.topic
    }
}

fn entry(topic: &str) -> Entry {
    Entry {
        topic: topic.to_owned(),
        value: 0,
    }
}

/// Names whose first difference lies on both sides of `/`, and around `$` and `%`.
const LEVELS: [&str; 14] = [
    "",
    "a",
    "a-",
    "a b",
    "a.",
    "a0",
    "ab",
    "b",
    "$",
    "$x",
    "%",
    "#x",
    "ä",
    "\u{10FFFF}",
];

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LEVELS[..])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![1 => level(), 1 => Just("+")];
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, multi)| {
            levels.extend(multi.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}

#[derive(Clone, Debug)]
struct Slice {
    budget: usize,
    stops_at_match: bool,
    inserted: Vec<String>,
    removed: Vec<usize>,
}

fn slice() -> impl Strategy<Value = Slice> {
    let inserted = prop::collection::vec(topic(), 0..4);
    let removed = prop::collection::vec(any::<usize>(), 0..4);
    (0..6usize, prop::bool::weighted(0.2), inserted, removed).prop_map(
        |(budget, stops_at_match, inserted, removed)| Slice {
            budget,
            stops_at_match,
            inserted,
            removed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nothing_that_matches_is_jumped_over(filter in filter(), topic in topic(), others in prop::collection::vec(topic(), 40)) {
        let mut target = String::new();
        let (matched, next) = advance(&filter, &topic, &mut target);
        prop_assert_eq!(matched, matches(&filter, &topic));
        prop_assert!(next != Next::Seek || target.as_str() > topic.as_str());
        let mut start = String::new();
        first(&filter, &mut start);
        for other in others.iter().filter(|other| matches(&filter, other)) {
            prop_assert!(other.as_str() >= start.as_str(), "{other:?} is before the start {start:?}");
            if *other > topic {
                let reached = match next {
                    Next::Following => true,
                    Next::Seek => other.as_str() >= target.as_str(),
                    Next::Nothing => false,
                };
                prop_assert!(reached, "{other:?} is jumped over: {next:?} {target:?}");
            }
        }
    }

    #[test]
    fn slices_visit_what_stays_exactly_once(
        filter in filter(),
        start in prop::collection::vec(topic(), 0..60),
        slices in prop::collection::vec(slice(), 1..12),
    ) {
        let mut map = TopicMap::new();
        let mut model: BTreeMap<String, u32> = BTreeMap::new();
        for (value, topic) in (0u32..).zip(start) {
            let old = model.insert(topic.clone(), value);
            prop_assert_eq!(map.replace(Entry { topic, value }).map(|old| old.value), old);
        }
        let mut stayed: BTreeSet<String> = model.keys().cloned().collect();
        let mut visited: Vec<String> = Vec::new();
        let mut after: Option<Box<str>> = None;
        let mut slices = slices.into_iter();
        loop {
            // When the changes are used up, the rest is scanned in slices of one entry.
            let slice = slices.next();
            let (budget, stops) = slice.as_ref().map_or((1, false), |slice| (slice.budget, slice.stops_at_match));
            let mut matched = 0;
            let end = map.scan(&filter, after.as_deref(), budget, |entry| {
                matched += 1;
                assert_eq!(model.get(&entry.topic), Some(&entry.value));
                visited.push(entry.topic.clone());
                if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let most = if stops { 1 } else { budget.max(1) };
            prop_assert!(matched <= most);
            match end {
                ScanEnd::Done => break,
                ScanEnd::More { after: reached } => {
                    prop_assert!(after.as_deref().is_none_or(|before| before < &*reached), "no progress");
                    after = Some(reached);
                }
            }
            let Some(slice) = slice else { continue };
            for topic in slice.inserted {
                prop_assert_eq!(map.replace(Entry { topic: topic.clone(), value: 1 }).is_some(), model.insert(topic, 1).is_some());
            }
            for at in slice.removed {
                let Some(topic) = model.keys().nth(at % model.len().max(1)).cloned() else { continue };
                prop_assert_eq!(map.remove(&topic).map(|old| old.value), model.remove(&topic));
                prop_assert_eq!(map.remove(&topic), None);
                stayed.remove(&topic);
            }
        }
        prop_assert!(visited.is_sorted_by(|one, other| one < other), "once each, in order: {visited:?}");
        prop_assert!(visited.iter().all(|topic| matches(&filter, topic)));
        let visited: BTreeSet<String> = visited.into_iter().collect();
        for topic in stayed.iter().filter(|topic| matches(&filter, topic)) {
            prop_assert!(visited.contains(topic), "{topic:?} was lost");
        }
        prop_assert_eq!(map.len(), model.len());
        prop_assert!(map.iter().map(|entry| &entry.topic).eq(model.keys()));
        for (topic, value) in &model {
            prop_assert_eq!(map.get(topic).map(|entry| entry.value), Some(*value));
        }
    }
}

/// The topics a filter finds, and how many entries had to be looked at.
fn looked_at(map: &TopicMap<Entry>, filter: &str) -> (usize, usize) {
    let mut found = 0;
    let mut looks = 0;
    let mut after: Option<Box<str>> = None;
    loop {
        looks += 1;
        let end = map.scan(filter, after.as_deref(), 1, |_| {
            found += 1;
            ControlFlow::Continue(())
        });
        match end {
            ScanEnd::Done => return (found, looks),
            ScanEnd::More { after: reached } => after = Some(reached),
        }
    }
}

#[test]
fn subtrees_that_cannot_match_are_jumped_over() {
    let mut map = TopicMap::new();
    for site in 0..20 {
        for sensor in 0..100 {
            map.replace(entry(&format!("site{site}/sensor{sensor}/value")));
            map.replace(entry(&format!("site{site}/sensor{sensor}/unit")));
        }
        map.replace(entry(&format!("$SYS/site{site}")));
    }
    assert_eq!(map.len(), 4_020);
    // No wildcard: one entry, whether it's there or not.
    assert_eq!(looked_at(&map, "site7/sensor5/value"), (1, 1));
    assert_eq!(looked_at(&map, "site7/sensor5"), (0, 1));
    assert_eq!(looked_at(&map, "zzz"), (0, 1));
    // A subtree: itself and one entry behind it.
    assert!(looked_at(&map, "site7/#").1 <= 200 + 2);
    assert!(looked_at(&map, "site7/sensor5/+").1 <= 2 + 2);
    // A `+` costs a few looks per value.
    let (found, looks) = looked_at(&map, "+/sensor5/value");
    assert!(found == 20 && looks <= 3 * 20 + 3, "{looks}");
    let (found, looks) = looked_at(&map, "+/sensor5/#");
    assert!(found == 40 && looks <= 4 * 20 + 3, "{looks}");
    let (found, looks) = looked_at(&map, "+/nothing/value");
    assert!(found == 0 && looks <= 2 * 20 + 3, "{looks}");
    let (found, looks) = looked_at(&map, "+");
    assert!(found == 0 && looks <= 20 + 3, "{looks}");
    // `$` topics are one jump for a wildcard.
    assert!(looked_at(&map, "#").1 <= 4_000 + 2);
    assert_eq!(looked_at(&map, "$SYS/+").0, 20);
}

#[test]
fn a_topic_and_what_is_below_it_do_not_stand_together() {
    let mut map = TopicMap::new();
    for topic in [
        "a", "a b", "a b/c", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "a0/b",
    ] {
        map.replace(entry(topic));
    }
    let found = |filter: &str| {
        let mut found = Vec::new();
        let end = map.scan(filter, None, 100, |entry| {
            found.push(entry.topic.clone());
            ControlFlow::Continue(())
        });
        assert_eq!(end, ScanEnd::Done);
        found
    };
    assert_eq!(found("a/#"), ["a", "a/b", "a/b/c"]);
    assert_eq!(found("+/#").len(), 9);
    assert_eq!(found("+/b"), ["a/b", "a0/b"]);
    assert_eq!(found("+/c"), ["a b/c", "a-b/c"]);
    assert_eq!(found("+/+/#"), ["a b/c", "a-b/c", "a/b", "a/b/c", "a0/b"]);
    assert_eq!(looked_at(&map, "a/#"), (3, 4));
}

#[test]
fn a_stopped_scan_goes_on_behind_the_value_it_stopped_at() {
    let mut map = TopicMap::new();
    for topic in ["a/1", "a/2", "b"] {
        map.replace(entry(topic));
    }
    let end = map.scan("a/+", None, 10, |_| ControlFlow::Break(()));
    assert_eq!(
        end,
        ScanEnd::More {
            after: "a/1".into()
        }
    );
    map.remove("a/1");
    let mut found = Vec::new();
    let end = map.scan("a/+", Some("a/1"), 10, |entry| {
        found.push(entry.topic.clone());
        ControlFlow::Continue(())
    });
    assert_eq!((end, found), (ScanEnd::Done, vec!["a/2".to_owned()]));
}

#[test]
fn the_deepest_filters_need_no_stack() {
    let mut map = TopicMap::new();
    let deep = "a/".repeat(65_534) + "a";
    map.replace(entry(&deep));
    map.replace(entry(&deep[2..]));
    assert_eq!(looked_at(&map, &("+/".repeat(65_534) + "+")).0, 1);
    assert_eq!(looked_at(&map, &("a/".repeat(65_534) + "#")).0, 2);
    assert_eq!(looked_at(&map, "#").0, 2);
}
