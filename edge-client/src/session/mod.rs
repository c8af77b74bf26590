//! The client's side of a Session: it outlives its connections.
//!
//! Answers for the protocol between the application and the server, in both versions. Does not answer for
//! sockets, clocks or reconnecting: a driver brings bytes and time, and takes bytes away. Here are the
//! session itself and its deadlines; what the application asks for is in `commands`, what comes in in
//! `inbound`, what goes out in `transmit`. MQTT 5 chapters 3 and 4.

mod commands;
mod connect;
mod inbound;
mod outbox;
mod server;
mod transmit;

#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;

use dunlin_codec::{DecodeError, FixedHeader, PacketId, Properties, ReasonCode, Version};

use crate::error::{Error, OptionsError};
use crate::event::{Event, Failure};
use crate::options::Options;
use crate::time::Instant;
use outbox::Outbox;
use server::Server;
use transmit::{Answer, Transmission};

/// The state that client and server share, and the connection it has at present, if any.
///
/// `B` is the memory for packets that wait to be sent or acknowledged, `&mut [u8]` or an array; the CONNECT
/// is at its beginning. `OUTGOING` bounds their number, and with it the messages under way to the server.
/// `INCOMING`, at least 1, bounds the messages of QoS 1 and 2 under way from the server; a server of MQTT 5
/// is told (Receive Maximum).
///
/// # Contract
///
/// There are four kinds of methods: getters; inputs, `handle_*`; commands, such as
/// [`publish`](Self::publish); outputs, `poll_*`. Time is an argument and never goes back.
///
/// **After every input and every command, take the event it gave, then call
/// [`poll_event`](Self::poll_event) until there is none, then [`poll_transmit`](Self::poll_transmit) until
/// there is none, and then set a timer for [`poll_timeout`](Self::poll_timeout).**
///
/// **After an `Err` of an input, and after [`Event::Refused`] or [`Event::Disconnected`], transmit what
/// there is, close the transport and call [`handle_disconnected`](Self::handle_disconnected). The Session
/// goes on with the next connection.** Messages of QoS 1 and 2 that weren't acknowledged are sent again
/// then, if the server has kept the Session; if not, each of them is an [`Event::NotPublished`].
///
/// Acknowledgements are made by [`handle_bytes`](Self::handle_bytes) and leave with the next transmission.
/// So who transmits only after a message was processed never loses one by a reset in between.
///
/// # Example
///
/// A driver over any stream, publishing one message and waiting for its acknowledgement:
///
/// ```
/// # use std::io::{Read, Write};
/// use dunlin_client::{Event, Instant, Message, Options, QoS, Received, Session};
///
/// fn publish(
///     mut stream: impl Read + Write,
///     now: impl Fn() -> Instant,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let mut outbox = [0; 256];
///     let mut input = [0; 256];
///     let mut length = 0;
///     let options = Options {
///         maximum_packet_size: 256,
///         ..Options::new("sensor-1")
///     };
///     let mut session = Session::<_, 4, 4>::new(&mut outbox[..], &options)?;
///     session.handle_connected(now());
///     loop {
///         while let Some(bytes) = session.poll_transmit() {
///             let count = stream.write(bytes)?;
///             session.handle_transmitted(now(), count);
///         }
///         length += stream.read(&mut input[length..])?;
///         while let Received::Packet { length: taken, event } =
///             session.handle_bytes(now(), &input[..length])?
///         {
///             match event {
///                 Some(Event::Connected(_)) => {
///                     session.publish(&Message {
///                         qos: QoS::AtLeastOnce,
///                         ..Message::new("sensors/1", b"21.5")
///                     })?;
///                 }
///                 Some(Event::Published { .. }) => return Ok(()),
///                 other => return Err(format!("{other:?}").into()),
///             }
///             input.copy_within(taken..length, 0);
///             length -= taken;
///         }
///     }
/// }
/// # struct Server(u8);
/// # impl Read for Server {
/// #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
/// #         self.0 += 1;
/// #         let answer: &[u8] = if self.0 == 1 { &[0x20, 3, 0, 0, 0] } else { &[0x40, 2, 0, 1] };
/// #         buffer[..answer.len()].copy_from_slice(answer);
/// #         Ok(answer.len())
/// #     }
/// # }
/// # impl Write for Server {
/// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { Ok(bytes.len()) }
/// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
/// # }
/// # publish(Server(0), || Instant::ZERO).unwrap();
/// ```
///
/// A real one also sleeps until [`poll_timeout`](Self::poll_timeout) at most, and reconnects.
pub struct Session<B, const OUTGOING: usize, const INCOMING: usize> {
    version: Version,
    /// Of the next CONNECT, or the present one.
    clean_start: bool,
    session_expiry_s: u32,
    /// The client's own.
    keep_alive_s: u16,
    maximum_packet_size: u32,
    response_timeout: Duration,

