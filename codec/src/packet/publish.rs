//! PUBLISH: an Application Message on its way. MQTT 5 section 3.3.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, Property, PropertyPlace};
use crate::reader::Reader;
use crate::scalar::{PacketId, QoS, Version};
use crate::topic;
use crate::writer::{Sink, put_binary, put_fixed_header};

/// An Application Message and how it's delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, perhaps.
    pub dup: bool,
    /// Quality of Service.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty only with a Topic Alias.
    pub topic: &'a str,
    /// Present exactly at QoS 1 and 2. [MQTT-2.2.1-2]
    pub packet_id: Option<PacketId>,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    /// The Application Message.
    pub payload: &'a [u8],
}

const RETAIN: u8 = 0x01;
const DUP: u8 = 0x08;

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        flags: u8,
        version: Version,
    ) -> Result<Self, Malformed> {
        let qos = qos_of_flags(flags)?;
        let topic = reader.string()?;
        let packet_id = if qos == QoS::AtMostOnce {
            None
        } else {
            Some(reader.packet_id()?)
        };
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::Publish)?;
        let publish = Self {
            dup: flags & DUP != 0,
            qos,
            retain: flags & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: reader.take_rest(),
        };
        // An empty topic is a request to use the alias.
        if !topic.is_empty() || publish.topic_alias().is_none() {
            topic::check_name(topic)?;
        }
        Ok(publish)
    }

    /// The Topic Alias, if the packet carries one.
    pub fn topic_alias(&self) -> Option<u16> {
        if self.properties.is_empty() {
            return None;
        }
        self.properties.iter().find_map(|property| match property {
            Property::TopicAlias(alias) => Some(alias),
            _ => None,
        })
    }

    /// The length of everything behind the fixed header.
    fn remaining_length(&self, version: Version) -> usize {
        let packet_id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        2 + self.topic.len() + packet_id + properties + self.payload.len()
    }

    /// The length of the whole packet in bytes.
    #[inline]
    pub fn packet_length(&self, version: Version) -> usize {
        let remaining = self.remaining_length(version);
        let length = u32::try_from(remaining).unwrap_or(u32::MAX);
        1 + crate::writer::variable_byte_integer_len(length) + remaining
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NotInThisVersion` when QoS and Packet Identifier don't agree, or
    /// for an empty Topic Name before MQTT 5.
    #[inline]
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        self.encode_head(version, sink)?;
        sink.put(self.payload)
    }

    /// Writes everything in front of the payload, so that a large payload can follow uncopied.
    ///
    /// # Errors
    /// As [`Publish::encode`].
    #[inline]
    pub fn encode_head(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        if self.packet_id.is_some() == (self.qos == QoS::AtMostOnce)
            // [MQTT-4.7.3-1] The Topic Alias that an empty name stands for is MQTT 5's.
            || (self.topic.is_empty() && !version.is_v5())
        {
            return Err(EncodeError::NotInThisVersion);
        }
        let mut first = 0x30 | (self.qos.bits() << 1);
        if self.dup {
            first |= DUP;
        }
        if self.retain {
            first |= RETAIN;
        }
        put_fixed_header(sink, first, self.remaining_length(version))?;
        put_binary(sink, self.topic.as_bytes())?;
        if let Some(packet_id) = self.packet_id {
            sink.put(&packet_id.get().to_be_bytes())?;
        }
        if version.is_v5() {
            self.properties.encode(sink)?;
        }
        Ok(())
    }
}

/// The QoS of a PUBLISH's fixed header flags, all of which it checks.
#[inline]
pub(crate) fn qos_of_flags(flags: u8) -> Result<QoS, Malformed> {
    // [MQTT-3.3.1-4]
    let qos = QoS::from_bits((flags >> 1) & 0b11).ok_or(Malformed::PublishQos3)?;
    // [MQTT-3.3.1-2]
    if qos == QoS::AtMostOnce && flags & DUP != 0 {
        return Err(Malformed::DupAtQos0);
    }
    Ok(qos)
}
