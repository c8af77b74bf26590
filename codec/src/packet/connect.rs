//! CONNECT: the first packet of a client. MQTT 5 section 3.1.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::scalar::{QoS, Version};
use crate::topic;
use crate::writer::{Sink, put_binary, put_fixed_header};

/// A request to open or resume a Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version all later packets of the connection are in.
    pub version: Version,
    /// Clean Start; Clean Session before MQTT 5.
    pub clean_start: bool,
    /// Seconds; 0 switches keep alive off.
    pub keep_alive_s: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// The message that the server publishes when the client is lost.
    pub will: Option<Will<'a>>,
    /// User Name.
    pub user_name: Option<&'a str>,
    /// Password: binary, in every version.
    pub password: Option<&'a [u8]>,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

/// A Will Message as it stands in a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Will Topic, a Topic Name.
    pub topic: &'a str,
    /// Will Payload.
    pub payload: &'a [u8],
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
}

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

impl<'a> Connect<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let name = reader.binary()?;
        let level = reader.u8()?;
        let version = match (name, level) {
            (b"MQTT", 5) => Version::V5,
            (b"MQTT", 4) => Version::V4,
            (b"MQIsdp", 3) => Version::V3,
            // [MQTT-3.1.2-2]
            (b"MQTT" | b"MQIsdp", _) => return Err(Malformed::ProtocolLevel),
            // [MQTT-3.1.2-1]
            _ => return Err(Malformed::ProtocolName),
        };
        let flags = reader.u8()?;
        // [MQTT-3.1.2-3]
        if flags & RESERVED != 0 {
            return Err(Malformed::ConnectReservedFlag);
        }
        // [3:MQTT-3.1.2-22] MQTT 5 allows a password alone.
        if flags & (PASSWORD | USER_NAME) == PASSWORD && !version.is_v5() {
            return Err(Malformed::PasswordWithoutUserName);
        }
        let keep_alive_s = reader.u16()?;
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::Connect)?;
        let client_id = reader.string()?;
        let will = Will::decode(reader, flags, version)?;
        // MQTT 3.1: the Remaining Length takes precedence over these two flags, so that a packet
        // that ends early has neither name nor password.
        let ended = |reader: &Reader<'_>| version == Version::V3 && reader.is_empty();
        let user_name = if flags & USER_NAME == 0 || ended(reader) {
            None
        } else {
            Some(reader.string()?)
        };
        let password = if flags & PASSWORD == 0 || ended(reader) {
            None
        } else {
            Some(reader.binary()?)
        };
        Ok(Self {
            version,
            clean_start: flags & CLEAN_START != 0,
            keep_alive_s,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos.bits() << WILL_QOS_SHIFT);
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.user_name.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }

    /// Writes the packet in its own version.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NotInThisVersion` for a password without user name before MQTT 5.
    pub fn encode(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let v5 = self.version.is_v5();
        if !v5 && self.password.is_some() && self.user_name.is_none() {
            return Err(EncodeError::NotInThisVersion);
        }
        let (name, level): (&[u8], u8) = match self.version {
            Version::V3 => (b"MQIsdp", 3),
            Version::V4 => (b"MQTT", 4),
            Version::V5 => (b"MQTT", 5),
        };
        let properties = |set: &Properties<'_>| if v5 { set.encoded_len() } else { 0 };
        let mut length =
            2 + name.len() + 1 + 1 + 2 + properties(&self.properties) + 2 + self.client_id.len();
        if let Some(will) = &self.will {
            length += properties(&will.properties) + 2 + will.topic.len() + 2 + will.payload.len();
        }
        length += self.user_name.map_or(0, |text| 2 + text.len());
        length += self.password.map_or(0, |bytes| 2 + bytes.len());

        put_fixed_header(sink, 0x10, length)?;
        put_binary(sink, name)?;
        sink.put(&[level, self.flags()])?;
        sink.put(&self.keep_alive_s.to_be_bytes())?;
        if v5 {
            self.properties.encode(sink)?;
        }
        put_binary(sink, self.client_id.as_bytes())?;
        if let Some(will) = &self.will {
            if v5 {
                will.properties.encode(sink)?;
            }
            put_binary(sink, will.topic.as_bytes())?;
            put_binary(sink, will.payload)?;
        }
        if let Some(text) = self.user_name {
            put_binary(sink, text.as_bytes())?;
        }
        if let Some(bytes) = self.password {
            put_binary(sink, bytes)?;
        }
        Ok(())
    }
}

impl<'a> Will<'a> {
    fn decode(
        reader: &mut Reader<'a>,
        flags: u8,
        version: Version,
    ) -> Result<Option<Self>, Malformed> {
        let qos_bits = (flags >> WILL_QOS_SHIFT) & 0b11;
        if flags & WILL == 0 {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [3:MQTT-3.1.2-13] [3:MQTT-3.1.2-15]
            // MQTT 3.1 disregards both without the Will Flag.
            if version != Version::V3 && (qos_bits != 0 || flags & WILL_RETAIN != 0) {
                return Err(Malformed::WillFlags);
            }
            return Ok(None);
        }
        // [MQTT-3.1.2-12] [3:MQTT-3.1.2-14]
        let qos = QoS::from_bits(qos_bits).ok_or(Malformed::WillFlags)?;
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::Will)?;
        let will_topic = reader.string()?;
        topic::check_name(will_topic)?;
        let payload = reader.binary()?;
        Ok(Some(Self {
            topic: will_topic,
            payload,
            qos,
            retain: flags & WILL_RETAIN != 0,
            properties,
        }))
    }
}
