//! What a crash must not undo, case by case: what the simulation and its reading found. MQTT 5
//! sections 3.1.2.4, 4.8.2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

mod sim;

use dunlin_codec::QoS;
use dunlin_engine::hub::Hub;
use dunlin_engine::limits::Limits;
use dunlin_engine::sync::Arc;
use sim::client::at_qos;
use sim::{Client, Disk, Honesty, Plan, assert_journal_tells_the_state, at, start};

const SHARE: &str = "$share/g/t";

/// A broker whose share holds one message of QoS 2, since its only member is away.
fn with_a_message_that_waits() -> (Arc<Disk>, Hub, Client) {
    let disk = Disk::new(Honesty::Synced);
    let hub = start(&Limits::default(), &disk, at(0));
    let mut kept = Client::new(Plan::persistent("kept"));
    kept.connect(at(0), &hub, false);
    let mut publisher = Client::new(Plan::persistent("p"));
    publisher.connect(at(0), &hub, false);
    settle(&hub, &disk, &mut [&mut kept, &mut publisher]);
    kept.subscribe(SHARE, at_qos(QoS::ExactlyOnce));
    settle(&hub, &disk, &mut [&mut kept]);
    kept.cut(at(0), &hub);
    publisher.publish("t", QoS::ExactlyOnce, false);
    settle(&hub, &disk, &mut [&mut publisher]);
    assert_eq!(publisher.in_flight(), 0);
    (disk, hub, kept)
}

fn settle(hub: &Hub, disk: &Disk, clients: &mut [&mut Client]) {
    for _ in 0..4 {
        disk.sync_all();
        for client in clients.iter_mut() {
            client.exchange(at(0), hub);
        }
    }
}

/// A member whose session ends with its connection.
fn passing() -> Client {
    Client::new(Plan {
        expiry_s: 0,
        ..Plan::persistent("passing")
    })
}

#[test]
fn a_message_sent_at_qos_2_to_a_member_that_is_lost_in_a_crash_goes_to_nobody_else() {
    let (disk, hub, mut kept) = with_a_message_that_waits();
    let mut passing = passing();
    passing.connect(at(0), &hub, false);
    passing.exchange(at(0), &hub);
    passing.subscribe(SHARE, at_qos(QoS::ExactlyOnce));
    passing.exchange(at(0), &hub);
    passing.exchange(at(0), &hub);
    assert!(
        passing.arrivals.is_empty(),
        "sent before the share's queue is durably rid of it"
    );
    disk.sync_all();
    passing.exchange(at(0), &hub);
    assert_eq!(passing.payloads(), ["p#1"]);
    assert_journal_tells_the_state(&hub, &disk);
    let disk = disk.after_crash();
    let hub = start(&Limits::default(), &disk, at(1));
    kept.connect(at(1), &hub, false);
    settle(&hub, &disk, &mut [&mut kept]);
    // [MQTT-4.8.2-5]
    assert!(kept.arrivals.is_empty(), "it came to two members");
}

#[test]
fn a_message_that_comes_back_unsent_survives_a_crash() {
    let (disk, hub, mut kept) = with_a_message_that_waits();
    let mut passing = passing();
    passing.connect(at(0), &hub, false);
    passing.exchange(at(0), &hub);
    passing.subscribe(SHARE, at_qos(QoS::ExactlyOnce));
    passing.exchange(at(0), &hub);
    passing.cut(at(0), &hub);
    assert_journal_tells_the_state(&hub, &disk);
    disk.sync_all();
    let disk = disk.after_crash();
    let hub = start(&Limits::default(), &disk, at(1));
    kept.connect(at(1), &hub, false);
    settle(&hub, &disk, &mut [&mut kept]);
    assert_eq!(kept.payloads(), ["p#1"]);
}

#[test]
fn a_clean_session_is_promised_once_the_old_one_is_durably_gone() {
    let disk = Disk::new(Honesty::Synced);
    let hub = start(&Limits::default(), &disk, at(0));
    let mut old = Client::new(Plan::persistent("c"));
    old.connect(at(0), &hub, false);
    settle(&hub, &disk, &mut [&mut old]);
    old.cut(at(0), &hub);
    disk.sync_all();
    let mut clean = Client::new(Plan {
        expiry_s: 0,
        ..Plan::persistent("c")
    });
    clean.connect(at(0), &hub, true);
    clean.exchange(at(0), &hub);
    assert!(
        !clean.open,
        "CONNACK before the old session's end is durable"
    );
    settle(&hub, &disk, &mut [&mut clean]);
    assert!(clean.open);
}
