//! AUTH: a step of enhanced authentication; MQTT 5 alone. MQTT 5 section 3.15.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// A step of an authentication exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue Authentication or Re-authenticate. [MQTT-3.15.2-1]
    pub reason_code: ReasonCode,
    /// Authentication Method and Data among them.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut auth = Self {
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if reader.is_empty() {
            return Ok(auth);
        }
        auth.reason_code = ReasonCode::from_u8(reader.u8()?)
            .filter(|code| code.is_allowed_in(PacketType::Auth))
            .ok_or(Malformed::ReasonCode)?;
        if !reader.is_empty() {
            auth.properties = Properties::decode(reader, PropertyPlace::Auth)?;
        }
        Ok(auth)
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NotInThisVersion` before MQTT 5.
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if !version.is_v5() {
            return Err(EncodeError::NotInThisVersion);
        }
        if self.reason_code == ReasonCode::Success && self.properties.is_empty() {
            return put_fixed_header(sink, 0xF0, 0);
        }
        put_fixed_header(sink, 0xF0, 1 + self.properties.encoded_len())?;
        sink.put(&[self.reason_code.value()])?;
        self.properties.encode(sink)
    }
}
