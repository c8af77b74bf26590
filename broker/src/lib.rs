//! Dunlin, an MQTT 3.1.1 and 5 broker for edge devices: everything of it that touches the world.
//!
//! Answers for sockets, files, clocks, tasks, configuration and the command line. Does not answer
//! for the rules of MQTT: they are `dunlin_engine`'s, and the bytes are `dunlin_codec`'s.

pub mod cli;
pub mod config;
pub mod data_dir;
pub mod reload;
pub mod telemetry;
