//! A hub with a few connections that are sent any bytes, in any pieces, at any time.
//!
//! The input is a program for a stranger: each step picks a connection and sends it bytes, lets it
//! write, ends it, or lets time pass. Some steps send a whole valid packet, so that the rules behind
//! CONNECT are reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dunlin_codec::{Packet, Version, decode};
use dunlin_engine::connection::{
    AuthOutcome, CloseReason, Connection, Event, OnDeny, Settings, Transmit,
};
use dunlin_engine::hub::{Batch, DurableState, Hub};
use dunlin_engine::journal::{Journal, MemoryLog, Watermark};
use dunlin_engine::limits::Limits;
use dunlin_engine::routing::AllowAll;
use dunlin_engine::sync::Wake;
use dunlin_engine::time::{Instant, Now};

/// Small bounds, so that a short input reaches them.
fn limits() -> Limits {
    Limits {
        packet_bytes: 16 * 1024,
        connect_packet_bytes: 16 * 1024,
        topic_levels: 8,
        filters_per_packet: 4,
        subscriptions_per_session: 8,
        user_properties: 4,
        sessions: 6,
        queue_messages: 8,
        queue_bytes: 32 * 1024,
        share_queue_messages: 8,
        share_queue_bytes: 32 * 1024,
        receive_maximum: 4,
        inflight: 3,
        topic_aliases_in: 2,
        topic_aliases_out: 2,
        retained_messages: 8,
        retained_bytes: 16 * 1024,
        memory_bytes: 256 * 1024,
        ..Limits::default()
    }
}

/// What may never be exceeded by much: each message is charged before it's refused.
const MEMORY_BYTES_MAX: usize = 256 * 1024 + 2 * 16 * 1024 + 6 * 1024;

#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Client {
    connection: Connection,
    bell: Arc<Bell>,
    kept: Vec<u8>,
    version: Version,
}

struct World {
    hub: Hub,
    log: Arc<MemoryLog>,
    clients: Vec<Option<Client>>,
    now: Now,
    batch: Batch,
    opened: u8,
}

const CLIENTS: usize = 3;

/// Runs the program in `bytes`.
///
/// # Panics
/// When the engine breaks a promise: it writes something that its own codec refuses, forgets to
/// journal something, or lets memory grow above its ceiling.
pub fn connection(bytes: &[u8]) {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(MemoryLog::keeping(Arc::clone(&watermark)));
    let journal = Journal::new(Box::new(Arc::clone(&log)), watermark);
    let mut world = World {
        hub: Hub::new(limits(), journal, Arc::new(AllowAll), 1),
        log,
        clients: (0..CLIENTS).map(|_| None).collect(),
        now: Now::default(),
        batch: Batch::default(),
        opened: 0,
    };
    let mut rest = bytes;
    while let Some((&step, tail)) = rest.split_first() {
        rest = world.step(step, tail);
        world.settle();
        assert!(
            world.hub.account().used() <= MEMORY_BYTES_MAX,
            "memory above the ceiling"
        );
    }
    let live = world.hub.durable_state();
    let replayed = DurableState::from_frames(world.log.frames());
    assert_eq!(live, replayed, "the journal doesn't add up to the state");
}

