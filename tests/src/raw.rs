//! A blocking MQTT client of bytes, for tests that must see exactly what goes over the wire.
//!
//! It sends whatever it is given, reads one frame at a time, and never acknowledges, answers or retries by itself.
//! Every wait is bounded. It knows nothing of `dunlin-codec` on purpose: the tests want a second opinion.

pub mod build;
pub mod frame;

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::Location;
use std::time::{Duration, Instant};

use build::{Connect, Publish};
use frame::{Connack, Frame};

/// How long a broker may take over anything that it must do at once.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long nothing must come for us to believe that nothing will.
pub const QUIET: Duration = Duration::from_millis(150);

/// Which of the two standards is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl Version {
    /// The protocol level in CONNECT.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

/// What a test expected and didn't see, and where.
#[derive(Clone, Debug)]
pub struct Failure {
    message: String,
    at: &'static Location<'static>,
}

/// What a step of a test comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure at the caller's line.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at: Location::caller(),
        }
    }

    /// The same with the name of the case it happened in.
    #[must_use]
    pub fn in_case(self, case: impl fmt::Display) -> Self {
        Self {
            message: format!("[{case}] {}", self.message),
            at: self.at,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({}:{})",
            self.message,
            self.at.file(),
            self.at.line()
        )
    }
}

impl From<std::io::Error> for Failure {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Fails with the message unless the condition holds.
///
/// # Errors
/// When it doesn't.
#[track_caller]
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(Failure::new(message()))
    }
}

/// Fails unless both are equal.
///
/// # Errors
/// When they differ; `seen` and `expected` are shown.
#[track_caller]
pub fn same<T: PartialEq + fmt::Debug>(what: &str, seen: T, expected: T) -> Outcome {
    if seen == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what}: expected {expected:02X?}, saw {seen:02X?}"
    )))
}

/// What a wait for a frame came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole frame.
    Frame(Frame),
    /// The broker closed or reset the connection.
    Closed,
    /// Nothing (or no whole frame) in the time given.
    Nothing,
}

/// One connection to a broker.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    buffer: Vec<u8>,
    /// Frames that came while another was waited for.
    set_aside: VecDeque<Frame>,
    last_id: u16,
}

