//! PUBACK, PUBREC, PUBREL, PUBCOMP: four packets of one shape. MQTT 5 sections 3.4 to 3.7.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketId, PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// A step of the handshakes of QoS 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Of the PUBLISH that the handshake is about.
    pub packet_id: PacketId,
    /// Always success before MQTT 5.
    pub reason_code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// A plain success.
    #[inline]
    pub const fn new(packet_id: PacketId) -> Self {
        Self::with_reason(packet_id, ReasonCode::Success)
    }

    /// An acknowledgement with a reason code and no properties.
    #[inline]
    pub const fn with_reason(packet_id: PacketId, reason_code: ReasonCode) -> Self {
        Self {
            packet_id,
            reason_code,
            properties: Properties::EMPTY,
        }
    }

    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        packet_type: PacketType,
        version: Version,
    ) -> Result<Self, Malformed> {
        let mut ack = Self::new(reader.packet_id()?);
        if !version.is_v5() || reader.is_empty() {
            return Ok(ack);
        }
        ack.reason_code = ReasonCode::from_u8(reader.u8()?)
            .filter(|code| code.is_allowed_in(packet_type))
            .ok_or(Malformed::ReasonCode)?;
        if !reader.is_empty() {
            ack.properties = Properties::decode(reader, place(packet_type))?;
        }
        Ok(ack)
    }

    /// Writes the packet as `packet_type`, in the shortest form the standard allows. Before MQTT 5
    /// reason code and properties have no form and are left out.
    ///
    /// # Errors
    /// See [`EncodeError`].
    #[inline]
    pub fn encode(
        &self,
        packet_type: PacketType,
        version: Version,
        sink: &mut impl Sink,
    ) -> Result<(), EncodeError> {
        let flags = if packet_type == PacketType::PubRel {
            0b0010
        } else {
            0
        };
        let first = ((packet_type as u8) << 4) | flags;
        let [high, low] = self.packet_id.get().to_be_bytes();
        if !version.is_v5()
            || (self.reason_code == ReasonCode::Success && self.properties.is_empty())
        {
            return sink.put(&[first, 2, high, low]);
        }
        if self.properties.is_empty() {
            return sink.put(&[first, 3, high, low, self.reason_code.value()]);
        }
        put_fixed_header(sink, first, 3 + self.properties.encoded_len())?;
        sink.put(&[high, low, self.reason_code.value()])?;
        self.properties.encode(sink)
    }
}

const fn place(packet_type: PacketType) -> PropertyPlace {
    match packet_type {
        PacketType::PubRec => PropertyPlace::PubRec,
        PacketType::PubRel => PropertyPlace::PubRel,
        PacketType::PubComp => PropertyPlace::PubComp,
        _ => PropertyPlace::PubAck,
    }
}
