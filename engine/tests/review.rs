//! Rules that a careful reading found broken once: each test shows one of them and stays.
//!
//! Answers for nothing systematic; the suites beside it do. MQTT 5 sections 3.1.2, 3.8.4, 3.14.2,
//! 4.8.2.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods, // in the tests of Wills two threads meet
    missing_docs
)]

use std::sync::{Arc, Mutex};

use dunlin_codec::{Packet, Version, decode};
use dunlin_engine::connection::{AuthOutcome, Connection, Settings, Transmit};
use dunlin_engine::drops::DropReason;
use dunlin_engine::hub::{Batch, DurableState, Hub};
use dunlin_engine::journal::{Journal, MemoryLog, Watermark};
use dunlin_engine::limits::{DropPolicy, Limits};
use dunlin_engine::message::Origin;
use dunlin_engine::routing::{Action, AllowAll, Authorize, Decision};
use dunlin_engine::sync::Wake;
use dunlin_engine::time::{Instant, Now};

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

struct Broker {
    hub: Arc<Hub>,
    log: Arc<MemoryLog>,
}

fn broker(limits: Limits, authorizer: Arc<dyn Authorize>) -> Broker {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(MemoryLog::keeping(Arc::clone(&watermark)));
    let journal = Journal::new(Box::new(Arc::clone(&log)), watermark);
    let hub = Arc::new(Hub::new(limits, journal, authorizer, 1));
    Broker { hub, log }
}

fn at(secs: u64) -> Now {
    Now {
        monotonic: Instant::ZERO.plus_secs(secs),
        wall_ms: 0,
    }
}

/// A client that writes its packets by hand.
struct Client {
    connection: Connection,
    batch: Batch,
}

/// A CONNECT of MQTT 5.
struct Connect<'a> {
    client_id: &'a str,
    clean_start: bool,
    expiry_s: u32,
    receive_maximum: u16,
    /// Topic and delay.
    will: Option<(&'a str, u32)>,
}

impl Connect<'_> {
    const fn new(client_id: &str) -> Connect<'_> {
        Connect {
            client_id,
            clean_start: false,
            expiry_s: 1000,
            receive_maximum: 100,
            will: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        let will_flag = if self.will.is_some() { 0x04 } else { 0 };
        body.push(will_flag | if self.clean_start { 0x02 } else { 0 });
        body.extend([0, 0, 8, 0x11]);
        body.extend(self.expiry_s.to_be_bytes());
        body.push(0x21);
        body.extend(self.receive_maximum.to_be_bytes());
        body.extend(text(self.client_id));
        if let Some((topic, delay_s)) = self.will {
            body.extend([5, 0x18]);
            body.extend(delay_s.to_be_bytes());
            body.extend(text(topic));
            body.extend(text("will"));
        }
        frame(0x10, &body)
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 16_384);
    let mut bytes = vec![first];
    if body.len() < 128 {
        bytes.push(u8::try_from(body.len()).unwrap());
    } else {
        bytes.push(u8::try_from(body.len() % 128).unwrap() | 0x80);
        bytes.push(u8::try_from(body.len() / 128).unwrap());
    }
    bytes.extend(body);
    bytes
}

fn subscribe(id: u8, filter: &str, options: u8) -> Vec<u8> {
    let mut body = vec![0, id, 0];
    body.extend(text(filter));
    body.push(options);
    frame(0x82, &body)
}

fn unsubscribe(id: u8, filter: &str) -> Vec<u8> {
    let mut body = vec![0, id, 0];
    body.extend(text(filter));
    frame(0xA2, &body)
}

fn publish(topic: &str, qos: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    publish_with(topic, qos << 1, id, &[], payload)
}

fn publish_with(topic: &str, flags: u8, id: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if flags & 0x06 != 0 {
        body.extend(id.to_be_bytes());
    }
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend(properties);
    body.extend(payload);
    frame(0x30 | flags, &body)
}

impl Client {
    fn connect(hub: &Hub, now: Now, connect: &Connect<'_>) -> Self {
        let settings = Arc::new(Settings {
            listener: "test".into(),
            assigned_client_id_prefix: "".into(),
            response_information: None,
            on_deny: Default::default(),
        });
        let limits = hub.limits();
        let mut client = Self {
            connection: Connection::new(now, &limits, settings, Arc::new(NoWake), [7; 16]),
            batch: Batch::default(),
        };
        client.send(hub, now, &connect.bytes());
        let outcome = AuthOutcome::Accepted { user_name: None };
        client
            .connection
            .handle_authenticated(now, hub, &mut client.batch, outcome)
            .unwrap();
        client
    }

