//! The small fixed vocabularies of the wire: protocol versions, packet types, QoS, packet identifiers.
//!
//! MQTT 5 sections 2.1.2, 2.2.1, 3.1.2.2, 4.3.

use core::num::NonZeroU16;

use crate::error::Malformed;

/// A Packet Identifier: 1 to 65,535, never 0. [MQTT-2.2.1-3] [MQTT-2.2.1-4]
pub type PacketId = NonZeroU16;

/// The protocol version that a CONNECT named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1 ("MQIsdp", level 3), which old devices still send.
    V3 = 3,
    /// MQTT 3.1.1 ("MQTT", level 4).
    V4 = 4,
    /// MQTT 5 ("MQTT", level 5).
    V5 = 5,
}

impl Version {
    /// Whether packets of this version carry properties and reason codes.
    #[inline]
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Quality of Service level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Delivered at most once; never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// Delivered at least once; PUBACK.
    AtLeastOnce = 1,
    /// Delivered exactly once; PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of two bits, `None` for the forbidden value 3.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The two bits of the wire: 0, 1 or 2.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// The Control Packet type: the upper four bits of the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the standard's own
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type of a first byte's upper four bits.
    ///
    /// # Errors
    /// [`Malformed::ReservedPacketType`] for type 0, and for type 15 before MQTT 5.
    pub const fn from_bits(bits: u8, version: Version) -> Result<Self, Malformed> {
        Ok(match bits {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 if version.is_v5() => Self::Auth,
            _ => return Err(Malformed::ReservedPacketType),
        })
    }
}