    // The Session's state.
    outbox: Outbox<B, OUTGOING>,
    /// QoS 2 messages that the server has, in the order of its PUBRECs.
    releases: heapless::Vec<Release, OUTGOING>,
    /// QoS 2 messages that the application has and the server hasn't released.
    received: heapless::Vec<PacketId, INCOMING>,
    next_packet_id: PacketId,

    // The connection's state.
    phase: Phase,
    server: Server,
    answers: heapless::Deque<Answer, INCOMING>,
    transmission: Option<Transmission>,
    /// The longest silence; zero for any.
    keep_alive: Duration,
    last_sent: Instant,
    last_received: Instant,
    ping: Ping,
    /// How many bytes of an incomplete packet have been seen.
    incomplete: usize,
}

/// A QoS 2 message after its PUBREC.
#[derive(Clone, Copy, Debug)]
struct Release {
    packet_id: PacketId,
    state: ReleaseState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReleaseState {
    DuePubrel,
    AwaitPubcomp,
    /// The server has lost the Session; the application must be told.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Disconnected,
    /// CONNECT is due or was sent.
    AwaitConnack {
        deadline: Instant,
    },
    Connected,
    /// Nothing is read any more; DISCONNECT is due, if there is a reason code for it.
    Closing {
        deadline: Instant,
        reason_code: Option<ReasonCode>,
        /// Whether packets of the outbox go first.
        orderly: bool,
    },
    /// Nothing is sent any more: the transport is to be closed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    Unneeded,
    Due {
        since: Instant,
    },
    /// Something must come.
    Awaited {
        since: Instant,
    },
}

/// Why a deadline is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// CONNACK must have come.
    ConnAck,
    /// It's time for a PINGREQ.
    KeepAlive,
    /// The server must have given a sign of life since the PINGREQ.
    PingResp,
    /// DISCONNECT must have left.
    Disconnect,
}