    fn send(&mut self, hub: &Hub, now: Now, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self
                .connection
                .handle_bytes(now, hub, &mut self.batch, bytes)
                .unwrap();
            let _ = self.connection.poll_event();
            assert!(taken > 0, "the connection is paused");
            bytes = &bytes[taken..];
        }
    }

    /// The topics of the messages that come now.
    fn receive(&mut self, hub: &Hub, now: Now) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            let mut out = Transmit::default();
            let more = self
                .connection
                .poll_transmit(now, hub, &mut self.batch, &mut out)
                .unwrap();
            let bytes: Vec<u8> = out.pieces().flatten().copied().collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (packet, length) = decode(rest, Version::V5, u32::MAX).unwrap();
                if let Packet::Publish(publish) = packet {
                    topics.push(publish.topic.to_owned());
                }
                rest = &rest[length..];
            }
            // What a poll queues calls for another one.
            if !more && bytes.is_empty() {
                return topics;
            }
        }
    }

    fn lose(mut self, hub: &Hub, now: Now) {
        let reason = dunlin_engine::connection::CloseReason::PeerClosed;
        let _ = self
            .connection
            .handle_closed(now, hub, &mut self.batch, reason);
    }
}

fn state_of_the_log(broker: &Broker) -> DurableState {
    DurableState::from_frames(broker.log.frames())
}

/// Runs something once, in the middle of the publication to a topic, before it holds a lock: what
/// another thread may do at that moment.
#[derive(Default)]
struct Meanwhile {
    topic: &'static str,
    deed: Mutex<Option<Deed>>,
}

type Deed = Box<dyn FnOnce() + Send>;

impl Authorize for Meanwhile {
    fn authorize(&self, _: &Origin, action: Action, topic: &str) -> Decision {
        if action == Action::Publish && topic == self.topic {
            let deed = self.deed.lock().unwrap().take();
            if let Some(deed) = deed {
                deed();
            }
        }
        Decision::Allow
    }
}

#[test]
fn the_name_of_a_client_is_on_the_memory_account() {
    let Broker { hub, .. } = broker(Limits::default(), Arc::new(AllowAll));
    let grown = [2, 1000].map(|length| {
        let before = hub.account().used();
        let _client = Client::connect(&hub, at(0), &Connect::new(&"c".repeat(length)));
        hub.account().used() - before
    });
    assert!(grown[1] >= grown[0] + 998, "{grown:?} bytes for sessions");
}

#[test]
fn what_waits_in_queues_is_on_the_memory_account() {
    let Broker { hub, .. } = broker(Limits::default(), Arc::new(AllowAll));
    let sessions: u16 = 20;
    for number in 0..sessions {
        let id = number.to_string();
        let mut client = Client::connect(&hub, at(0), &Connect::new(&id));
        client.send(&hub, at(0), &subscribe(1, "t", 1));
        client.receive(&hub, at(0));
        client.lose(&hub, at(0));
    }
    let mut publisher = Client::connect(&hub, at(0), &Connect::new("publisher"));
    let before = hub.account().used();
    let messages = 500;
    for _ in 0..messages {
        publisher.send(&hub, at(0), &publish("t", 1, 1, b"x"));
        publisher.receive(&hub, at(0));
    }
    let slots = usize::from(sessions) * messages;
    let grown = hub.account().used() - before;
    // A place in a queue takes a pointer, a counter and more: 64 bytes are the least.
    assert!(grown >= slots * 64, "{grown} bytes for {slots} places");
    for number in 0..sessions {
        let id = number.to_string();
        let connect = Connect {
            clean_start: true,
            ..Connect::new(&id)
        };
        Client::connect(&hub, at(1), &connect);
    }
    let left = hub.account().used();
    assert!(left < before + slots * 8, "{left} bytes are left");
}

#[test]
fn a_disconnect_gets_no_longer_session_than_the_operator_allows() {
    let limits = Limits {
        session_expiry_s: 60,
        ..Limits::default()
    };
    let Broker { hub, .. } = broker(limits, Arc::new(AllowAll));
    let mut client = Client::connect(&hub, at(0), &Connect::new("c"));
    let disconnect = [0xE0, 7, 0, 5, 0x11, 0xFF, 0xFF, 0xFF, 0xFF];
    let end = client
        .connection
        .handle_bytes(at(0), &hub, &mut client.batch, &disconnect);
    assert!(end.is_err());
    assert_eq!(hub.figures().sessions, 1);
    hub.handle_timeout(at(61), &mut Batch::default());
    assert_eq!(hub.figures().sessions, 0);
}

