//! A link between a client and the broker: bytes on their way in both directions, the broker's end
//! of the connection and its bell.

use dunlin_codec::{DecodeError, Packet, Version, decode};
use dunlin_engine::connection::{
    AuthOutcome, Close, CloseReason, Connection, Event, OnDeny, Settings, Transmit,
};
use dunlin_engine::hub::{Batch, Hub};
use dunlin_engine::sync::atomic::{AtomicBool, Ordering};
use dunlin_engine::sync::{Arc, Wake};
use dunlin_engine::time::Now;

/// What the engine rings when it wants to be polled.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct Link {
    connection: Connection,
    bell: Arc<Bell>,
    batch: Batch,
    version: Version,
    /// Sent by the client, still on the wire.
    upward: Vec<u8>,
    /// Arrived at the broker, not taken yet.
    unread: Vec<u8>,
    /// Sent by the broker, still on the wire.
    downward: Vec<u8>,
    /// Arrived at the client, not decoded yet.
    arrived: Vec<u8>,
    /// Why the broker closed it.
    pub(crate) closed: Option<CloseReason>,
}

impl Link {
    pub(crate) fn open(now: Now, hub: &Hub, version: Version) -> Self {
        let settings = Settings {
            listener: Arc::from("test"),
            assigned_client_id_prefix: "auto-".into(),
            response_information: None,
            on_deny: OnDeny::Acknowledge,
        };
        let bell = Arc::new(Bell::default());
        let wake: Arc<dyn Wake> = bell.clone();
        Self {
            connection: Connection::new(now, &hub.limits(), Arc::new(settings), wake, [1; 16]),
            bell,
            batch: Batch::default(),
            version,
            upward: Vec::new(),
            unread: Vec::new(),
            downward: Vec::new(),
            arrived: Vec::new(),
            closed: None,
        }
    }

    /// The client sends.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        packet
            .encode(self.version, &mut self.upward)
            .expect("a packet that can be written");
    }

    /// Whether the engine wants to be polled.
    pub(crate) fn rings(&self) -> bool {
        self.bell.0.load(Ordering::SeqCst)
    }

    /// Whether anything is on the wire or unhandled at the broker's end.
    pub(crate) fn is_busy(&self) -> bool {
        !self.upward.is_empty() || !self.downward.is_empty() || !self.unread.is_empty()
    }

    /// The broker's task runs once, after up to `count` more bytes have come.
    pub(crate) fn turn(&mut self, now: Now, hub: &Hub, count: usize) {
        let count = count.min(self.upward.len());
        self.unread.extend(self.upward.drain(..count));
        self.bell.0.store(false, Ordering::SeqCst);
        if self.closed.is_none()
            && let Err(close) = self.handle(now, hub)
        {
            self.closed = Some(close.reason);
            // What is told to a client that is sent away.
            let mut out = Transmit::default();
            let _ = self
                .connection
                .poll_transmit(now, hub, &mut self.batch, &mut out);
            self.put(&mut out);
        }
        self.batch.wake_all();
    }

    fn handle(&mut self, now: Now, hub: &Hub) -> Result<(), Close> {
        loop {
            let taken = self
                .connection
                .handle_bytes(now, hub, &mut self.batch, &self.unread)?;
            self.unread.drain(..taken);
            while let Some(Event::Authenticate(_)) = self.connection.poll_event() {
                let outcome = AuthOutcome::Accepted { user_name: None };
                self.connection
                    .handle_authenticated(now, hub, &mut self.batch, outcome)?;
            }
            loop {
                let mut out = Transmit::default();
                let more = self
                    .connection
                    .poll_transmit(now, hub, &mut self.batch, &mut out);
                self.put(&mut out);
                if !more? {
                    break;
                }
            }
            if taken == 0 {
                return Ok(());
            }
        }
    }

    fn put(&mut self, out: &mut Transmit) {
        for piece in out.pieces() {
            self.downward.extend_from_slice(piece);
        }
        out.clear();
    }

    /// Up to `count` bytes reach the client.
    pub(crate) fn arrive(&mut self, count: usize) {
        let count = count.min(self.downward.len());
        self.arrived.extend(self.downward.drain(..count));
    }

    /// Hands every whole packet to the client.
    pub(crate) fn for_each_packet(&mut self, mut take: impl FnMut(Packet<'_>)) {
        let mut at = 0;
        loop {
            match decode(&self.arrived[at..], self.version, u32::MAX) {
                Ok((packet, length)) => {
                    take(packet);
                    at += length;
                }
                Err(DecodeError::Incomplete { .. }) => break,
                Err(error) => panic!("the broker sent what nobody can read: {error:?}"),
            }
        }
        self.arrived.drain(..at);
    }

    /// The wire is cut; what is on it is lost.
    pub(crate) fn cut(mut self, now: Now, hub: &Hub) {
        if self.closed.is_none() {
            let reason = CloseReason::PeerClosed;
            self.connection
                .handle_closed(now, hub, &mut self.batch, reason);
        }
        self.batch.wake_all();
    }
}
