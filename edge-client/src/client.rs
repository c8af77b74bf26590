//! A client over TCP for programs on an operating system (feature `tokio`).
//!
//! Answers for the socket, the clock and the buffers around one [`Session`]; the protocol is the session's.
//! Does not answer for when to reconnect: the application calls [`Client::connect`] again.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::vec;
use std::vec::Vec;

use dunlin_codec::{PacketId, Property, ReasonCode, Subscription};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::Instant as Clock;

use crate::error::{CommandError, Error, OptionsError};
use crate::event::{Event, Message, Received};
use crate::options::Options;
use crate::session::Session;
use crate::time::Instant;

/// How many packets wait to be sent or acknowledged, at most.
const OUTGOING: usize = 256;
/// How many messages of QoS 1 and 2 are under way to us, at most. Before MQTT 5 a server can't be told, so
/// this is more than servers are set to.
const INCOMING: usize = 4096;
/// How many bytes are read at once, at least.
const READ: usize = 8 * 1024;
/// With so many bytes unwritten nothing more is taken from the session.
const UNWRITTEN_MAX: usize = 64 * 1024;
/// With so many bytes waiting nothing more is read, if the server doesn't read either.
const UNREAD_MAX: usize = 256 * 1024;
/// How long the server may take to close after the good-bye.
const LINGER: Duration = Duration::from_secs(1);

type OurSession = Session<Vec<u8>, OUTGOING, INCOMING>;

/// A [`Session`] with its TCP connection.
///
/// Commands take effect while [`event`](Self::event) is awaited: **call it again and again, and let nothing
/// else wait in its place.** A message is acknowledged at the call after the one that gave it.
pub struct Client {
    /// Not in place: it has room for all identifiers.
    session: Box<OurSession>,
    response_timeout: Duration,
    stream: Option<TcpStream>,
    /// The session's time begins here.
    began: Clock,
    received: Vec<u8>,
    /// How many of the received bytes belong to the last event.
    taken: usize,
    unwritten: Vec<u8>,
}

/// Why there is no event.
#[derive(Debug)]
pub enum ClientError {
    /// There is no connection: [`Client::connect`] comes first.
    NotConnected,
    /// The connection is closed, by us or by a server that said nothing.
    Closed,
    /// Connecting, reading or writing failed.
    Io(io::Error),
    /// The server did what it may not do, or nothing for too long.
    Session(Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("not connected"),
            Self::Closed => f.write_str("the connection was closed"),
            Self::Io(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Session(error) => Some(error),
            Self::NotConnected | Self::Closed => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that isn't connected, with so many bytes for packets that wait to be sent or acknowledged,
    /// CONNECT included.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn new(options: &Options<'_>, outbox_bytes: usize) -> Result<Self, OptionsError> {
        Ok(Self {
            session: Box::new(Session::new(vec![0; outbox_bytes], options)?),
            response_timeout: options.response_timeout,
            stream: None,
            began: Clock::now(),
            received: Vec::new(),
            taken: 0,
            unwritten: Vec::new(),
        })
    }

    /// Opens a connection, in place of the present one if there is any. The server's answer is the first
    /// [`event`](Self::event). Cancel-safe: there is no connection then.
    ///
    /// # Errors
    /// When no connection can be made within the response timeout.
    pub async fn connect(&mut self, address: impl ToSocketAddrs) -> Result<(), ClientError> {
        self.close();
        let connecting = tokio::time::timeout(self.response_timeout, TcpStream::connect(address));
        let stream = connecting
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // A small packet needn't wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        self.session.handle_connected(self.now());
        Ok(())
    }

    /// Waits for the next packet that comes from the server and gives what it says, if anything; in the
    /// meantime sends what is to be sent, and keeps the connection alive. `None` comes when everything was
    /// written too, so that commands that found the outbox full can be tried again. Cancel-safe.
    ///
    /// After [`Event::Refused`] and [`Event::Disconnected`] the next call gives `Closed`.
    ///
    /// # Errors
    /// There is no connection then. Messages of QoS 1 and 2 wait in the session for the next.
    pub async fn event(&mut self) -> Result<Option<Event<'_>>, ClientError> {
        self.received.drain(..self.taken.min(self.received.len()));
        self.taken = 0;
        if let Some(event) = self.session.poll_event() {
            return Ok(Some(event));
        }
        if self.stream.is_none() {
            return Err(ClientError::NotConnected);
        }
        if let Err(error) = self.until_packet().await {
            self.close();
            return Err(error);
        }
        let now = self.now();
        match self.session.handle_bytes(now, &self.received) {
            Ok(Received::Packet { length, event }) => {
                self.taken = length;
                Ok(event)
            }
            Ok(Received::Incomplete { .. } | Received::Blocked) => Ok(None),
            Err(error) => {
                // The server may want to know why. If that can't be written at once, so be it.
                stage(&mut self.session, &mut self.unwritten, now);
                if let Some(stream) = self.stream.take() {
                    drop(stream.try_write(&self.unwritten));
                }
                self.session.handle_disconnected();
                Err(error.into())
            }
        }
    }

