//! One Network Connection: packets in, packets out.
//!
//! Answers for the protocol between one client and the broker, in every version. Does not answer
//! for sockets or tasks: a driver brings bytes and time, and takes bytes away. Shared state is the
//! hub's. MQTT 5 chapters 3 and 4.
//!
//! # Contract
//!
//! Inputs are `handle_*`; outputs are `poll_*`. **After every input, poll for events until there is
//! none and then for bytes until [`Connection::poll_transmit`] says there is no more.** The driver
//! calls `poll_transmit` again whenever the connection's [`Wake`] was called. An `Err` ends the
//! connection: the session has been told; what `poll_transmit` still gives may be written, then
//! the socket is closed.

mod close;
mod handshake;
mod inbound;
mod outbound;
mod staging;
mod subscriptions;
mod topic_alias;

pub use close::{Close, CloseReason};
pub use handshake::{AuthOutcome, AuthRequest};
pub use outbound::Transmit;

use dunlin_codec::{
    DecodeError, Disconnect, Packet, PacketType, Properties, Property, ReasonCode, Version, decode,
};

use crate::hub::{Batch, Detach, Hub};
use crate::journal::Seq;
use crate::limits::Limits;
use crate::message::Origin;
use crate::session::Session;
use crate::sync::{Arc, Wake};
use crate::time::{Instant, Now};
use handshake::PendingConnect;
use staging::Staging;
use topic_alias::{AliasesIn, AliasesOut};

/// What an operator decides about connections, per listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The listener's name, part of every [`Origin`].
    pub listener: Arc<str>,
    /// What a client without Client Identifier is called: this and 32 hexadecimal digits.
    pub assigned_client_id_prefix: Box<str>,
    /// Response Information for clients that ask for it.
    pub response_information: Option<Box<str>>,
    /// What happens to a client that publishes where it may not.
    pub on_deny: OnDeny,
}

/// What happens to a client that publishes where it may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDeny {
    /// It's acknowledged: with 0x87 in MQTT 5, as if all were well before.
    #[default]
    Acknowledge,
    /// It's disconnected.
    Disconnect,
}

/// What the driver has to do.
#[derive(Debug)]
pub enum Event {
    /// Find out who this is and call [`Connection::handle_authenticated`].
    Authenticate(Box<AuthRequest>),
}

/// Why a deadline is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// CONNECT must have come.
    Connect,
    /// One and a half times Keep Alive without a packet.
    KeepAlive,
    /// A publisher that was refused is tried again.
    Retry,
}

/// One Network Connection.
pub struct Connection {
    settings: Arc<Settings>,
    wake: Arc<dyn Wake>,
    /// Makes an assigned Client Identifier unpredictable and unique.
    seed: [u8; 16],
    version: Version,
    /// The client's Maximum Packet Size.
    maximum_packet_size: u32,
    phase: Phase,
    staging: Staging,
    /// The entry at which the watermark calls, if that is still ahead.
    called_at: Seq,
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

enum Phase {
    AwaitConnect {
        deadline: Instant,
    },
    Authenticating {
        pending: Box<PendingConnect>,
        asked: bool,
        deadline: Instant,
    },
    Open(Box<Open>),
    Closed,
}

/// The state of a connection that has its session.
struct Open {
    session: Arc<Session>,
    epoch: u64,
    origin: Arc<Origin>,
    keep_alive_s: u16,
    last_packet: Instant,
    /// Session Expiry Interval of the CONNECT in seconds.
    expiry_s: u32,
    /// Whether acknowledgements may carry a Reason String.
    request_problem_information: bool,
    /// QoS 1 and 2 messages of the client that we haven't completed.
    unacknowledged: usize,
    /// The Receive Maximum that we announced.
    receive_maximum: u16,
    /// Since when a publisher that can't be told a reason has been waiting.
    refused_since: Option<Instant>,
    /// When it was tried last.
    retried_at: Instant,
    aliases_in: AliasesIn,
    aliases_out: AliasesOut,
}

/// Whether the next packet may be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    /// The packet wasn't taken; it's to be handled again later.
    Pause,
}

