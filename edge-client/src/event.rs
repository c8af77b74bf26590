//! What the session tells the application. Text and payloads are borrowed from the input.

use dunlin_codec::{PacketId, Properties, QoS, ReasonCode};

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'i> {
    /// The input has no whole packet yet.
    Incomplete {
        /// How many bytes the input must have, as far as known.
        needed: usize,
    },
    /// There is no room for another answer to the server: transmit first. Nothing was taken.
    Blocked,
    /// A packet was taken.
    Packet {
        /// How many bytes of the input are done with.
        length: usize,
        /// What the packet says to the application, if anything.
        event: Option<Event<'i>>,
    },
}

/// Something the application wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// The server accepted the connection.
    Connected(Connected<'i>),
    /// The server refused the connection. Close the transport.
    Refused {
        /// Why.
        reason_code: ReasonCode,
        /// Such as Reason String and Server Reference.
        properties: Properties<'i>,
    },
    /// A message for the application.
    Message(Message<'i>),
    /// The server has taken over a message of QoS 1 or 2.
    Published {
        /// As [`Session::publish`](crate::Session::publish) gave it; free for another message now.
        packet_id: PacketId,
        /// Success, or that nobody subscribes.
        reason_code: ReasonCode,
        /// Those of the acknowledgement.
        properties: Properties<'i>,
    },
    /// A message of QoS 1 or 2 isn't, or perhaps isn't, with the server, and won't be sent again.
    NotPublished {
        /// As [`Session::publish`](crate::Session::publish) gave it; free for another message now.
        packet_id: PacketId,
        /// Why.
        failure: Failure,
        /// Those of the acknowledgement.
        properties: Properties<'i>,
    },
    /// The answer to a SUBSCRIBE. **Each Topic Filter may have been refused.**
    Subscribed {
        /// As [`Session::subscribe`](crate::Session::subscribe) gave it.
        packet_id: PacketId,
        /// For each Topic Filter in order: the QoS that was granted, or a failure.
        reason_codes: ReasonCodes<'i>,
        /// Those of the acknowledgement.
        properties: Properties<'i>,
    },
    /// The answer to an UNSUBSCRIBE.
    Unsubscribed {
        /// As [`Session::unsubscribe`](crate::Session::unsubscribe) gave it.
        packet_id: PacketId,
        /// For each Topic Filter in order; empty before MQTT 5.
        reason_codes: ReasonCodes<'i>,
        /// Those of the acknowledgement.
        properties: Properties<'i>,
    },
    /// The server ended the connection. Close the transport.
    Disconnected {
        /// Why.
        reason_code: ReasonCode,
        /// Such as Reason String and Server Reference.
        properties: Properties<'i>,
    },
}

/// What the server says when it accepts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected<'i> {
    /// Whether the server has kept the Session: its subscriptions stand. **If not, subscribe again.**
    pub session_present: bool,
    /// The Keep Alive in force, in seconds: the server's if it set one, else the client's.
    pub keep_alive_s: u16,
    /// Such as Assigned Client Identifier and Response Information.
    pub properties: Properties<'i>,
}

/// An Application Message, received or to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// The Application Message itself.
    pub payload: &'a [u8],
    /// Quality of Service.
    pub qos: QoS,
    /// To be kept by the server for later subscribers; received: was kept.
    pub retain: bool,
    /// Received: sent before, perhaps. Sending: the session's business, whatever is here.
    pub dup: bool,
    /// Empty before MQTT 5. For sending, [`Properties::from_list`].
    pub properties: Properties<'a>,
}

impl<'a> Message<'a> {
    /// A message of QoS 0, not retained, without properties.
    #[must_use]
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            properties: Properties::EMPTY,
        }
    }
}

/// Why a message wasn't published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server refused it: 0x80 or above.
    Refused(ReasonCode),
    /// It was sent, not acknowledged, and the server has lost the Session since. The server may have had it.
    SessionLost,
    /// It waited for a connection, and this server doesn't take packets of its size.
    TooLargeForServer,
    /// It waited for a connection, and this server doesn't take its QoS.
    QosNotSupported,
    /// It waited for a connection, and this server keeps no retained messages.
    RetainNotSupported,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(reason_code) => write!(f, "refused by the server: {reason_code}"),
            Self::SessionLost => f.write_str("the server lost the session before it answered"),
            Self::TooLargeForServer => f.write_str("larger than the server takes"),
            Self::QosNotSupported => f.write_str("QoS not supported by the server"),
            Self::RetainNotSupported => f.write_str("retain not supported by the server"),
        }
    }
}

/// The reason codes of a SUBACK or UNSUBACK, in the order of the Topic Filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonCodes<'i>(pub(crate) &'i [u8]);

impl<'i> ReasonCodes<'i> {
    /// The reason codes.
    pub fn iter(&self) -> impl Iterator<Item = ReasonCode> + use<'i> {
        // The codec lets no unknown code pass.
        self.0
            .iter()
            .map(|&code| ReasonCode::from_u8(code).unwrap_or(ReasonCode::UnspecifiedError))
    }

    /// Those that are failures, each with the index of its Topic Filter.
    pub fn failures(&self) -> impl Iterator<Item = (usize, ReasonCode)> + use<'i> {
        self.iter()
            .enumerate()
            .filter(|(_, reason_code)| reason_code.is_failure())
    }
}
