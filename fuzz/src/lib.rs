//! Fuzz targets as plain functions: each takes any bytes and panics when a promise is broken.
//!
//! `cargo test -p dunlin-fuzz` runs them on generated and mutated input with a stable compiler.
//! Under `cargo fuzz` (which needs a nightly one) a target is a single line in a crate of its own:
//! `libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dunlin_fuzz::codec(bytes));`

mod codec;

pub use codec::codec;
