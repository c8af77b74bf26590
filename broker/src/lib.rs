//! Dunlin, an MQTT 3.1.1 and 5 broker for edge devices: everything of it that touches the world.
//!
//! Answers for sockets, files, clocks, tasks, configuration and the command line. Does not answer
//! for the rules of MQTT: they are `dunlin_engine`'s, and the bytes are `dunlin_codec`'s.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod data_dir;
pub mod drop_report;
pub mod listener;
pub mod log_limit;
pub mod registry;
pub mod reload;
pub mod server;
pub mod telemetry;
pub mod timers;
pub mod wake;
