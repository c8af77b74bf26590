//! What can go wrong, by consequence: options that no session can have, a command that isn't carried out,
//! a connection that ends. MQTT 5 section 4.13.

use core::fmt;

use dunlin_codec::{EncodeError, Malformed, PacketType, ReasonCode};

/// Why no session can be made of these options. Mend them, or lend a larger buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsError {
    /// MQTT 3.1 is not spoken here.
    Version,
    /// The version has no such thing: properties, Session Expiry, or a password without user name before
    /// MQTT 5.
    NotInThisVersion,
    /// Before MQTT 5 a Session that is to be kept needs a Client Identifier. [3:MQTT-3.1.3-7]
    ClientIdNeeded,
    /// A property that has a field of its own in the options, or that a client may not send.
    Property,
    /// The CONNECT isn't one that the standard allows.
    Malformed(Malformed),
    /// A field is longer than 65,535 bytes.
    FieldTooLong,
    /// The buffer can't hold the CONNECT.
    BufferTooSmall,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "only MQTT 3.1.1 and 5 are spoken",
            Self::NotInThisVersion => {
                "properties, session expiry and a password without user name need MQTT 5"
            }
            Self::ClientIdNeeded => "a session that is kept needs a client identifier",
            Self::Property => "a property that the session sets itself or a client may not send",
            Self::Malformed(reason) => reason.text(),
            Self::FieldTooLong => "a field is longer than 65,535 bytes",
            Self::BufferTooSmall => "the buffer is too small for the CONNECT",
        })
    }
}

impl core::error::Error for OptionsError {}

impl From<EncodeError> for OptionsError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::BufferFull | EncodeError::PacketTooLarge => Self::BufferTooSmall,
            EncodeError::FieldTooLong => Self::FieldTooLong,
            EncodeError::NotInThisVersion | EncodeError::NoTopicFilter => Self::NotInThisVersion,
        }
    }
}

/// Why a command wasn't carried out. The session is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// This needs a connection. Only messages of QoS 1 and 2 wait for the next one.
    NotConnected,
    /// No room now: give the command again after the next [`Published`](crate::Event::Published) or
    /// when more bytes have been transmitted.
    OutboxFull,
    /// The packet doesn't fit into the outbox even when that is empty.
    TooLargeForOutbox,
    /// The server doesn't take packets of this size. [MQTT-3.2.2-15]
    TooLargeForServer,
    /// The server doesn't take this QoS. [MQTT-3.2.2-11]
    QosNotSupported,
    /// The server keeps no retained messages. [MQTT-3.2.2-14]
    RetainNotSupported,
    /// The server has no wildcard subscriptions.
    WildcardNotSupported,
    /// The server has no shared subscriptions.
    SharedNotSupported,
    /// The server has no subscription identifiers.
    SubscriptionIdentifierNotSupported,
    /// The version has no such thing: properties, reason codes or subscription options other than QoS
    /// before MQTT 5.
    NotInThisVersion,
    /// A property that a client may not send here.
    Property,
    /// A reason code that a client may not send here.
    ReasonCode,
    /// The packet isn't one that the standard allows.
    Malformed(Malformed),
    /// A field is longer than 65,535 bytes.
    FieldTooLong,
    /// All Packet Identifiers are in use.
    NoPacketId,
}

impl CommandError {
    /// Whether the same command may succeed later.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::NotConnected | Self::OutboxFull | Self::NoPacketId
        )
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected",
            Self::OutboxFull => "the outbox is full",
            Self::TooLargeForOutbox => "the packet is larger than the outbox",
            Self::TooLargeForServer => "the packet is larger than the server takes",
            Self::QosNotSupported => "the server doesn't support this QoS",
            Self::RetainNotSupported => "the server doesn't support retained messages",
            Self::WildcardNotSupported => "the server doesn't support wildcard subscriptions",
            Self::SharedNotSupported => "the server doesn't support shared subscriptions",
            Self::SubscriptionIdentifierNotSupported => {
                "the server doesn't support subscription identifiers"
            }
            Self::NotInThisVersion => "this needs MQTT 5",
            Self::Property => "a client may not send this property here",
            Self::ReasonCode => "a client may not send this reason code here",
            Self::Malformed(reason) => reason.text(),
            Self::FieldTooLong => "a field is longer than 65,535 bytes",
            Self::NoPacketId => "all packet identifiers are in use",
        })
    }
}

impl core::error::Error for CommandError {}

/// Why the session ended its connection. The session itself goes on: with another connection it resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server sent bytes that break the standard.
    Malformed(Malformed),
    /// The server sent a packet that it may not send now.
    Violation(Violation),
    /// Before MQTT 5, which lets a client bound it: the server has more QoS 2 messages under way than the
    /// session has room for.
    TooManyReceived,
    /// No CONNACK came in time.
    ConnectTimeout,
    /// Nothing came in time after a PINGREQ.
    PingTimeout,
}

impl Error {
    /// What the server is told, if its version knows reason codes.
    #[must_use]
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Malformed(reason) => reason.reason_code(),
            Self::Violation(violation) => violation.reason_code(),
            Self::TooManyReceived => ReasonCode::ReceiveMaximumExceeded,
            Self::ConnectTimeout | Self::PingTimeout => ReasonCode::UnspecifiedError,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "the server broke the protocol: {reason}"),
            Self::Violation(violation) => write!(f, "the server broke the protocol: {violation}"),
            Self::TooManyReceived => {
                f.write_str("more QoS 2 messages under way than there is room for")
            }
            Self::ConnectTimeout => f.write_str("the server didn't answer CONNECT in time"),
            Self::PingTimeout => f.write_str("the server didn't answer PINGREQ in time"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// A packet that is sound in itself, but not here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A server may not send this packet, or not now.
    UnexpectedPacket(PacketType),
    /// An acknowledgement of something that isn't under way, or is at another step.
    UnexpectedAcknowledgement(PacketType),
    /// A Session present though a new one was demanded. [MQTT-3.2.2-2]
    SessionPresent,
    /// More QoS 1 and 2 messages than Receive Maximum allows. [MQTT-3.3.4-9]
    ReceiveMaximum,
    /// A Topic Alias though none was allowed. [MQTT-3.1.2-26]
    TopicAlias,
    /// Not one reason code for each Topic Filter. [MQTT-3.8.4-6] [MQTT-3.11.3-2]
    ReasonCodeCount,
}

impl Violation {
    const fn reason_code(self) -> ReasonCode {
        match self {
            Self::ReceiveMaximum => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
            _ => ReasonCode::ProtocolError,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedPacket(packet) => write!(f, "unexpected {packet:?}"),
            Self::UnexpectedAcknowledgement(packet) => {
                write!(f, "{packet:?} for nothing that is under way")
            }
            Self::SessionPresent => f.write_str("session present after a clean start"),
            Self::ReceiveMaximum => f.write_str("more messages than Receive Maximum allows"),
            Self::TopicAlias => f.write_str("a topic alias though none is allowed"),
            Self::ReasonCodeCount => f.write_str("not one reason code for each topic filter"),
        }
    }
}
