//! CONNACK: the server's answer to CONNECT. MQTT 5 section 3.2.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// The answer to a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server kept the Session of earlier connections. Not sent with a refusal, nor
    /// in MQTT 3.1.
    pub session_present: bool,
    /// Success or the reason of the refusal. Before MQTT 5 the six return codes stand for it.
    pub reason_code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let flags = reader.u8()?;
        // [MQTT-3.2.2-1] MQTT 3.1 has no Session Present: the whole byte is reserved.
        let reserved = if version == Version::V3 { 0xFF } else { 0xFE };
        if flags & reserved != 0 {
            return Err(Malformed::ConnAckFlags);
        }
        let code = reader.u8()?;
        let reason_code = if version.is_v5() {
            ReasonCode::from_u8(code).filter(|code| code.is_allowed_in(PacketType::ConnAck))
        } else {
            ReasonCode::from_v3_connect_return_code(code)
        }
        .ok_or(Malformed::ReasonCode)?;
        let session_present = flags == 1;
        // [MQTT-3.2.2-6]
        if session_present && reason_code != ReasonCode::Success {
            return Err(Malformed::SessionPresentOnRefusal);
        }
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::ConnAck)?;
        Ok(Self {
            session_present,
            reason_code,
            properties,
        })
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        // [MQTT-3.2.2-6] A refusal never says that a Session is present; MQTT 3.1 can't say it.
        let session_present = u8::from(
            self.session_present
                && self.reason_code == ReasonCode::Success
                && version != Version::V3,
        );
        if version.is_v5() {
            put_fixed_header(sink, 0x20, 2 + self.properties.encoded_len())?;
            sink.put(&[session_present, self.reason_code.value()])?;
            self.properties.encode(sink)
        } else {
            put_fixed_header(sink, 0x20, 2)?;
            sink.put(&[
                session_present,
                self.reason_code.to_v3_connect_return_code(),
            ])
        }
    }
}
