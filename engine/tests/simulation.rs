//! A simulation: clients, links that break, a disk that forgets and a broker that crashes, all from
//! a seed. After each run everything comes to rest, and the broker's promises are checked.
//!
//! A failure prints its seed and how to run it again. `DUNLIN_SOAK=1` plays many more seeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

mod sim;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sim::world::World;
use sim::{Honesty, checks, seed_to_replay, soak};

/// Seeds of one run; each is a history of [`STEPS`] events.
const SEEDS: usize = 100;
const STEPS: usize = 1500;

/// One history, from its beginning to its check.
fn play(seed: u64, honesty: Honesty) -> BTreeMap<&'static str, usize> {
    let mut world = World::new(seed, honesty);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    checks::check(&mut world);
    world.events
}

#[test]
fn promises_hold_whatever_happens() {
    if let Some(seed) = seed_to_replay() {
        play(seed, Honesty::Synced);
        return;
    }
    let mut events = BTreeMap::<&str, usize>::new();
    for seed in 0..SEEDS * soak(50) {
        let seed = u64::try_from(seed).unwrap();
        match catch_unwind(AssertUnwindSafe(|| play(seed, Honesty::Synced))) {
            Ok(counts) => {
                for (event, count) in counts {
                    *events.entry(event).or_default() += count;
                }
            }
            Err(panic) => {
                eprintln!(
                    "seed {seed} failed; again: \
                     DUNLIN_SEED={seed} cargo test -p dunlin-engine --test simulation promises"
                );
                resume_unwind(panic);
            }
        }
    }
    // A run without crashes would prove little.
    for event in [
        "crash",
        "cut",
        "disconnect",
        "sync",
        "time",
        "subscribe",
        "answer",
    ] {
        let count = events.get(event).copied().unwrap_or(0);
        assert!(count >= SEEDS, "only {count} times: {event}");
    }
}

/// Whether some history shows that this disk can't be trusted.
fn is_found(honesty: Honesty) -> bool {
    (0..40).any(|seed| catch_unwind(AssertUnwindSafe(|| play(seed, honesty))).is_err())
}

#[test]
fn a_disk_that_claims_too_early_is_found() {
    assert!(is_found(Honesty::Lying));
}

#[test]
fn a_journal_without_identifiers_of_publishers_is_found() {
    assert!(is_found(Honesty::ForgetsInbound));
}

#[test]
fn a_journal_without_receipts_of_subscribers_is_found() {
    assert!(is_found(Honesty::ForgetsReceived));
}