impl World {
    /// One step of the program; gives what follows it.
    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        let at = usize::from(step) % CLIENTS;
        match step / 32 {
            // Bytes as they are, with their length in front.
            0..=2 => {
                let (length, rest) = rest
                    .split_first()
                    .map_or((0, rest), |(length, rest)| (*length, rest));
                let (bytes, rest) = rest.split_at(usize::from(length).min(rest.len()));
                self.send(at, bytes);
                rest
            }
            3 | 4 => {
                self.connect(at, rest.first().copied().unwrap_or(0));
                rest.get(1..).unwrap_or_default()
            }
            5 => {
                self.end(at, CloseReason::PeerClosed);
                rest
            }
            6 => {
                let secs = rest.first().copied().unwrap_or(1);
                let at = self.now.monotonic.plus_secs(u64::from(secs) * 10);
                self.now = Now {
                    monotonic: at,
                    wall_ms: self.now.wall_ms + u64::from(secs) * 10_000,
                };
                self.time_out();
                rest.get(1..).unwrap_or_default()
            }
            _ => {
                let maximum = self.now.monotonic.plus_millis(200);
                self.now.monotonic = Instant::max(self.now.monotonic, maximum);
                self.time_out();
                rest
            }
        }
    }

    /// A valid CONNECT, its version and flags taken from `choice`, after which bytes may follow.
    fn connect(&mut self, at: usize, choice: u8) {
        self.end(at, CloseReason::PeerClosed);
        let version = [Version::V3, Version::V4, Version::V5][usize::from(choice) % 3];
        let name = [b'a' + choice % 4];
        let connect = dunlin_codec::Connect {
            version,
            clean_start: choice & 0x40 != 0,
            keep_alive_s: u16::from(choice & 0x0F),
            client_id: core::str::from_utf8(&name).unwrap_or_default(),
            will: (choice & 0x80 != 0).then_some(dunlin_codec::Will {
                topic: "a/b",
                payload: b"gone",
                qos: dunlin_codec::QoS::AtLeastOnce,
                retain: choice & 1 != 0,
                properties: dunlin_codec::Properties::EMPTY,
            }),
            user_name: None,
            password: None,
            properties: dunlin_codec::Properties::from_list(&[
                dunlin_codec::Property::SessionExpiryInterval(60),
                dunlin_codec::Property::ReceiveMaximum(2),
                dunlin_codec::Property::TopicAliasMaximum(2),
            ]),
        };
        let mut bytes = Vec::new();
        if Packet::Connect(connect).encode(version, &mut bytes).is_ok() {
            self.send(at, &bytes);
        }
    }

    fn send(&mut self, at: usize, bytes: &[u8]) {
        if self.clients[at].is_none() {
            self.opened = self.opened.wrapping_add(1);
            let bell = Arc::new(Bell::default());
            let settings = Arc::new(Settings {
                listener: "fuzz".into(),
                assigned_client_id_prefix: "auto-".into(),
                response_information: Some("answers/".into()),
                on_deny: if self.opened.is_multiple_of(2) {
                    OnDeny::Acknowledge
                } else {
                    OnDeny::Disconnect
                },
            });
            let wake = Arc::clone(&bell) as Arc<dyn Wake>;
            let seed = [self.opened; 16];
            let connection = Connection::new(self.now, &self.hub.limits(), settings, wake, seed);
            self.clients[at] = Some(Client {
                connection,
                bell,
                kept: Vec::new(),
                version: Version::V4,
            });
        }
        if let Some(client) = &mut self.clients[at] {
            client.kept.extend_from_slice(bytes);
        }
        self.handle_kept(at);
    }

    fn handle_kept(&mut self, at: usize) {
        loop {
            let Some(client) = &mut self.clients[at] else {
                return;
            };
            let result =
                client
                    .connection
                    .handle_bytes(self.now, &self.hub, &mut self.batch, &client.kept);
            let Ok(taken) = result else {
                return self.finish(at);
            };
            assert!(taken <= client.kept.len());
            // Only a CONNECT tells its version; what the connection writes must be read in it.
            if let Ok((Packet::Connect(connect), _)) = decode(&client.kept, Version::V5, u32::MAX) {
                client.version = connect.version;
            }
            client.kept.drain(..taken);
            let Some(Event::Authenticate(_)) = client.connection.poll_event() else {
                return;
            };
            let outcome = AuthOutcome::Accepted { user_name: None };
            let done = client.connection.handle_authenticated(
                self.now,
                &self.hub,
                &mut self.batch,
                outcome,
            );
            if done.is_err() {
                return self.finish(at);
            }
        }
    }

    fn time_out(&mut self) {
        self.hub.handle_timeout(self.now, &mut self.batch);
        for at in 0..CLIENTS {
            let Some(client) = &mut self.clients[at] else {
                continue;
            };
            if client
                .connection
                .handle_timeout(self.now, &self.hub, &mut self.batch)
                .is_err()
            {
                self.finish(at);
            } else {
                self.handle_kept(at);
            }
        }
    }

    fn end(&mut self, at: usize, reason: CloseReason) {
        if let Some(client) = &mut self.clients[at] {
            client
                .connection
                .handle_closed(self.now, &self.hub, &mut self.batch, reason);
            self.finish(at);
        }
    }

    /// Takes the last bytes of a connection that is over.
    fn finish(&mut self, at: usize) {
        let Some(mut client) = self.clients[at].take() else {
            return;
        };
        let mut out = Transmit::default();
        let more = client
            .connection
            .poll_transmit(self.now, &self.hub, &mut self.batch, &mut out);
        assert!(
            !matches!(more, Ok(true)),
            "a connection that is over has more to say"
        );
        check(&client, &out);
    }

    /// Lets every connection write until none wants to.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the connections don't come to rest");
            self.batch.wake_all();
            let mut quiet = true;
            for at in 0..CLIENTS {
                quiet &= !self.poll(at);
            }
            if quiet {
                return;
            }
        }
    }

    fn poll(&mut self, at: usize) -> bool {
        let Some(client) = &mut self.clients[at] else {
            return false;
        };
        let rung = client.bell.0.swap(false, Ordering::Relaxed);
        let mut out = Transmit::default();
        let polled =
            client
                .connection
                .poll_transmit(self.now, &self.hub, &mut self.batch, &mut out);
        check(client, &out);
        match polled {
            Ok(more) => more || rung || !out.is_empty(),
            Err(_) => {
                self.finish(at);
                true
            }
        }
    }
}

/// What is written must be whole packets that the codec takes.
fn check(client: &Client, out: &Transmit) {
    let bytes: Vec<u8> = out.pieces().flatten().copied().collect();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        // A refusal of an unknown version is written in a version that the client didn't name.
        let read =
            decode(rest, client.version, u32::MAX).or_else(|_| decode(rest, Version::V5, u32::MAX));
        let (_, length) = read.unwrap_or_else(|error| panic!("wrote {rest:02x?}: {error}"));
        rest = &rest[length..];
    }
}
