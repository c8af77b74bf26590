//! An MQTT 3.1.1 and 5 client for boards and gateways.
//!
//! Answers for: the client's side of the protocol, in [`Session`]: bytes in, bytes out, events and
//! deadlines, with the time as an argument. It needs no operating system, no allocator and no async
//! runtime; the wire format is `dunlin_codec`'s. Does not answer for sockets, clocks or reconnecting: a
//! driver has them. The feature `tokio` adds one for programs on an operating system, `Client`.
//!
//! MQTT 5 chapters 3 and 4; MQTT 3.1.1 the same chapters.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::std_instead_of_core
)]

#[cfg(any(test, feature = "tokio"))]
extern crate std;

#[cfg(feature = "tokio")]
pub mod client;
pub mod error;
pub mod event;
pub mod options;
pub mod session;
pub mod time;

#[cfg(feature = "tokio")]
pub use client::{Client, ClientError};
pub use dunlin_codec::{
    Malformed, PacketId, PacketType, Properties, Property, QoS, ReasonCode, RetainHandling,
    Subscription, SubscriptionOptions, Version, Will, topic,
};
pub use error::{CommandError, Error, OptionsError, Violation};
pub use event::{Connected, Event, Failure, Message, ReasonCodes, Received};
pub use options::Options;
pub use session::{Session, TimeoutReason};
pub use time::Instant;
