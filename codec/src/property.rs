//! The 27 properties of MQTT 5: their types and ranges, and which packet may carry which.
//! MQTT 5 section 2.2.2.

use crate::error::{EncodeError, Malformed};
use crate::reader::Reader;
use crate::writer::{Sink, put_binary, put_variable_byte_integer, variable_byte_integer_len};

/// Where a set of properties stands. The Will Properties count as a place of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the packets'
pub enum PropertyPlace {
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
}

impl PropertyPlace {
    const fn bit(self) -> u16 {
        1 << (self as u8)
    }
}

const fn places<const N: usize>(list: [PropertyPlace; N]) -> u16 {
    let mut bits = 0;
    let mut rest: &[PropertyPlace] = &list;
    while let [first, tail @ ..] = rest {
        bits |= first.bit();
        rest = tail;
    }
    bits
}

/// One property. `&str` values are checked UTF-8, integers are in their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the standard's own
pub enum Property<'a> {
    /// Whether the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// Seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// Seconds; 0xFFFFFFFF never expires.
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// Seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    /// Seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    /// 1 to 65,535 messages.
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    /// 1 to 65,535.
    TopicAlias(u16),
    /// False for QoS 0, true for QoS 1.
    MaximumQos(bool),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    /// Bytes, at least 1.
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

use Property as P;
use PropertyPlace as At;

const WITH_MESSAGE: u16 = places([At::Publish, At::Will]);
const WITH_REASON: u16 = places([
    At::ConnAck,
    At::PubAck,
    At::PubRec,
    At::PubRel,
    At::PubComp,
    At::SubAck,
    At::UnsubAck,
    At::Disconnect,
    At::Auth,
]);
const WITH_AUTHENTICATION: u16 = places([At::Connect, At::ConnAck, At::Auth]);

impl<'a> Property<'a> {
    /// The identifier of the wire: 1 to 42.
    #[rustfmt::skip]
    pub const fn identifier(&self) -> u8 {
        match self {
            P::PayloadFormatIndicator(_) => 1, P::MessageExpiryInterval(_) => 2, P::ContentType(_) => 3,
            P::ResponseTopic(_) => 8, P::CorrelationData(_) => 9, P::SubscriptionIdentifier(_) => 11,
            P::SessionExpiryInterval(_) => 17, P::AssignedClientIdentifier(_) => 18, P::ServerKeepAlive(_) => 19,
            P::AuthenticationMethod(_) => 21, P::AuthenticationData(_) => 22,
            P::RequestProblemInformation(_) => 23, P::WillDelayInterval(_) => 24,
            P::RequestResponseInformation(_) => 25, P::ResponseInformation(_) => 26, P::ServerReference(_) => 28,
            P::ReasonString(_) => 31, P::ReceiveMaximum(_) => 33, P::TopicAliasMaximum(_) => 34,
            P::TopicAlias(_) => 35, P::MaximumQos(_) => 36, P::RetainAvailable(_) => 37, P::UserProperty(..) => 38,
            P::MaximumPacketSize(_) => 39, P::WildcardSubscriptionAvailable(_) => 40,
            P::SubscriptionIdentifierAvailable(_) => 41, P::SharedSubscriptionAvailable(_) => 42,
        }
    }

    const fn allowed_places(&self) -> u16 {
        match self {
            P::PayloadFormatIndicator(_)
            | P::MessageExpiryInterval(_)
            | P::ContentType(_)
            | P::ResponseTopic(_)
            | P::CorrelationData(_) => WITH_MESSAGE,
            P::TopicAlias(_) => places([At::Publish]),
            P::SubscriptionIdentifier(_) => places([At::Publish, At::Subscribe]),
            P::SessionExpiryInterval(_) => places([At::Connect, At::ConnAck, At::Disconnect]),
            P::AuthenticationMethod(_) | P::AuthenticationData(_) => WITH_AUTHENTICATION,
            P::WillDelayInterval(_) => places([At::Will]),
            P::RequestProblemInformation(_) | P::RequestResponseInformation(_) => {
                places([At::Connect])
            }
            P::ReceiveMaximum(_) | P::TopicAliasMaximum(_) | P::MaximumPacketSize(_) => {
                places([At::Connect, At::ConnAck])
            }
            P::ServerReference(_) => places([At::ConnAck, At::Disconnect]),
            P::ReasonString(_) => WITH_REASON,
            P::UserProperty(..) => u16::MAX,
            P::AssignedClientIdentifier(_)
            | P::ServerKeepAlive(_)
            | P::ResponseInformation(_)
            | P::MaximumQos(_)
            | P::RetainAvailable(_)
            | P::WildcardSubscriptionAvailable(_)
            | P::SubscriptionIdentifierAvailable(_)
            | P::SharedSubscriptionAvailable(_) => places([At::ConnAck]),
        }
    }

