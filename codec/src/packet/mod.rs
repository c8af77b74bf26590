//! The 15 Control Packets, and the one door through which bytes become one of them.
//! MQTT 5 chapter 3.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use publish::Publish;
pub(crate) use publish::qos_of_flags;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, Subscription, SubscriptionOptions};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::FixedHeader;
use crate::reader::Reader;
use crate::scalar::{PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// One Control Packet, borrowing its variable parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the standard's own
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Takes the first packet from `bytes`: the packet and how many bytes it took.
///
/// `version` is that of the Network Connection; a CONNECT names its own, so any value serves for
/// it. `maximum_packet_size` counts the whole packet in bytes.
///
/// # Errors
/// [`DecodeError::Incomplete`] when more bytes are needed, else the reason to close.
#[inline]
pub fn decode(
    bytes: &[u8],
    version: Version,
    maximum_packet_size: u32,
) -> Result<(Packet<'_>, usize), DecodeError> {
    let header = FixedHeader::decode(bytes, version, maximum_packet_size)?;
    let length = header.packet_length();
    let body = bytes
        .get(header.header_length..length)
        .ok_or(DecodeError::Incomplete { needed: length })?;
    let packet = decode_body(header, Reader::new(body), version)?;
    Ok((packet, length))
}

#[inline]
fn decode_body<'a>(
    header: FixedHeader,
    mut reader: Reader<'a>,
    version: Version,
) -> Result<Packet<'a>, crate::Malformed> {
    let r = &mut reader;
    let packet = match header.packet_type {
        PacketType::Publish => Packet::Publish(Publish::decode(r, header.flags, version)?),
        PacketType::PubAck => Packet::PubAck(Ack::decode(r, PacketType::PubAck, version)?),
        PacketType::PubRec => Packet::PubRec(Ack::decode(r, PacketType::PubRec, version)?),
        PacketType::PubRel => Packet::PubRel(Ack::decode(r, PacketType::PubRel, version)?),
        PacketType::PubComp => Packet::PubComp(Ack::decode(r, PacketType::PubComp, version)?),
        PacketType::Connect => Packet::Connect(Connect::decode(r)?),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(r, version)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(r, version)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(r, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(r, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(r, version)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(r, version)?),
        PacketType::Auth => Packet::Auth(Auth::decode(r)?),
    };
    reader.finish()?;
    Ok(packet)
}

impl Packet<'_> {
    /// The type of the packet.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(sink),
            Self::ConnAck(packet) => packet.encode(version, sink),
            Self::Publish(packet) => packet.encode(version, sink),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encode(self.packet_type(), version, sink)
            }
            Self::Subscribe(packet) => packet.encode(version, sink),
            Self::SubAck(packet) => packet.encode(version, sink),
            Self::Unsubscribe(packet) => packet.encode(version, sink),
            Self::UnsubAck(packet) => packet.encode(version, sink),
            Self::PingReq => put_fixed_header(sink, 0xC0, 0),
            Self::PingResp => put_fixed_header(sink, 0xD0, 0),
            Self::Disconnect(packet) => packet.encode(version, sink),
            Self::Auth(packet) => packet.encode(version, sink),
        }
    }
}
