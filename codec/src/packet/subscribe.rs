//! SUBSCRIBE: Topic Filters and their options. MQTT 5 section 3.8.

use crate::error::{EncodeError, Malformed};
use crate::property::{Properties, PropertyPlace};
use crate::reader::Reader;
use crate::scalar::{PacketId, QoS, Version};
use crate::topic;
use crate::writer::{Sink, put_binary, put_fixed_header};

/// A request for one or more subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Subscribe<'a> {
    /// Never 0.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.
    pub properties: Properties<'a>,
    raw: &'a [u8],
    list: &'a [Subscription<'a>],
}

/// One Topic Filter of a SUBSCRIBE with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// As the client wrote it, `$share/name/` included. Before MQTT 5 that may be a `$share/` without
    /// name or filter behind it.
    pub filter: &'a str,
    /// How matching messages are delivered.
    pub options: SubscriptionOptions,
}

/// Subscription Options. Before MQTT 5 only the QoS exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS that the client wants.
    pub qos: QoS,
    /// Don't send the client's own messages.
    pub no_local: bool,
    /// Forward RETAIN as it was published.
    pub retain_as_published: bool,
    /// Which retained messages to send when the subscription is made.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Always.
    #[default]
    Send = 0,
    /// Only when the subscription didn't exist.
    SendIfNew = 1,
    /// Never.
    DontSend = 2,
}

impl SubscriptionOptions {
    /// The options of a byte, as strict as `version` demands.
    ///
    /// # Errors
    /// Malformed for reserved bits and for values of 3.
    pub const fn from_bits(bits: u8, version: Version) -> Result<Self, Malformed> {
        // [MQTT-3.8.3-5] [3:MQTT-3.8.3-4]
        let reserved = if version.is_v5() { 0xC0 } else { 0xFC };
        if bits & reserved != 0 {
            return Err(Malformed::SubscriptionOptionsReserved);
        }
        let Some(qos) = QoS::from_bits(bits & 0b11) else {
            return Err(Malformed::SubscriptionQos3);
        };
        let retain_handling = match (bits >> 4) & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DontSend,
            _ => return Err(Malformed::RetainHandling3),
        };
        Ok(Self {
            qos,
            no_local: bits & 0x04 != 0,
            retain_as_published: bits & 0x08 != 0,
            retain_handling,
        })
    }

    /// The byte of the wire.
    pub const fn bits(self) -> u8 {
        self.qos.bits()
            | ((self.no_local as u8) << 2)
            | ((self.retain_as_published as u8) << 3)
            | ((self.retain_handling as u8) << 4)
    }
}

impl<'a> Subscribe<'a> {
    /// A SUBSCRIBE for sending. `list` must not be empty. [MQTT-3.8.3-2]
    pub const fn new(
        packet_id: PacketId,
        properties: Properties<'a>,
        list: &'a [Subscription<'a>],
    ) -> Self {
        Self {
            packet_id,
            properties,
            raw: &[],
            list,
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Malformed> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_if_v5(reader, version, PropertyPlace::Subscribe)?;
        // [MQTT-3.8.3-2]
        if reader.is_empty() {
            return Err(Malformed::NoTopicFilter);
        }
        let raw = reader.rest();
        while !reader.is_empty() {
            let shared = topic::check_subscribed(reader.string()?, version)?;
            let options = SubscriptionOptions::from_bits(reader.u8()?, version)?;
            // [MQTT-3.8.3-4]
            if options.no_local && shared {
                return Err(Malformed::NoLocalOnShared);
            }
        }
        Ok(Self {
            packet_id,
            properties,
            raw,
            list: &[],
        })
    }

    /// The subscriptions in the order of the packet.
    pub fn subscriptions(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let mut reader = Reader::new(self.raw);
        let decoded = core::iter::from_fn(move || {
            let filter = reader.string().ok()?;
            // Checked in decode; the options of every version are a subset of MQTT 5's.
            let options = SubscriptionOptions::from_bits(reader.u8().ok()?, Version::V5).ok()?;
            Some(Subscription { filter, options })
        });
        decoded.chain(self.list.iter().copied())
    }

    /// Writes the packet; before MQTT 5 only the QoS of the options has a form.
    ///
    /// # Errors
    /// See [`EncodeError`]; `NoTopicFilter` for an empty list.
    pub fn encode(&self, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
        // [MQTT-3.8.3-2]
        if self.raw.is_empty() && self.list.is_empty() {
            return Err(EncodeError::NoTopicFilter);
        }
        let properties = if version.is_v5() {
            self.properties.encoded_len()
        } else {
            0
        };
        let filters: usize = self
            .subscriptions()
            .map(|subscription| 2 + subscription.filter.len() + 1)
            .sum();
        put_fixed_header(sink, 0x82, 2 + properties + filters)?;
        sink.put(&self.packet_id.get().to_be_bytes())?;
        if version.is_v5() {
            self.properties.encode(sink)?;
        }
        for subscription in self.subscriptions() {
            put_binary(sink, subscription.filter.as_bytes())?;
            let bits = subscription.options.bits();
            sink.put(&[if version.is_v5() { bits } else { bits & 0b11 }])?;
        }
        Ok(())
    }
}

impl PartialEq for Subscribe<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.packet_id == other.packet_id
            && self.properties == other.properties
            && self.subscriptions().eq(other.subscriptions())
    }
}

impl Eq for Subscribe<'_> {}