    /// Whether the property may stand more than once at `place`.
    const fn repeatable(&self, place: PropertyPlace) -> bool {
        match self {
            P::UserProperty(..) => true,
            P::SubscriptionIdentifier(_) => matches!(place, At::Publish),
            _ => false,
        }
    }

    /// Whether the property travels with the Application Message unaltered. The others of a PUBLISH
    /// (expiry, alias, subscription identifiers) are made anew for each receiver.
    pub const fn is_forwarded(&self) -> bool {
        matches!(
            self,
            P::PayloadFormatIndicator(_)
                | P::ContentType(_)
                | P::ResponseTopic(_)
                | P::CorrelationData(_)
                | P::UserProperty(..)
        )
    }

    /// Reads one property and checks its value's range.
    ///
    /// # Errors
    /// Malformed for an unknown identifier, a field that doesn't fit, a value out of range.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let identifier = reader.variable_byte_integer()?;
        Ok(match identifier {
            1 => P::PayloadFormatIndicator(flag(reader)?),
            2 => P::MessageExpiryInterval(reader.u32()?),
            3 => P::ContentType(reader.string()?),
            8 => {
                let topic = reader.string()?;
                // [MQTT-3.3.2-14] A Response Topic is a Topic Name.
                crate::topic::check_name(topic)?;
                P::ResponseTopic(topic)
            }
            9 => P::CorrelationData(reader.binary()?),
            11 => match reader.variable_byte_integer()? {
                0 => return Err(Malformed::PropertyValue),
                value => P::SubscriptionIdentifier(value),
            },
            17 => P::SessionExpiryInterval(reader.u32()?),
            18 => P::AssignedClientIdentifier(reader.string()?),
            19 => P::ServerKeepAlive(reader.u16()?),
            21 => P::AuthenticationMethod(reader.string()?),
            22 => P::AuthenticationData(reader.binary()?),
            23 => P::RequestProblemInformation(flag(reader)?),
            24 => P::WillDelayInterval(reader.u32()?),
            25 => P::RequestResponseInformation(flag(reader)?),
            26 => P::ResponseInformation(reader.string()?),
            28 => P::ServerReference(reader.string()?),
            31 => P::ReasonString(reader.string()?),
            33 => match reader.u16()? {
                0 => return Err(Malformed::PropertyValue),
                value => P::ReceiveMaximum(value),
            },
            34 => P::TopicAliasMaximum(reader.u16()?),
            35 => match reader.u16()? {
                // [MQTT-3.3.2-8]
                0 => return Err(Malformed::TopicAliasZero),
                value => P::TopicAlias(value),
            },
            36 => P::MaximumQos(flag(reader)?),
            37 => P::RetainAvailable(flag(reader)?),
            38 => P::UserProperty(reader.string()?, reader.string()?),
            39 => match reader.u32()? {
                0 => return Err(Malformed::PropertyValue),
                value => P::MaximumPacketSize(value),
            },
            40 => P::WildcardSubscriptionAvailable(flag(reader)?),
            41 => P::SubscriptionIdentifierAvailable(flag(reader)?),
            42 => P::SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(Malformed::PropertyUnknown),
        })
    }

    /// How many bytes the property takes, its identifier included.
    pub const fn encoded_len(&self) -> usize {
        1 + match self {
            P::PayloadFormatIndicator(_)
            | P::RequestProblemInformation(_)
            | P::RequestResponseInformation(_)
            | P::MaximumQos(_)
            | P::RetainAvailable(_)
            | P::WildcardSubscriptionAvailable(_)
            | P::SubscriptionIdentifierAvailable(_)
            | P::SharedSubscriptionAvailable(_) => 1,
            P::ServerKeepAlive(_)
            | P::ReceiveMaximum(_)
            | P::TopicAliasMaximum(_)
            | P::TopicAlias(_) => 2,
            P::MessageExpiryInterval(_)
            | P::SessionExpiryInterval(_)
            | P::WillDelayInterval(_)
            | P::MaximumPacketSize(_) => 4,
            P::SubscriptionIdentifier(value) => variable_byte_integer_len(*value),
            P::ContentType(text)
            | P::ResponseTopic(text)
            | P::AssignedClientIdentifier(text)
            | P::AuthenticationMethod(text)
            | P::ResponseInformation(text)
            | P::ServerReference(text)
            | P::ReasonString(text) => 2 + text.len(),
            P::CorrelationData(bytes) | P::AuthenticationData(bytes) => 2 + bytes.len(),
            P::UserProperty(name, value) => 4 + name.len() + value.len(),
        }
    }

    /// Writes the property.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn encode(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.put(&[self.identifier()])?;
        match *self {
            P::PayloadFormatIndicator(value)
            | P::RequestProblemInformation(value)
            | P::RequestResponseInformation(value)
            | P::MaximumQos(value)
            | P::RetainAvailable(value)
            | P::WildcardSubscriptionAvailable(value)
            | P::SubscriptionIdentifierAvailable(value)
            | P::SharedSubscriptionAvailable(value) => sink.put(&[u8::from(value)]),
            P::ServerKeepAlive(value)
            | P::ReceiveMaximum(value)
            | P::TopicAliasMaximum(value)
            | P::TopicAlias(value) => sink.put(&value.to_be_bytes()),
            P::MessageExpiryInterval(value)
            | P::SessionExpiryInterval(value)
            | P::WillDelayInterval(value)
            | P::MaximumPacketSize(value) => sink.put(&value.to_be_bytes()),
            P::SubscriptionIdentifier(value) => put_variable_byte_integer(sink, value),
            P::ContentType(text)
            | P::ResponseTopic(text)
            | P::AssignedClientIdentifier(text)
            | P::AuthenticationMethod(text)
            | P::ResponseInformation(text)
            | P::ServerReference(text)
            | P::ReasonString(text) => put_binary(sink, text.as_bytes()),
            P::CorrelationData(bytes) | P::AuthenticationData(bytes) => put_binary(sink, bytes),
            P::UserProperty(name, value) => {
                put_binary(sink, name.as_bytes())?;
                put_binary(sink, value.as_bytes())
            }
        }
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::PropertyValue),
    }
}

