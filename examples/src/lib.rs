//! What the example programs share: this machine's own telemetry, and how it is written and read.
//!
//! Answers for reading /proc and /sys of Linux, whatever stands there: what can't be read is left out.
//! Does not answer for MQTT: see `src/bin`.

pub mod cpu;
pub mod disk;
pub mod memory;
pub mod network;
pub mod pause;
pub mod payload;
pub mod sampler;
pub mod temperature;

pub use sampler::{Group, Sampler};