impl<B, const OUTGOING: usize, const INCOMING: usize> fmt::Debug
    for Session<B, OUTGOING, INCOMING>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("version", &self.version)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl<B, const OUTGOING: usize, const INCOMING: usize> Session<B, OUTGOING, INCOMING>
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    /// A session that hasn't been connected. The options are copied into the buffer.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn new(buffer: B, options: &Options<'_>) -> Result<Self, OptionsError> {
        const { assert!(INCOMING > 0, "Receive Maximum can't be 0") };
        let receive_maximum = u16::try_from(INCOMING).unwrap_or(u16::MAX);
        Ok(Self {
            version: options.version,
            clean_start: options.clean_start,
            session_expiry_s: options.session_expiry_s,
            keep_alive_s: options.keep_alive_s,
            maximum_packet_size: options.maximum_packet_size,
            response_timeout: options.response_timeout,
            outbox: connect::outbox(buffer, options, receive_maximum)?,
            releases: heapless::Vec::new(),
            received: heapless::Vec::new(),
            next_packet_id: options.first_packet_id,
            phase: Phase::Disconnected,
            server: Server::default(),
            answers: heapless::Deque::new(),
            transmission: None,
            keep_alive: Duration::ZERO,
            last_sent: Instant::ZERO,
            last_received: Instant::ZERO,
            ping: Ping::Unneeded,
            incomplete: 0,
        })
    }

    /// The transport is open: CONNECT can be transmitted.
    pub fn handle_connected(&mut self, now: Instant) {
        self.handle_disconnected();
        if !self.clean_start {
            connect::clear_clean_start(&mut self.outbox);
        }
        self.phase = Phase::AwaitConnack {
            deadline: now.plus(self.response_timeout),
        };
        self.transmission = Some(Transmission::connect());
        self.last_sent = now;
        self.last_received = now;
    }

    /// The transport is lost or was closed. What isn't part of the Session is forgotten: messages of QoS 0
    /// that weren't transmitted, and requests (SUBSCRIBE, UNSUBSCRIBE) that weren't answered.
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Disconnected;
        self.outbox.disconnected();
        self.answers.clear();
        self.transmission = None;
        self.ping = Ping::Unneeded;
        self.incomplete = 0;
    }

    /// Time has passed. Too early, or without a deadline, this does nothing.
    ///
    /// # Errors
    /// When the server took too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let Some((_, reason)) = self.poll_timeout().filter(|(deadline, _)| now >= *deadline) else {
            return Ok(());
        };
        match reason {
            TimeoutReason::KeepAlive => {
                self.ping = Ping::Due { since: now };
                Ok(())
            }
            TimeoutReason::ConnAck => {
                self.phase = Phase::Closed;
                Err(Error::ConnectTimeout)
            }
            TimeoutReason::PingResp => {
                self.phase = Phase::Closed;
                Err(Error::PingTimeout)
            }
            TimeoutReason::Disconnect => {
                self.phase = Phase::Closed;
                Ok(())
            }
        }
    }

    /// The next deadline: call [`handle_timeout`](Self::handle_timeout) then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        match (self.phase, self.ping) {
            (Phase::AwaitConnack { deadline }, _) => Some((deadline, TimeoutReason::ConnAck)),
            (Phase::Closing { deadline, .. }, _) => Some((deadline, TimeoutReason::Disconnect)),
            (Phase::Disconnected | Phase::Closed, _) => None,
            (Phase::Connected, Ping::Due { since } | Ping::Awaited { since }) => {
                let deadline = since.plus(self.response_timeout);
                Some((deadline, TimeoutReason::PingResp))
            }
            (Phase::Connected, Ping::Unneeded) if self.keep_alive.is_zero() => None,
            (Phase::Connected, Ping::Unneeded) => {
                // [MQTT-3.1.2-20] A tenth early, for the way to the server takes time. Not only when
                // nothing was sent, but when nothing came too: else a client that just publishes would
                // never notice that the server is gone.
                let early = self.keep_alive - self.keep_alive / 10;
                let quiet_since = self.last_sent.min(self.last_received);
                Some((quiet_since.plus(early), TimeoutReason::KeepAlive))
            }
        }
    }

    /// The next thing to tell the application that no input gave.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        let lost = self
            .releases
            .iter()
            .find(|release| release.state == ReleaseState::Lost)
            .map(|release| release.packet_id);
        let (packet_id, failure) = match lost {
            Some(packet_id) => {
                self.releases
                    .retain(|release| release.packet_id != packet_id);
                (packet_id, Failure::SessionLost)
            }
            None => self.outbox.take_failed()?,
        };
        Some(Event::NotPublished {
            packet_id,
            failure,
            properties: Properties::EMPTY,
        })
    }

    /// Whether the server has accepted the connection and nobody has ended it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether there is nothing more to transmit in this connection, so that the transport is to be closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Disconnected | Phase::Closed)
    }

    /// How many packets wait to be sent or acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.outbox.entries().len() + self.releases.len()
    }

    /// Whether [`handle_bytes`](Self::handle_bytes) would take a packet from this input, or an error.
    #[must_use]
    pub fn has_packet(&self, input: &[u8]) -> bool {
        if matches!(self.phase, Phase::Closing { .. }) || self.is_closed() {
            return !input.is_empty();
        }
        !self.answers.is_full()
            && match FixedHeader::decode(input, self.version, self.maximum_packet_size) {
                Ok(header) => input.len() >= header.packet_length(),
                Err(error) => matches!(error, DecodeError::Malformed(_)),
            }
    }
}
