//! The rules of an MQTT broker as deterministic state machines: no I/O, no clock, no randomness.

pub mod routing;
