//! DISCONNECT: the last packet of either side. MQTT 5 section 3.14.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::reason_code::ReasonCode;
use crate::scalar::{PacketType, Version};
use crate::writer::{Sink, put_fixed_header};

/// The end of a Network Connection, announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Always success before MQTT 5.
    pub reason_code: ReasonCode,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let mut disconnect = Self {
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if !version.is_v5() || reader.is_empty() {
            return Ok(disconnect);
        }
        disconnect.reason_code = ReasonCode::from_u8(reader.u8()?)
            .filter(|code| code.is_allowed_in(PacketType::Disconnect))
            .ok_or(Malformed::ReasonCode)?;
        if !reader.is_empty() {
            disconnect.properties = Properties::decode(reader, PropertyPlace::Disconnect)?;
        }
        Ok(disconnect)
    }

    /// Writes the packet in the shortest form the standard allows.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if !version.is_v5()
            || (self.reason_code == ReasonCode::Success && self.properties.is_empty())
        {
            return put_fixed_header(sink, 0xE0, 0);
        }
        if self.properties.is_empty() {
            put_fixed_header(sink, 0xE0, 1)?;
            return sink.put(&[self.reason_code.value()]);
        }
        put_fixed_header(sink, 0xE0, 1 + self.properties.encoded_len())?;
        sink.put(&[self.reason_code.value()])?;
        self.properties.encode(sink)
    }
}