/// A client that leaves more acknowledgements than this unread isn't read from either.
const STAGED_BYTES_MAX: usize = 16 * 1024;

/// How often a publisher that waits for room is tried again.
const RETRY_MS: u64 = 100;

impl Connection {
    /// A connection that was accepted at `now`. `wake` is how the engine asks for a poll.
    pub fn new(
        now: Now,
        limits: &Limits,
        settings: Arc<Settings>,
        wake: Arc<dyn Wake>,
        seed: [u8; 16],
    ) -> Self {
        Self {
            settings,
            wake,
            seed,
            version: Version::V4,
            maximum_packet_size: u32::MAX,
            phase: Phase::AwaitConnect {
                deadline: now.monotonic.plus_millis(limits.connect_timeout_ms),
            },
            staging: Staging::default(),
            called_at: Seq::NONE,
        }
    }

    /// Handles every whole packet at the start of `bytes`; gives how many bytes were taken. The
    /// rest is to be given again, with more behind it, or as it is when the connection was paused.
    ///
    /// # Errors
    /// The connection is over.
    pub fn handle_bytes(
        &mut self,
        now: Now,
        hub: &Hub,
        batch: &mut Batch,
        bytes: &[u8],
    ) -> Result<usize, Close> {
        let limits = hub.limits();
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.is_paused(hub, &limits) {
                break;
            }
            match self.handle_packet(now, hub, &limits, batch, rest) {
                Ok(0) => break,
                Ok(length) => taken += length,
                Err(reason) => return Err(self.close(now, hub, batch, reason)),
            }
        }
        if let Phase::Open(open) = &mut self.phase
            && taken > 0
        {
            open.last_packet = now.monotonic;
        }
        Ok(taken)
    }

    /// Handles the first packet; 0 when it isn't whole, or can't be taken now.
    fn handle_packet(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        batch: &mut Batch,
        bytes: &[u8],
    ) -> Result<usize, CloseReason> {
        let maximum = match self.phase {
            Phase::AwaitConnect { .. } => {
                self.expect_connect(bytes)?;
                limits.connect_packet_bytes.min(limits.packet_bytes)
            }
            _ => limits.packet_bytes,
        };
        match decode(bytes, self.version, maximum) {
            Ok((packet, length)) => match self.on_packet(now, hub, limits, batch, &packet)? {
                Flow::Next => Ok(length),
                Flow::Pause => Ok(0),
            },
            Err(DecodeError::Incomplete { .. }) => Ok(0),
            Err(DecodeError::Malformed(reason)) => Err(CloseReason::Malformed(reason)),
        }
    }

    fn on_packet(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        batch: &mut Batch,
        packet: &Packet<'_>,
    ) -> Result<Flow, CloseReason> {
        if !matches!(self.phase, Phase::Open(_)) {
            return match packet {
                Packet::Connect(connect) => self
                    .on_connect(now, hub, limits, connect)
                    .map(|()| Flow::Next),
                // [MQTT-3.1.0-1]
                _ => Err(CloseReason::NotConnect),
            };
        }
        match packet {
            Packet::Publish(publish) => return self.on_publish(now, hub, limits, batch, publish),
            Packet::PubAck(ack) => self.on_puback(now, hub, ack)?,
            Packet::PubRec(ack) => self.on_pubrec(now, hub, ack)?,
            Packet::PubRel(ack) => self.on_pubrel(hub, ack)?,
            Packet::PubComp(ack) => self.on_pubcomp(hub, ack)?,
            Packet::Subscribe(subscribe) => self.on_subscribe(hub, limits, subscribe)?,
            Packet::Unsubscribe(unsubscribe) => {
                self.on_unsubscribe(now, hub, limits, batch, unsubscribe)?;
            }
            // [MQTT-3.12.4-1]
            Packet::PingReq => self.staging.packet(self.version, &Packet::PingResp),
            Packet::Disconnect(disconnect) => return Err(self.on_disconnect(disconnect)),
            // [MQTT-3.1.0-2]
            Packet::Connect(_) => return Err(CloseReason::Protocol("second CONNECT")),
            // No authentication method is configured, so none was agreed on. [MQTT-4.12.0-6]
            Packet::Auth(_) => {
                return Err(CloseReason::Protocol(
                    "AUTH without an authentication method",
                ));
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                return Err(CloseReason::Protocol("a packet that only servers send"));
            }
        }
        Ok(Flow::Next)
    }

    /// The end that a DISCONNECT asks for.
    fn on_disconnect(&self, disconnect: &Disconnect<'_>) -> CloseReason {
        let expiry_s = disconnect
            .properties
            .iter()
            .find_map(|property| match property {
                Property::SessionExpiryInterval(secs) => Some(secs),
                _ => None,
            });
        let had_none = matches!(&self.phase, Phase::Open(open) if open.expiry_s == 0);
        // [MQTT-3.1.2-23] A session that was to end with the connection can't be kept after all.
        if had_none && expiry_s.is_some_and(|secs| secs > 0) {
            return CloseReason::Protocol("session expiry set on DISCONNECT after none on CONNECT");
        }
        // A client may not use the properties and codes of servers.
        if disconnect
            .properties
            .iter()
            .any(|property| matches!(property, Property::ServerReference(_)))
        {
            return CloseReason::Protocol("server reference sent by a client");
        }
        CloseReason::Disconnected {
            reason_code: disconnect.reason_code,
            expiry_s,
        }
    }

    /// The driver's socket is gone, or it has to go.
    pub fn handle_closed(
        &mut self,
        now: Now,
        hub: &Hub,
        batch: &mut Batch,
        reason: CloseReason,
    ) -> Close {
        self.close(now, hub, batch, reason)
    }

    /// A deadline may have passed.
    ///
    /// # Errors
    /// The connection is over.
    pub fn handle_timeout(&mut self, now: Now, hub: &Hub, batch: &mut Batch) -> Result<(), Close> {
        let due = self.poll_timeout().filter(|(at, _)| *at <= now.monotonic);
        let reason = match due {
            None => return Ok(()),
            Some((_, TimeoutReason::Connect)) => CloseReason::ConnectTimeout,
            Some((_, TimeoutReason::KeepAlive)) => {
                // Who isn't read from can't be heard.
                if self.waits_for_room() || self.is_paused(hub, &hub.limits()) {
                    if let Phase::Open(open) = &mut self.phase {
                        open.last_packet = now.monotonic;
                    }
                    return Ok(());
                }
                CloseReason::KeepAliveTimeout
            }
            Some((_, TimeoutReason::Retry)) => {
                let wait_ms = hub.limits().refuse_timeout_ms;
                let Phase::Open(open) = &mut self.phase else {
                    return Ok(());
                };
                match open.refused_since {
                    Some(since) if since.plus_millis(wait_ms) <= now.monotonic => {
                        CloseReason::Refused
                    }
                    _ => return Ok(()),
                }
            }
        };
        Err(self.close(now, hub, batch, reason))
    }

    /// The next deadline and why it's set. Look again after every input.
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        match &self.phase {
            Phase::AwaitConnect { deadline } | Phase::Authenticating { deadline, .. } => {
                Some((*deadline, TimeoutReason::Connect))
            }
            Phase::Open(open) => {
                // [MQTT-3.1.2-22]
                let keep_alive = (open.keep_alive_s > 0).then(|| {
                    let millis = u64::from(open.keep_alive_s) * 1500;
                    (
                        open.last_packet.plus_millis(millis),
                        TimeoutReason::KeepAlive,
                    )
                });
                let retry = open
                    .refused_since
                    .map(|_| (open.retried_at.plus_millis(RETRY_MS), TimeoutReason::Retry));
                [keep_alive, retry]
                    .into_iter()
                    .flatten()
                    .min_by_key(|(at, _)| *at)
            }
            Phase::Closed => None,
        }
    }

    /// What the driver has to do next, other than writing.
    pub fn poll_event(&mut self) -> Option<Event> {
        match &mut self.phase {
            Phase::Authenticating { pending, asked, .. } if !*asked => {
                *asked = true;
                Some(Event::Authenticate(Box::new(pending.auth_request())))
            }
            _ => None,
        }
    }

    /// Whether bytes are to be left unread for now: the client waits for its authentication, or
    /// has to be slowed. Ask again after each `poll_transmit` and timeout.
    pub fn is_paused(&self, hub: &Hub, limits: &Limits) -> bool {
        match &self.phase {
            Phase::AwaitConnect { .. } => false,
            Phase::Authenticating { .. } | Phase::Closed => true,
            // A slow disk slows publishers: no more acknowledgements may wait than a window, and
            // no more entries than the journal's bound. So does a client that doesn't read them.
            Phase::Open(_) => {
                self.staging.waiting() > usize::from(limits.receive_maximum)
                    || self.staging.bytes() > STAGED_BYTES_MAX
                    || hub.journal().lag() > limits.journal_lag
            }
        }
    }

    /// Whether the first packet of what is left is a message that there's no room for: it's to be
    /// given again after a timeout, and nothing more read until then.
    pub fn waits_for_room(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.refused_since.is_some())
    }

    /// Whether the session is another connection's by now, so that this one has to end even if it
    /// can't write.
    pub fn is_taken_over(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.session.lock().epoch != open.epoch)
    }

    /// Whether the connection has its session.
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Who the client is, once that is known.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        match &self.phase {
            Phase::Open(open) => Some(&open.origin),
            _ => None,
        }
    }

    /// Ends the connection: tells the session, and stages what the peer is told.
    fn close(&mut self, now: Now, hub: &Hub, batch: &mut Batch, reason: CloseReason) -> Close {
        match core::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Open(open) => {
                self.stage_disconnect(reason);
                // A stop of the broker is no end of sessions: see the rule for restarts.
                if reason != CloseReason::ServerShuttingDown {
                    let limits = hub.limits();
                    let (session, epoch) = (&open.session, open.epoch);
                    hub.detach(now, &limits, session, epoch, reason.detach(), batch);
                }
            }
            Phase::AwaitConnect { .. } | Phase::Authenticating { .. } => {
                if let Some(code) = reason.connect_refusal(self.version) {
                    self.stage_refusal(code, reason.text());
                }
            }
            Phase::Closed => {}
        }
        Close { reason }
    }

    fn stage_disconnect(&mut self, reason: CloseReason) {
        let Some(reason_code) = reason.disconnect_code().filter(|_| self.version.is_v5()) else {
            return;
        };
        let list = [Property::ReasonString(reason.text())];
        let told = Packet::Disconnect(Disconnect {
            reason_code,
            properties: Properties::from_list(&list),
        });
        let bare = Packet::Disconnect(Disconnect {
            reason_code,
            properties: Properties::EMPTY,
        });
        // [MQTT-3.14.2-3]
        self.staging
            .largest_that_fits(self.version, self.maximum_packet_size, &[told, bare]);
    }

    fn open(&mut self) -> Result<&mut Open, CloseReason> {
        match &mut self.phase {
            Phase::Open(open) => Ok(open),
            _ => Err(CloseReason::PeerClosed),
        }
    }
}

impl Open {
    /// Whether an acknowledgement of ours can carry a Reason String.
    const fn explains(&self) -> bool {
        self.request_problem_information
    }
}

/// Whether a packet type is an acknowledgement that gives the client a message back to its window.
const fn completes(packet_type: PacketType, reason_code: ReasonCode) -> bool {
    match packet_type {
        PacketType::PubAck | PacketType::PubComp => true,
        PacketType::PubRec => reason_code.is_failure(),
        _ => false,
    }
}

impl CloseReason {
    /// What the session is told.
    const fn detach(self) -> Detach {
        match self {
            Self::Disconnected {
                reason_code,
                expiry_s,
            } => Detach {
                with_will: !matches!(reason_code, ReasonCode::Success),
                expiry_s,
            },
            _ => Detach {
                with_will: true,
                expiry_s: None,
            },
        }
    }
}
