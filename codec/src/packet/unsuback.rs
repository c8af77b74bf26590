//! UNSUBACK: one reason code per Topic Filter in MQTT 5, none before. MQTT 5 section 3.11.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketId, PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// That of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// The bytes of the reason codes, in the order of the Topic Filters; none before MQTT 5.
    pub reason_codes: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let packet_id = reader.packet_id()?;
        if !version.is_v5() {
            return Ok(Self {
                packet_id,
                properties: Properties::EMPTY,
                reason_codes: &[],
            });
        }
        let properties = Properties::decode(reader, PropertyPlace::UnsubAck)?;
        let reason_codes = reader.take_rest();
        // [MQTT-3.11.3-2] One for each filter, and an UNSUBSCRIBE has at least one.
        if reason_codes.is_empty() {
            return Err(Malformed::NoReasonCode);
        }
        let known = |&code: &u8| {
            ReasonCode::from_u8(code).is_some_and(|code| code.is_allowed_in(PacketType::UnsubAck))
        };
        if !reason_codes.iter().all(known) {
            return Err(Malformed::ReasonCode);
        }
        Ok(Self {
            packet_id,
            properties,
            reason_codes,
        })
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let packet_id = self.packet_id.get().to_be_bytes();
        if !version.is_v5() {
            put_fixed_header(sink, 0xB0, 2)?;
            return sink.put(&packet_id);
        }
        put_fixed_header(
            sink,
            0xB0,
            2 + self.properties.encoded_len() + self.reason_codes.len(),
        )?;
        sink.put(&packet_id)?;
        self.properties.encode(sink)?;
        sink.put(self.reason_codes)
    }
}