#[test]
fn a_will_whose_delay_is_over_is_published_though_the_client_comes_back() {
    let Broker { hub, .. } = broker(Limits::default(), Arc::new(AllowAll));
    let mut watcher = Client::connect(&hub, at(0), &Connect::new("watcher"));
    watcher.send(&hub, at(0), &subscribe(1, "will", 0));
    let connect = Connect {
        will: Some(("will", 5)),
        ..Connect::new("c")
    };
    let client = Client::connect(&hub, at(0), &connect);
    client.lose(&hub, at(10));
    // Nobody has looked at the deadlines since.
    let client = Client::connect(&hub, at(16), &connect);
    assert_eq!(watcher.receive(&hub, at(16)), ["will"]);
    client.lose(&hub, at(20));
    // This time it's back before the delay is over.
    Client::connect(&hub, at(24), &connect);
    assert!(watcher.receive(&hub, at(24)).is_empty());
}

/// A Will is published and, while that goes on, the client comes back with another one.
fn reconnect_during_the_will(delay_s: u32) {
    let meanwhile = Arc::new(Meanwhile {
        topic: "first",
        ..Meanwhile::default()
    });
    let broker = broker(
        Limits::default(),
        Arc::clone(&meanwhile) as Arc<dyn Authorize>,
    );
    let hub = &broker.hub;
    let with_will = |topic| Connect {
        will: Some((topic, delay_s)),
        ..Connect::new("c")
    };
    let client = Client::connect(hub, at(0), &with_will("first"));
    let back = Arc::clone(hub);
    let (to_test, from_thread) = std::sync::mpsc::channel();
    *meanwhile.deed.lock().unwrap() = Some(Box::new(move || {
        std::thread::spawn(move || {
            let connect = Connect {
                will: Some(("second", 50)),
                ..Connect::new("c")
            };
            let client = Client::connect(&back, at(30), &connect);
            let _ = to_test.send(client);
        });
        // Long enough for the other thread to get in, if it can.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }));
    client.lose(hub, at(10));
    hub.handle_timeout(at(30), &mut Batch::default());
    let client = from_thread
        .recv_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    assert!(state_of_the_log(&broker) == hub.durable_state());
    drop(client);
}

#[test]
fn a_client_that_returns_during_its_will_keeps_the_next_one() {
    reconnect_during_the_will(0);
}

#[test]
fn a_client_that_returns_during_its_delayed_will_keeps_the_next_one() {
    reconnect_during_the_will(5);
}

#[test]
fn replacing_a_subscription_loses_no_retained_message() {
    let broker = broker(Limits::default(), Arc::new(AllowAll));
    let hub = &broker.hub;
    let mut client = Client::connect(hub, at(0), &Connect::new("c"));
    client.send(hub, at(0), &publish_with("t", 0x01, 0, &[], b"kept"));
    client.send(hub, at(0), &subscribe(1, "t", 0x01));
    // Retain Handling 2: sends none, and takes none back.
    client.send(hub, at(0), &subscribe(2, "t", 0x21));
    assert!(state_of_the_log(&broker) == hub.durable_state());
    assert_eq!(client.receive(hub, at(0)), ["t"]);
}

#[test]
fn a_message_still_expires_after_its_receiver_came_and_went() {
    let Broker { hub, .. } = broker(Limits::default(), Arc::new(AllowAll));
    let narrow = Connect {
        receive_maximum: 1,
        ..Connect::new("c")
    };
    let mut client = Client::connect(&hub, at(0), &narrow);
    client.send(&hub, at(0), &subscribe(1, "t", 1));
    client.lose(&hub, at(0));
    let mut publisher = Client::connect(&hub, at(0), &Connect::new("publisher"));
    publisher.send(&hub, at(0), &publish("t", 1, 1, b"first"));
    let expiry = [0x02, 0, 0, 0, 20];
    publisher.send(&hub, at(0), &publish_with("t", 0x02, 2, &expiry, b"x"));
    let mut client = Client::connect(&hub, at(5), &narrow);
    assert_eq!(client.receive(&hub, at(5)).len(), 1);
    client.lose(&hub, at(6));
    hub.handle_timeout(at(30), &mut Batch::default());
    assert_eq!(hub.drops().count(DropReason::Expired), 1);
}

#[test]
fn a_member_without_room_drops_nothing_that_another_member_takes() {
    let limits = Limits {
        queue_bytes: 1000,
        ..Limits::default()
    };
    let Broker { hub, .. } = broker(limits, Arc::new(AllowAll));
    let mut full = Client::connect(&hub, at(0), &Connect::new("full"));
    full.send(&hub, at(0), &subscribe(1, "own", 0));
    full.send(&hub, at(0), &subscribe(2, "$share/s/t", 0));
    let mut publisher = Client::connect(&hub, at(0), &Connect::new("publisher"));
    publisher.send(&hub, at(0), &publish("own", 0, 0, &[0; 700]));
    let mut other = Client::connect(&hub, at(0), &Connect::new("other"));
    other.send(&hub, at(0), &subscribe(1, "$share/s/t", 0));
    publisher.send(&hub, at(0), &publish("t", 0, 0, &[0; 500]));
    assert_eq!(other.receive(&hub, at(0)), ["t"]);
    assert_eq!(hub.drops().count(DropReason::QueueFull), 0);
}

#[test]
fn a_full_share_refuses_its_publisher_when_publishers_are_to_be_refused() {
    let limits = Limits {
        share_queue_messages: 1,
        drop_policy: DropPolicy::RefusePublisher,
        ..Limits::default()
    };
    let Broker { hub, .. } = broker(limits, Arc::new(AllowAll));
    let mut member = Client::connect(&hub, at(0), &Connect::new("member"));
    member.send(&hub, at(0), &subscribe(1, "$share/s/t", 1));
    member.lose(&hub, at(0));
    let mut publisher = Client::connect(&hub, at(0), &Connect::new("publisher"));
    publisher.send(&hub, at(0), &publish("t", 1, 1, b"x"));
    publisher.send(&hub, at(0), &publish("t", 1, 2, b"x"));
    assert_eq!(hub.drops().count(DropReason::ShareQueueFull), 0);
}

#[test]
fn a_share_that_began_anew_is_not_confused_with_the_old_one() {
    let broker = broker(Limits::default(), Arc::new(AllowAll));
    let hub = &broker.hub;
    let filter = "$share/s/t";
    let mut durable = Client::connect(hub, at(0), &Connect::new("durable"));
    durable.send(hub, at(0), &subscribe(1, filter, 1));
    durable.lose(hub, at(0));
    let passing = Connect {
        expiry_s: 0,
        ..Connect::new("passing")
    };
    let mut passing = Client::connect(hub, at(0), &passing);
    passing.send(hub, at(0), &subscribe(1, filter, 1));
    let mut publisher = Client::connect(hub, at(0), &Connect::new("publisher"));
    publisher.send(hub, at(0), &publish("t", 1, 1, b"old"));
    publisher.send(hub, at(0), &publish("t", 1, 1, b"old"));
    assert_eq!(passing.receive(hub, at(0)).len(), 2);
    passing.send(hub, at(0), &unsubscribe(2, filter));
    let mut durable = Client::connect(hub, at(0), &Connect::new("durable"));
    durable.send(hub, at(0), &unsubscribe(2, filter));
    // The share had no members for a moment, and has now.
    durable.send(hub, at(0), &subscribe(3, filter, 1));
    durable.lose(hub, at(0));
    publisher.send(hub, at(0), &publish("t", 1, 2, b"new"));
    // The old messages were the first in flight: identifiers 2 and 3.
    passing.send(hub, at(0), &[0x40, 2, 0, 2, 0x40, 2, 0, 3]);
    assert!(state_of_the_log(&broker) == hub.durable_state());
}

#[test]
fn a_session_key_is_not_used_again_after_a_restart() {
    let before = broker(Limits::default(), Arc::new(AllowAll));
    let _first = Client::connect(&before.hub, at(0), &Connect::new("first"));
    let mut last = Client::connect(&before.hub, at(0), &Connect::new("last"));
    let disconnect = [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0];
    let end = last
        .connection
        .handle_bytes(at(0), &before.hub, &mut last.batch, &disconnect);
    assert!(end.is_err());
    let mut keys = started_sessions(&before.log);
    let Broker { hub, log } = restarted(&before, at(1));
    Client::connect(&hub, at(1), &Connect::new("new"));
    keys.extend(started_sessions(&log));
    assert_eq!(keys.len(), 3);
    keys.dedup();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

/// What a restart makes of it.
fn restarted(before: &Broker, now: Now) -> Broker {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(MemoryLog::keeping(Arc::clone(&watermark)));
    let journal = Journal::new(Box::new(Arc::clone(&log)), watermark);
    let state = state_of_the_log(before);
    let limits = Limits::default();
    let hub = Hub::recover(limits, journal, Arc::new(AllowAll), 1, now, state);
    Broker {
        hub: Arc::new(hub),
        log,
    }
}

fn started_sessions(log: &MemoryLog) -> Vec<dunlin_engine::session::SessionKey> {
    let entries = log.frames().into_iter().flatten();
    entries
        .filter_map(|entry| match entry {
            dunlin_engine::journal::Entry::SessionStarted { session, .. } => Some(session),
            _ => None,
        })
        .collect()
}

#[test]
fn a_connection_that_waits_for_the_journal_waits_once() {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(MemoryLog::manual(Arc::clone(&watermark)));
    let journal = Journal::new(Box::new(Arc::clone(&log)), watermark);
    let hub = Hub::new(Limits::default(), journal, Arc::new(AllowAll), 1);
    let connect = Connect {
        expiry_s: 0,
        ..Connect::new("c")
    };
    let mut client = Client::connect(&hub, at(0), &connect);
    for id in 1..=50 {
        client.send(&hub, at(0), &publish_with("t", 0x03, id, &[], b"x"));
        client.receive(&hub, at(0));
    }
    assert_eq!(hub.journal().watermark().waiting(), 1);
    log.make_durable();
    assert_eq!(hub.journal().watermark().waiting(), 0);
    client.send(&hub, at(0), &publish_with("t", 0x03, 51, &[], b"x"));
    client.receive(&hub, at(0));
    assert_eq!(hub.journal().watermark().waiting(), 1);
}

#[test]
fn a_pubrel_waits_for_its_entry_also_when_messages_are_sent_again() {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(MemoryLog::manual(Arc::clone(&watermark)));
    let journal = Journal::new(Box::new(Arc::clone(&log)), watermark);
    let hub = Hub::new(Limits::default(), journal, Arc::new(AllowAll), 1);
    let mut client = Client::connect(&hub, at(0), &Connect::new("c"));
    client.send(&hub, at(0), &subscribe(1, "t", 2));
    for id in 1..=2 {
        client.send(&hub, at(0), &publish("t", 2, id, b"x"));
    }
    log.make_durable();
    assert_eq!(client.receive(&hub, at(0)).len(), 2);
    client.lose(&hub, at(0));
    // One at a time now, so that the second message isn't sent again yet; its PUBREC comes.
    let narrow = Connect {
        receive_maximum: 1,
        ..Connect::new("c")
    };
    let mut client = Client::connect(&hub, at(1), &narrow);
    log.make_durable();
    client.send(&hub, at(1), &[0x50, 2, 0, 3]);
    let pubrel = [0x62, 2, 0, 3];
    let mut out = Transmit::default();
    while client
        .connection
        .poll_transmit(at(1), &hub, &mut client.batch, &mut out)
        .unwrap()
    {}
    assert!(!out.bytes.windows(4).any(|bytes| bytes == pubrel));
    log.make_durable();
    let _ = client
        .connection
        .poll_transmit(at(1), &hub, &mut client.batch, &mut out)
        .unwrap();
    assert_eq!(
        out.bytes
            .windows(4)
            .filter(|bytes| *bytes == pubrel)
            .count(),
        1
    );
}

#[test]
fn a_message_expires_after_a_restart_too() {
    let before = broker(Limits::default(), Arc::new(AllowAll));
    let mut client = Client::connect(&before.hub, at(0), &Connect::new("c"));
    client.send(&before.hub, at(0), &subscribe(1, "t", 2));
    client.lose(&before.hub, at(0));
    let mut publisher = Client::connect(&before.hub, at(0), &Connect::new("publisher"));
    let expiry = [0x02, 0, 0, 0, 20];
    for (flags, id) in [(0x02, 1), (0x04, 2)] {
        let publish = publish_with("t", flags, id, &expiry, b"x");
        publisher.send(&before.hub, at(0), &publish);
    }
    let visited = restarted(&before, at(1)).hub;
    let mut client = Client::connect(&visited, at(30), &Connect::new("c"));
    assert!(client.receive(&visited, at(30)).is_empty());
    assert_eq!(visited.drops().count(DropReason::Expired), 2);
    let unvisited = restarted(&before, at(1)).hub;
    unvisited.handle_timeout(at(30), &mut Batch::default());
    assert_eq!(unvisited.drops().count(DropReason::Expired), 2);
}
