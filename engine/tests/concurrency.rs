//! The hub's doors against each other, in many interleavings: every lock and atomic of the engine
//! is a point where threads may switch. Found this way: lost wake-ups, deadlocks, a journal that
//! doesn't add up to the state.
//!
//! Only under `--cfg shuttle`:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p dunlin-engine --test concurrency --target-dir target/shuttle`.
//! A failure prints the schedule's seed; `SHUTTLE_RANDOM_SEED=seed` with the test's name replays it.
#![cfg(shuttle)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // a test that stumbles fails

mod interleaved;
mod sim;
