//! UNSUBSCRIBE: Topic Filters to give up. MQTT 5 section 3.10.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::scalar::{PacketId, Version};
use crate::topic;
use crate::writer::{Sink, put_binary, put_fixed_header};

/// A request to end one or more subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Unsubscribe<'a> {
    /// Never 0.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    raw: &'a [u8],
    list: &'a [&'a str],
}

impl<'a> Unsubscribe<'a> {
    /// An UNSUBSCRIBE for sending. `list` must not be empty. [MQTT-3.10.3-2]
    pub const fn new(packet_id: PacketId, properties: Properties<'a>, list: &'a [&'a str]) -> Self {
        Self {
            packet_id,
            properties,
            raw: &[],
            list,
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::Unsubscribe)?;
        // [MQTT-3.10.3-2]
        if reader.is_empty() {
            return Err(Malformed::NoTopicFilter);
        }
        let raw = reader.rest();
        while !reader.is_empty() {
            topic::check_subscribed(reader.string()?, version)?;
        }
        Ok(Self {
            packet_id,
            properties,
            raw,
            list: &[],
        })
    }

    /// The Topic Filters in the order of the packet.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new(self.raw);
        core::iter::from_fn(move || reader.string().ok()).chain(self.list.iter().copied())
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NoTopicFilter` for an empty list.
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        // [MQTT-3.10.3-2]
        if self.raw.is_empty() && self.list.is_empty() {
            return Err(EncodeError::NoTopicFilter);
        }
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        let filters: usize = self.filters().map(|filter| 2 + filter.len()).sum();
        put_fixed_header(sink, 0xA2, 2 + properties + filters)?;
        sink.put(&self.packet_id.get().to_be_bytes())?;
        if version.is_v5() {
            self.properties.encode(sink)?;
        }
        self.filters()
            .try_for_each(|filter| put_binary(sink, filter.as_bytes()))
    }
}

impl PartialEq for Unsubscribe<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.filters().eq(other.filters())
    }
}

impl Eq for Unsubscribe<'_> {}