    /// Until the session has something to take from what was received, or everything was written.
    async fn until_packet(&mut self) -> Result<(), ClientError> {
        loop {
            let now = self.now();
            self.session.handle_timeout(now)?;
            stage(&mut self.session, &mut self.unwritten, now);
            // The server has ended it, and hears nothing any more.
            if self.session.is_closed() {
                return Err(ClientError::Closed);
            }
            let may_answer = self.unwritten.len() < UNWRITTEN_MAX;
            if self.session.has_packet(&self.received) && may_answer {
                return Ok(());
            }
            // So that a packet that comes slowly is noticed as a sign of life.
            if !self.session.has_packet(&self.received) && !self.received.is_empty() {
                self.session.handle_bytes(now, &self.received)?;
            }
            let deadline = self.session.poll_timeout().map(|(deadline, _)| deadline);
            let deadline = deadline.map(|at| self.began + Duration::from_nanos(at.as_nanos()));
            let stream = self.stream.as_mut().ok_or(ClientError::NotConnected)?;
            let (mut reader, mut writer) = stream.split();
            self.received.reserve(READ);
            // A server that reads only when it has written is read from, though not answered yet.
            let may_read = may_answer || self.received.len() < UNREAD_MAX;
            tokio::select! {
                read = reader.read_buf(&mut self.received), if may_read => {
                    if read? == 0 {
                        return Err(ClientError::Closed);
                    }
                }
                written = writer.write(&self.unwritten), if !self.unwritten.is_empty() => {
                    self.unwritten.drain(..written?);
                    if self.unwritten.is_empty() {
                        return Ok(());
                    }
                }
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// See [`Session::publish`].
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn publish(&mut self, message: &Message<'_>) -> Result<Option<PacketId>, CommandError> {
        self.session.publish(message)
    }

    /// See [`Session::subscribe`].
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn subscribe(
        &mut self,
        subscriptions: &[Subscription<'_>],
        properties: &[Property<'_>],
    ) -> Result<PacketId, CommandError> {
        self.session.subscribe(subscriptions, properties)
    }

    /// See [`Session::unsubscribe`].
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn unsubscribe(
        &mut self,
        filters: &[&str],
        properties: &[Property<'_>],
    ) -> Result<PacketId, CommandError> {
        self.session.unsubscribe(filters, properties)
    }

    /// See [`Session::unacknowledged`].
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.session.unacknowledged()
    }

    /// Says good-bye, see [`Session::disconnect`], and closes the connection. Not cancel-safe: the good-bye
    /// may be cut off.
    ///
    /// # Errors
    /// When there is no connection, or it fails on the way.
    pub async fn disconnect(&mut self, reason_code: ReasonCode) -> Result<(), ClientError> {
        let now = self.now();
        let outcome = if self.session.disconnect(now, reason_code).is_ok() {
            let leaving = tokio::time::timeout(self.response_timeout, self.leave(now)).await;
            leaving.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            Err(io::ErrorKind::NotConnected.into())
        };
        self.close();
        Ok(outcome?)
    }

    /// Writes the good-bye and lets the server close first: if the socket were closed with bytes unread, the
    /// good-bye could be lost.
    async fn leave(&mut self, now: Instant) -> io::Result<()> {
        let Self {
            session,
            stream,
            unwritten,
            ..
        } = self;
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let (mut reader, mut writer) = stream.split();
        let write = async {
            loop {
                stage(session, unwritten, now);
                if unwritten.is_empty() {
                    return writer.shutdown().await;
                }
                writer.write_all(unwritten).await?;
                unwritten.clear();
            }
        };
        let read = async {
            let mut unwanted = vec![0; READ];
            while reader.read(&mut unwanted).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::pin!(read);
        tokio::select! {
            biased;
            written = write => written?,
            // Closed by the server before it knew.
            closed = &mut read => return closed.and(Err(io::ErrorKind::ConnectionReset.into())),
        }
        // Whatever comes of it now: the server has the good-bye, or is gone.
        drop(tokio::time::timeout(LINGER, read).await);
        Ok(())
    }

    /// Closes the connection without a good-bye: the server publishes the Will. The session goes on with
    /// the next [`connect`](Self::connect).
    pub fn close(&mut self) {
        self.stream = None;
        self.session.handle_disconnected();
        self.received.clear();
        self.taken = 0;
        self.unwritten.clear();
    }

    fn now(&self) -> Instant {
        let nanos = self.began.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Takes what the session has to send.
fn stage(session: &mut OurSession, unwritten: &mut Vec<u8>, now: Instant) {
    while unwritten.len() < UNWRITTEN_MAX
        && let Some(bytes) = session.poll_transmit()
    {
        let count = bytes.len().min(UNWRITTEN_MAX - unwritten.len());
        unwritten.extend_from_slice(bytes.get(..count).unwrap_or_default());
        session.handle_transmitted(now, count);
    }
}

/// Without a deadline, never.
async fn sleep_until(deadline: Option<Clock>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => core::future::pending().await,
    }
}
