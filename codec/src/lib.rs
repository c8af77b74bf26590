//! The wire format of MQTT 3.1, 3.1.1 and 5.
//!
//! Answers for: turning bytes into packets and packets into bytes, strictly. Decoding borrows from
//! its input, allocates nothing and cannot panic, whatever the bytes. Does not answer for anything
//! that needs memory of earlier packets (that is the engine's or the client's business).
//!
//! MQTT 5 sections 1.5, 2, 3 and 4.7; MQTT 3.1.1 the same chapters.

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

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod error;
pub mod fixed_header;
pub mod packet;
pub mod property;
pub mod reader;
pub mod reason_code;
pub mod scalar;
pub mod topic;
pub mod writer;

pub use error::{DecodeError, EncodeError, Malformed};
pub use fixed_header::FixedHeader;
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, RetainHandling, SubAck, Subscribe,
    Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Will, decode,
};
pub use property::{Properties, Property, PropertyPlace};
pub use reason_code::ReasonCode;
pub use scalar::{PacketId, PacketType, QoS, Version};
pub use writer::{Sink, SliceWriter};