/// A set of properties in order: a checked range of bytes (what a decoder gives, or what is
/// forwarded as it came), then a list (what a sender adds).
#[derive(Clone, Copy, Debug, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
    list: &'a [Property<'a>],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Self = Self {
        raw: &[],
        list: &[],
    };

    /// The properties of `list`, for sending.
    #[inline]
    pub const fn from_list(list: &'a [Property<'a>]) -> Self {
        Self { raw: &[], list }
    }

    /// Bytes that [`Properties::raw`] gave earlier, followed by the properties of `list`.
    /// Bytes that were never checked would be sent as they are, and iterated up to the first flaw.
    #[inline]
    pub const fn from_checked(raw: &'a [u8], list: &'a [Property<'a>]) -> Self {
        Self { raw, list }
    }

    /// Reads a property length and checks every property behind it.
    pub(crate) fn decode(reader: &mut Reader<'a>, place: PropertyPlace) -> Result<Self, Malformed> {
        let length = reader.variable_byte_integer()?;
        let raw = reader.take(usize::try_from(length).map_err(|_| Malformed::Truncated)?)?;
        let mut seen = 0_u64;
        let mut authentication = (false, false);
        let mut rest = Reader::new(raw);
        while !rest.is_empty() {
            let property = Property::decode(&mut rest)?;
            if property.allowed_places() & place.bit() == 0 {
                return Err(Malformed::PropertyNotAllowed);
            }
            let bit = 1_u64 << property.identifier();
            if seen & bit != 0 && !property.repeatable(place) {
                return Err(Malformed::PropertyRepeated);
            }
            seen |= bit;
            authentication.0 |= matches!(property, P::AuthenticationMethod(_));
            authentication.1 |= matches!(property, P::AuthenticationData(_));
        }
        if authentication == (false, true) {
            return Err(Malformed::AuthenticationDataAlone);
        }
        Ok(Self { raw, list: &[] })
    }

    /// Reads properties when the version has them.
    pub(crate) fn decode_if_v5(
        reader: &mut Reader<'a>,
        version: crate::Version,
        place: PropertyPlace,
    ) -> Result<Self, Malformed> {
        if version.is_v5() {
            Self::decode(reader, place)
        } else {
            Ok(Self::EMPTY)
        }
    }

    /// The properties in their order.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut reader = Reader::new(self.raw);
        let mut list = self.list.iter();
        core::iter::from_fn(move || {
            if reader.is_empty() {
                return list.next().copied();
            }
            match Property::decode(&mut reader) {
                Ok(property) => Some(property),
                Err(_) => {
                    reader = Reader::new(&[]);
                    list.next().copied()
                }
            }
        })
    }

    /// The checked bytes, without the list and without the length in front.
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.list.is_empty()
    }

    /// How many bytes the properties take, without the length in front.
    #[inline]
    pub fn content_len(&self) -> usize {
        self.raw.len() + self.list.iter().map(Property::encoded_len).sum::<usize>()
    }

    /// How many bytes the properties take, with the length in front.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let content = self.content_len();
        variable_byte_integer_len(u32::try_from(content).unwrap_or(u32::MAX)) + content
    }

    /// Writes the length and the properties.
    ///
    /// # Errors
    /// See [`EncodeError`].
    #[inline]
    pub fn encode(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let length = u32::try_from(self.content_len()).map_err(|_| EncodeError::PacketTooLarge)?;
        put_variable_byte_integer(sink, length)?;
        sink.put(self.raw)?;
        self.list
            .iter()
            .try_for_each(|property| property.encode(sink))
    }
}

impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Properties<'_> {}