impl Client {
    /// A connection on which nothing was sent yet.
    ///
    /// # Errors
    /// When it can't be opened.
    #[track_caller]
    pub fn open(address: SocketAddr, version: Version) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            version,
            buffer: Vec::new(),
            set_aside: VecDeque::new(),
            last_id: 0,
        })
    }

    /// A connection that was accepted, and the CONNACK that said so.
    ///
    /// # Errors
    /// When it wasn't.
    #[track_caller]
    pub fn connect(address: SocketAddr, connect: &Connect) -> Outcome<(Self, Connack)> {
        let mut client = Self::open(address, connect.version())?;
        client.send(connect.bytes())?;
        let connack = client.frame()?.connack(connect.version())?;
        ensure(connack.code == 0, || {
            format!("CONNECT refused: {connack:02X?}")
        })?;
        Ok((client, connack))
    }

    /// The version this connection speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// A Packet Identifier that this connection hasn't used, or not for the last 65,534 times.
    pub fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id % u16::MAX + 1;
        self.last_id
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When they can't be written.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Outcome {
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Sends bytes that the broker may refuse to read to the end.
    pub fn send_refusable(&mut self, bytes: impl AsRef<[u8]>) {
        // A broker that closes in the middle makes the write fail; what it said before is still there to read.
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// What comes within this time.
    ///
    /// # Errors
    /// When what came isn't a frame.
    #[track_caller]
    pub fn receive(&mut self, within: Duration) -> Outcome<Received> {
        if let Some(frame) = self.set_aside.pop_front() {
            return Ok(Received::Frame(frame));
        }
        self.receive_new(within)
    }

    #[track_caller]
    fn receive_new(&mut self, within: Duration) -> Outcome<Received> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer)? {
                return Ok(Received::Frame(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Received::Nothing);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Received::Closed),
                Ok(count) => self
                    .buffer
                    .extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    ) =>
                {
                    return Ok(Received::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the connection closes or nothing comes.
    #[track_caller]
    pub fn frame(&mut self) -> Outcome<Frame> {
        match self.receive(PATIENCE)? {
            Received::Frame(frame) => Ok(frame),
            Received::Closed => Err(Failure::new("expected a packet, the connection was closed")),
            Received::Nothing => Err(Failure::new(format!(
                "expected a packet, nothing came (unfinished: {:02X?})",
                self.buffer
            ))),
        }
    }

    /// Exactly these bytes as the next frame.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) -> Outcome {
        same("packet", self.frame()?.bytes(), bytes.as_ref().to_vec())
    }

    /// Sends a packet and expects exactly these bytes back.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn exchange(&mut self, send: impl AsRef<[u8]>, expect: impl AsRef<[u8]>) -> Outcome {
        self.send(send)?;
        self.expect(expect)
    }

    /// The next frame, a PUBLISH.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn expect_publish(&mut self) -> Outcome<Publish> {
        self.frame()?.publish(self.version)
    }

    /// The next frame, a PUBLISH with this topic and payload.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn expect_message(&mut self, topic: &str, payload: &str) -> Outcome<Publish> {
        let publish = self.expect_publish()?;
        let seen = (
            String::from_utf8_lossy(&publish.topic),
            String::from_utf8_lossy(&publish.payload),
        );
        same(
            "message",
            (seen.0.as_ref(), seen.1.as_ref()),
            (topic, payload),
        )?;
        Ok(publish)
    }

    /// The end of the connection, with no packet before it.
    ///
    /// # Errors
    /// When a packet comes, or nothing.
    #[track_caller]
    pub fn expect_closed(&mut self) -> Outcome {
        match self.receive(PATIENCE)? {
            Received::Closed => Ok(()),
            other => Err(Failure::new(format!(
                "expected the connection to be closed, saw {other:02X?}"
            ))),
        }
    }

    /// The end of the connection for this reason: a DISCONNECT with one of these codes before it in MQTT 5,
    /// nothing before it in 3.1.1.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn expect_rejected(&mut self, codes: &[u8]) -> Outcome {
        if self.version == Version::V5 {
            let reason = self.frame()?.reason(0xE0)?;
            ensure(codes.contains(&reason.code), || {
                format!("DISCONNECT with one of {codes:02X?}, saw {reason:02X?}")
            })?;
        }
        self.expect_closed()
    }

    /// Nothing but the answer to a PINGREQ, and then nothing for a moment.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn quiet(&mut self) -> Outcome {
        self.ping()?;
        match self.receive(QUIET)? {
            Received::Nothing => Ok(()),
            other => Err(Failure::new(format!("expected nothing, saw {other:02X?}"))),
        }
    }

    /// PINGREQ, answered by PINGRESP.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn ping(&mut self) -> Outcome {
        self.exchange(build::PINGREQ, build::PINGRESP)
    }

    /// Subscribes to one filter and expects exactly this code.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, options: u8) -> Outcome {
        let id = self.fresh_id();
        self.send(build::subscribe(self.version, id, &[(filter, options)]))?;
        self.expect(build::suback(0x90, self.version, id, &[options & 3]))
    }

    /// Publishes and completes the handshake; every acknowledgement must mean success.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, qos: u8, payload: &str) -> Outcome {
        let id = self.fresh_id();
        self.complete(&Publish::new(self.version, topic, payload).qos(qos, id))
    }

    /// Publishes a retained message and completes the handshake.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn retain(&mut self, topic: &str, qos: u8, payload: &str) -> Outcome {
        let id = self.fresh_id();
        self.complete(
            &Publish::new(self.version, topic, payload)
                .qos(qos, id)
                .retain(),
        )
    }

    /// Sends this PUBLISH and completes its handshake. At QoS 0 a PINGREQ makes sure that it was taken in. A
    /// Reason Code below 0x80 (No matching subscribers) counts as success.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn complete(&mut self, publish: &Publish) -> Outcome {
        self.send(publish.bytes())?;
        match publish.qos {
            0 => self.ping(),
            1 => self.acknowledged(build::PUBACK, publish.id),
            _ => {
                self.acknowledged(build::PUBREC, publish.id)?;
                self.send(build::ack(build::PUBREL, publish.id))?;
                self.acknowledged(build::PUBCOMP, publish.id)
            }
        }
    }

    /// An acknowledgement of this kind for this identifier that means success.
    ///
    /// # Errors
    /// When anything else comes.
    #[track_caller]
    pub fn acknowledged(&mut self, first: u8, id: u16) -> Outcome {
        let reason = self.frame()?.ack(first, self.version)?;
        same("Packet Identifier", reason.id, id)?;
        ensure(reason.code < 0x80, || format!("refused: {reason:02X?}"))
    }

    /// Plays the receiver's part for a PUBLISH that came. Messages that come meanwhile are kept for later.
    ///
    /// # Errors
    /// When the broker doesn't play its own.
    #[track_caller]
    pub fn accept(&mut self, publish: &Publish) -> Outcome {
        match publish.qos {
            0 => Ok(()),
            1 => self.send(build::ack(build::PUBACK, publish.id)),
            _ => {
                self.send(build::ack(build::PUBREC, publish.id))?;
                loop {
                    match self.receive_new(PATIENCE)? {
                        Received::Frame(frame) if frame.first & 0xF0 == 0x30 => {
                            self.set_aside.push_back(frame);
                        }
                        Received::Frame(frame) => {
                            let reason = frame.ack(build::PUBREL, self.version)?;
                            same(
                                "identifier and code",
                                (reason.id, reason.code),
                                (publish.id, 0),
                            )?;
                            return self.send(build::ack(build::PUBCOMP, publish.id));
                        }
                        other => {
                            return Err(Failure::new(format!("expected PUBREL, saw {other:?}")));
                        }
                    }
                }
            }
        }
    }

    /// Leaves normally and waits until the broker has closed.
    ///
    /// # Errors
    /// When it doesn't close.
    #[track_caller]
    pub fn disconnect(mut self) -> Outcome {
        self.send(build::DISCONNECT)?;
        self.expect_closed()
    }

    /// Cuts the connection without a DISCONNECT.
    pub fn cut(self) {
        // Failing to shut down means that the connection is gone already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}
