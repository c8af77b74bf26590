//! How long a match, an insert and a remove take in the subscription trie, for some shapes of filters,
//! and what a subscription costs in memory: `cargo bench -p dunlin-engine --bench trie`
//!
//! Prints nanoseconds per operation, the best of several rounds, one thread. Takes a few seconds.

#![allow(
    clippy::disallowed_types,
    reason = "a bench measures time; the engine is given it as an argument"
)]

use dunlin_engine::routing::trie::Trie;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// As large as what the broker keeps per subscription: a reference and a few options.
type Value = (Arc<u64>, u32, u8, bool);

const ROUNDS: usize = 7;

fn main() {
    println!(
        "{:<58}{:>10}{:>10}{:>12}",
        "match", "ns", "matches", "trie MiB"
    );
    let mixed = trie(10_000, mixed_filter);
    let topics =
        |shape: fn(usize) -> String| (0..1_000).map(|at| shape(at * 7)).collect::<Vec<_>>();
    let hit = topics(|at| format!("site/{}/sensor{}/temperature", at % 50, at % 2_000));
    report("10,000 mixed, topic of 4 levels, subscribed", &mixed, &hit);
    let miss = topics(|at| format!("site/{}/sensor{}/voltage", at % 50, at + 100_000));
    report(
        "10,000 mixed, topic of 4 levels, nearly nobody",
        &mixed,
        &miss,
    );
    let stranger = topics(|at| format!("other/{at}/b/c"));
    report("10,000 mixed, unknown first level", &mixed, &stranger);

    let exact = trie(1_000_000, |at| format!("devices/dev-{at:07}/cmd"));
    let topics: Vec<String> = (0..100_000)
        .map(|at| format!("devices/dev-{:07}/cmd", at * 7_919 % 1_000_000))
        .collect();
    report("1,000,000 devices/ID/cmd, random topic", &exact, &topics);

    let one = trie(1, |_| "a/b/c/d".to_owned());
    report("1 subscription", &one, &["a/b/c/d".to_owned()]);
    let all = trie(1, |_| "#".to_owned());
    report("#", &all, &["a/b/c/d".to_owned()]);
    let mut fan_out = Trie::new(1);
    let session = Arc::new(0);
    for key in 0..10_000 {
        fan_out.insert("news/+", key, (session.clone(), 0, 0, false));
    }
    report(
        "10,000 subscribers of news/+",
        &fan_out,
        &["news/today".to_owned()],
    );
    let worst = trie(1 << 10, |at| {
        (0..10)
            .map(|bit| if at >> bit & 1 == 0 { "a" } else { "+" })
            .collect::<Vec<_>>()
            .join("/")
    });
    report(
        "all 1,024 mixtures of a and + in 10 levels",
        &worst,
        &[["a"; 10].join("/")],
    );

    println!(
        "\n{:<58}{:>10}{:>10}{:>12}",
        "insert and remove", "insert ns", "remove ns", "bytes each"
    );
    churn("100,000 devices/ID/cmd", 100_000, |at| {
        format!("devices/dev-{at:07}/cmd")
    });
    churn("1,000,000 devices/ID/cmd", 1_000_000, |at| {
        format!("devices/dev-{at:07}/cmd")
    });
    churn("1,000,000 mixed", 1_000_000, mixed_filter);
    churn("100,000 subscribers of one filter", 100_000, |_| {
        "news/today".to_owned()
    });
}

/// Of 20 filters: one each with `+` last, `+` in the middle and `#` last, 17 without wildcards; and five
/// with `+` first in all.
fn mixed_filter(at: usize) -> String {
    let (site, sensor) = (at % 50, at % 2_000);
    match at % 20 {
        0 => format!("site/{site}/sensor{sensor}/+"),
        1 => format!("site/+/sensor{sensor}/temperature"),
        2 => format!("site/{site}/sensor{at}/#"),
        3 if at < 100 => format!("+/{site}/+/alarm"),
        _ => format!("site/{site}/sensor{at}/temperature"),
    }
}

fn trie(count: usize, filter: impl Fn(usize) -> String) -> Trie<Value> {
    let mut trie = Trie::new(0x5EED);
    let session = Arc::new(0);
    for at in 0..count {
        trie.insert(&filter(at), at as u64, (session.clone(), 0, 1, false));
    }
    trie
}

fn report(name: &str, trie: &Trie<Value>, topics: &[String]) {
    let mut matches = 0usize;
    let mut best = f64::MAX;
    let repeat = (100_000 / topics.len()).clamp(1, 1_000);
    for _ in 0..ROUNDS {
        matches = 0;
        let start = Instant::now();
        for _ in 0..repeat {
            for topic in topics {
                trie.for_each_match(black_box(topic), |value| {
                    matches += usize::from(black_box(value).2 < 3);
                });
            }
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / (repeat * topics.len()) as f64);
    }
    let each = matches as f64 / (repeat * topics.len()) as f64;
    let size = trie.heap_bytes() as f64 / f64::from(1 << 20);
    println!("{name:<58}{best:>10.0}{each:>10.2}{size:>12.1}");
}

fn churn(name: &str, count: usize, filter: impl Fn(usize) -> String) {
    let filters: Vec<String> = (0..count).map(filter).collect();
    let session = Arc::new(0);
    let mut trie: Trie<Value> = Trie::new(0x5EED);
    let mut slowest = 0f64;
    let start = Instant::now();
    for (key, filter) in (0..).zip(&filters) {
        let one = Instant::now();
        trie.insert(filter, key, (session.clone(), 0, 1, false));
        slowest = slowest.max(one.elapsed().as_secs_f64());
    }
    let insert = start.elapsed().as_secs_f64() * 1e9 / count as f64;
    let bytes = trie.heap_bytes() / trie.len();
    let start = Instant::now();
    for (key, filter) in (0..).zip(&filters) {
        trie.remove(filter, key);
    }
    let remove = start.elapsed().as_secs_f64() * 1e9 / count as f64;
    assert!(trie.is_empty());
    println!(
        "{name:<58}{insert:>10.0}{remove:>10.0}{bytes:>12}  slowest insert {:.1} ms",
        slowest * 1e3
    );
}
