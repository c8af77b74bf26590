//! Fuzz targets as plain functions: each takes any bytes and panics when a promise is broken.
//!
//! `cargo test -p dunlin-fuzz` runs them on generated and mutated input with a stable compiler.
//! Under `cargo fuzz` (which needs a nightly one) a target is a single line in a crate of its own:
//! `libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dunlin_fuzz::codec(bytes));`

#![allow(clippy::panic, clippy::indexing_slicing)] // a broken promise is reported by a panic

mod codec;
mod connection;
mod trie;

pub use codec::codec;
pub use connection::connection;
pub use trie::trie;
