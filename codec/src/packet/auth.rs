//! AUTH: a step of enhanced authentication; MQTT 5 alone. MQTT 5 section 3.15.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, Property, PropertyPlace};
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
        // Only a success without properties may leave both out; no other packet that ends in
        // properties demands their length behind a lone reason code.
        if reader.is_empty() {
            return Ok(auth);
        }
        auth.reason_code = ReasonCode::from_u8(reader.u8()?)
            .filter(|code| code.is_allowed_in(PacketType::Auth))
            .ok_or(Malformed::ReasonCode)?;
        auth.properties = Properties::decode(reader, PropertyPlace::Auth)?;
        if !auth.is_bare_success() && auth.authentication_method().is_none() {
            return Err(Malformed::AuthenticationMethodMissing);
        }
        Ok(auth)
    }

    /// The Authentication Method; every AUTH that is received has one, except for a success
    /// without any property.
    pub fn authentication_method(&self) -> Option<&'a str> {
        self.properties.iter().find_map(|property| match property {
            Property::AuthenticationMethod(method) => Some(method),
            _ => None,
        })
    }

    const fn is_bare_success(&self) -> bool {
        matches!(self.reason_code, ReasonCode::Success) && self.properties.is_empty()
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NotInThisVersion` before MQTT 5.
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if !version.is_v5() {
            return Err(EncodeError::NotInThisVersion);
        }
        if self.is_bare_success() {
            return put_fixed_header(sink, 0xF0, 0);
        }
        put_fixed_header(sink, 0xF0, 1 + self.properties.encoded_len())?;
        sink.put(&[self.reason_code.value()])?;
        self.properties.encode(sink)
    }
}
