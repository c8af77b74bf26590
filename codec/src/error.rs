//! What can be wrong with bytes, one value per reason, and the one place that maps each to the
//! reason code the peer is told. MQTT 5 section 4.13.

use core::fmt;

use crate::reason_code::ReasonCode;

/// Why no packet came out of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes are needed; nothing is wrong so far. `needed` is the length of the whole packet
    /// as far as known (at least one more than what was given).
    Incomplete {
        /// Bytes, counted from the start of the packet.
        needed: usize,
    },
    /// The bytes break the standard; the connection must be closed.
    Malformed(Malformed),
}

impl From<Malformed> for DecodeError {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { needed } => write!(f, "incomplete packet: {needed} bytes needed"),
            Self::Malformed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for DecodeError {}

macro_rules! malformed {
    ($($(#[$doc:meta])* $name:ident => $code:ident, $text:literal;)*) => {
        /// One value per way in which a packet can break the standard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Malformed { $($(#[$doc])* $name,)* }

        impl Malformed {
            /// Every value, for tests and tables.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason code that a peer of MQTT 5 is told. [MQTT-4.13.1-1]
            pub const fn reason_code(self) -> ReasonCode {
                match self { $(Self::$name => ReasonCode::$code,)* }
            }

            /// The reason in words, fit for a Reason String.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

malformed! {
    /// [MQTT-2.1.3-1]
    FixedHeaderFlags => MalformedPacket, "reserved fixed header flags are set";
    /// Packet type 0, or AUTH before MQTT 5.
    ReservedPacketType => MalformedPacket, "reserved packet type";
    /// A Variable Byte Integer of more than four bytes.
    VariableByteIntegerTooLong => MalformedPacket, "variable byte integer is longer than four bytes";
    /// [MQTT-1.5.5-1]
    VariableByteIntegerNotMinimal => MalformedPacket, "variable byte integer is not in its shortest form";
    /// The packet is larger than the Maximum Packet Size. [MQTT-3.1.2-24]
    PacketTooLarge => PacketTooLarge, "packet is larger than the maximum packet size";
    /// A field runs past the end of the packet or of the properties.
    Truncated => MalformedPacket, "a field runs past the end of the packet";
    /// Bytes are left over behind the last field.
    TrailingBytes => MalformedPacket, "bytes are left over behind the last field";
    /// [MQTT-1.5.4-1]
    InvalidUtf8 => MalformedPacket, "a string is not valid UTF-8";
    /// [MQTT-1.5.4-2]
    NulInString => MalformedPacket, "a string contains U+0000";
    /// [MQTT-3.1.2-1]
    ProtocolName => UnsupportedProtocolVersion, "unknown protocol name";
    /// [MQTT-3.1.2-2]
    ProtocolLevel => UnsupportedProtocolVersion, "unsupported protocol version";
    /// [MQTT-3.1.2-3]
    ConnectReservedFlag => MalformedPacket, "the reserved connect flag is set";
    /// [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
    WillFlags => MalformedPacket, "will QoS or will retain without will flag, or will QoS 3";
    /// [3:MQTT-3.1.2-22]
    PasswordWithoutUserName => MalformedPacket, "password flag without user name flag";
    /// [MQTT-3.3.1-4]
    PublishQos3 => MalformedPacket, "PUBLISH with QoS 3";
    /// [MQTT-3.3.1-2]
    DupAtQos0 => ProtocolError, "DUP set on a PUBLISH of QoS 0";
    /// [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    PacketIdZero => ProtocolError, "packet identifier 0";
    /// [MQTT-3.8.3-2] [MQTT-3.10.3-2]
    NoTopicFilter => ProtocolError, "no topic filter";
    /// [MQTT-3.8.3-5]
    SubscriptionOptionsReserved => MalformedPacket, "reserved subscription option bits are set";
    /// Maximum QoS 3 in SUBSCRIBE. [3:MQTT-3.8.3-4]
    SubscriptionQos3 => ProtocolError, "subscription with QoS 3";
    /// Retain Handling 3 in SUBSCRIBE.
    RetainHandling3 => ProtocolError, "subscription with retain handling 3";
    /// [MQTT-3.8.3-4]
    NoLocalOnShared => ProtocolError, "no local on a shared subscription";
    /// An empty Topic Name without alias, or where none is allowed. [MQTT-4.7.3-1]
    TopicNameEmpty => ProtocolError, "empty topic name";
    /// [MQTT-3.3.2-2] [MQTT-3.1.3-11]
    TopicNameWildcard => MalformedPacket, "wildcard in a topic name";
    /// [MQTT-4.7.3-1]
    TopicFilterEmpty => MalformedPacket, "empty topic filter";
    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2]
    TopicFilterWildcard => MalformedPacket, "misplaced wildcard in a topic filter";
    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    ShareName => MalformedPacket, "shared subscription with an invalid share name or without a filter";
    /// A property identifier that the standard doesn't have.
    PropertyUnknown => MalformedPacket, "unknown property";
    /// A property that this packet may not carry.
    PropertyNotAllowed => MalformedPacket, "property not allowed in this packet";
    /// A property that may stand only once.
    PropertyRepeated => ProtocolError, "property stands twice";
    /// A property whose value is out of its range.
    PropertyValue => ProtocolError, "property value out of range";
    /// [MQTT-3.3.2-8]
    TopicAliasZero => TopicAliasInvalid, "topic alias 0";
    /// Authentication Data without Authentication Method.
    AuthenticationDataAlone => ProtocolError, "authentication data without authentication method";
    /// AUTH without Authentication Method, except for a success without any property.
    AuthenticationMethodMissing => ProtocolError, "AUTH without authentication method";
    /// A SUBACK, or an UNSUBACK of MQTT 5, that answers no filter. [MQTT-3.8.4-6] [MQTT-3.11.3-2]
    NoReasonCode => ProtocolError, "no reason code";
    /// A reason code that this packet may not carry.
    ReasonCode => ProtocolError, "reason code not allowed in this packet";
    /// [MQTT-3.2.2-1]
    ConnAckFlags => MalformedPacket, "reserved CONNACK flags are set";
    /// Session Present together with a refusal. [MQTT-3.2.2-6]
    SessionPresentOnRefusal => ProtocolError, "session present on a refused connection";
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Malformed {}

/// Why a packet could not be written. What the sink holds of it by then is to be thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The sink has no room; with a larger buffer it would fit.
    BufferFull,
    /// A string or binary field is longer than 65,535 bytes.
    FieldTooLong,
    /// The packet would be longer than 268,435,455 bytes.
    PacketTooLarge,
    /// The packet has no form in this version (AUTH or an empty Topic Name before MQTT 5, a
    /// QoS above 0 without Packet Identifier).
    NotInThisVersion,
    /// A SUBSCRIBE or UNSUBSCRIBE without Topic Filter.
    NoTopicFilter,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferFull => "the buffer is too small for the packet",
            Self::FieldTooLong => "a field is longer than 65,535 bytes",
            Self::PacketTooLarge => "the packet is longer than 268,435,455 bytes",
            Self::NotInThisVersion => "the packet has no form in this protocol version",
            Self::NoTopicFilter => "the packet has no topic filter",
        })
    }
}

impl core::error::Error for EncodeError {}
