//! How a connection ends, and what the peer is told of it. MQTT 5 sections 3.14, 4.13.

use dunlin_codec::{Malformed, ReasonCode, Version};

/// A connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent DISCONNECT.
    Disconnected {
        /// With this reason code.
        reason_code: ReasonCode,
        /// And this Session Expiry Interval.
        expiry_s: Option<u32>,
    },
    /// The socket was closed or failed.
    PeerClosed,
    /// The client broke the wire format.
    Malformed(Malformed),
    /// The client broke a rule.
    Protocol(&'static str),
    /// The first packet wasn't a CONNECT.
    NotConnect,
    /// A protocol version that we don't speak; its level byte.
    UnsupportedVersion(u8),
    /// No CONNECT in time.
    ConnectTimeout,
    /// The CONNECT was refused.
    ConnectRefused(ReasonCode),
    /// Nothing came for one and a half times Keep Alive.
    KeepAliveTimeout,
    /// Another connection has the session now.
    SessionTakenOver,
    /// The client sent more than our Receive Maximum allows.
    ReceiveMaximumExceeded,
    /// An alias above our Topic Alias Maximum.
    TopicAliasInvalid,
    /// A Topic Name beyond our limits.
    TopicNameInvalid,
    /// The client published where it may not, and the operator wants it gone.
    NotAuthorized,
    /// More than we take: user properties in one packet.
    QuotaExceeded,
    /// A publisher that can't be told a reason waited too long.
    Refused,
    /// A packet for the client is larger than it takes, and can't be left out.
    PacketTooLargeForPeer,
    /// The broker stops.
    ServerShuttingDown,
    /// An operator ended the connection.
    AdministrativeAction,
}

impl CloseReason {
    /// The reason in words, for logs and Reason Strings.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Disconnected { .. } => "disconnected by the client",
            Self::PeerClosed => "connection closed by the peer",
            Self::Malformed(reason) => reason.text(),
            Self::Protocol(text) => text,
            Self::NotConnect => "first packet is not CONNECT",
            Self::UnsupportedVersion(_) => "unsupported protocol version",
            Self::ConnectTimeout => "no CONNECT in time",
            Self::ConnectRefused(code) => code.text(),
            Self::KeepAliveTimeout => "keep alive timeout",
            Self::SessionTakenOver => "session taken over by another connection",
            Self::ReceiveMaximumExceeded => "receive maximum exceeded",
            Self::TopicAliasInvalid => "topic alias is above the maximum",
            Self::TopicNameInvalid => "topic name is too long or has too many levels",
            Self::NotAuthorized => "not authorized to publish",
            Self::QuotaExceeded => "too many user properties",
            Self::Refused => "the broker has no room for the message",
            Self::PacketTooLargeForPeer => "the client's maximum packet size is too small",
            Self::ServerShuttingDown => "server shutting down",
            Self::AdministrativeAction => "ended by an operator",
        }
    }

    /// The reason code of our DISCONNECT; `None` when there is nothing to tell.
    pub const fn disconnect_code(self) -> Option<ReasonCode> {
        Some(match self {
            Self::Disconnected { .. }
            | Self::PeerClosed
            | Self::ConnectTimeout
            | Self::NotConnect => return None,
            Self::UnsupportedVersion(_) | Self::ConnectRefused(_) => return None,
            Self::Malformed(reason) => reason.reason_code(),
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::KeepAliveTimeout => ReasonCode::KeepAliveTimeout,
            Self::SessionTakenOver => ReasonCode::SessionTakenOver,
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
            Self::TopicNameInvalid => ReasonCode::TopicNameInvalid,
            Self::NotAuthorized => ReasonCode::NotAuthorized,
            Self::QuotaExceeded | Self::Refused => ReasonCode::QuotaExceeded,
            Self::PacketTooLargeForPeer => ReasonCode::PacketTooLarge,
            Self::ServerShuttingDown => ReasonCode::ServerShuttingDown,
            Self::AdministrativeAction => ReasonCode::AdministrativeAction,
        })
    }

    /// The reason code of our CONNACK, when the connection ends before it was open. Before MQTT 5
    /// a malformed CONNECT is answered by closing. [3:MQTT-3.2.2-6]
    pub const fn connect_refusal(self, version: Version) -> Option<ReasonCode> {
        match self {
            Self::ConnectRefused(code) => Some(code),
            // [MQTT-3.1.2-2] [3:MQTT-3.1.2-2]
            Self::UnsupportedVersion(_) => Some(ReasonCode::UnsupportedProtocolVersion),
            Self::Malformed(reason) if version.is_v5() => Some(reason.reason_code()),
            Self::ServerShuttingDown if version.is_v5() => Some(ReasonCode::ServerShuttingDown),
            _ => None,
        }
    }
}
