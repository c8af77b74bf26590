//! SUBACK: one reason code per Topic Filter. MQTT 5 section 3.9.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketId, PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// The answer to a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// That of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// The bytes of the reason codes, in the order of the Topic Filters. [MQTT-3.9.3-1]
    pub reason_codes: &'a [u8],
}

impl<'a> SubAck<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::SubAck)?;
        let reason_codes = reader.take_rest();
        // [MQTT-3.8.4-6] One for each filter, and a SUBSCRIBE has at least one.
        if reason_codes.is_empty() {
            return Err(Malformed::NoReasonCode);
        }
        for &code in reason_codes {
            let known = if version.is_v5() {
                ReasonCode::from_u8(code).is_some_and(|code| code.is_allowed_in(PacketType::SubAck))
            } else {
                // [3:MQTT-3.9.3-2]
                matches!(code, 0..=2 | 0x80)
            };
            if !known {
                return Err(Malformed::ReasonCode);
            }
        }
        Ok(Self {
            packet_id,
            properties,
            reason_codes,
        })
    }

    /// Writes the packet; before MQTT 5 every failure is 0x80.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        put_fixed_header(sink, 0x90, 2 + properties + self.reason_codes.len())?;
        sink.put(&self.packet_id.get().to_be_bytes())?;
        if version.is_v5() {
            self.properties.encode(sink)?;
            return sink.put(self.reason_codes);
        }
        self.reason_codes
            .iter()
            .try_for_each(|&code| sink.put(&[code.min(0x80)]))
    }
}
