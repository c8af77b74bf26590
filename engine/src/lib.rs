//! The rules of an MQTT broker as deterministic state machines.
//!
//! Answers for: what a server does with each packet of MQTT 3.1, 3.1.1 and 5, who gets a message,
//! what must be durable before an acknowledgement leaves. Does not answer for sockets, files,
//! clocks, randomness or tasks: time and seeds come in as arguments, bytes go in and out of
//! buffers, and the same inputs always give the same outputs.
//!
//! Start reading at [`hub`], then [`connection`].

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod connection;
pub mod drops;
pub mod hub;
pub mod journal;
pub mod limits;
pub mod memory;
pub mod message;
pub mod routing;
pub mod session;
pub mod sync;
pub mod time;
