//! Deadlines.

use super::*;

#[test]
fn connack_must_come_in_time() {
    let mut dialogue = Dialogue::open(&options(Version::V5));
    dialogue.drain();
    let begun = dialogue.now;
    let outcome = dialogue.wait_for(TimeoutReason::ConnAck);
    assert_eq!(outcome, Err(Error::ConnectTimeout));
    assert_eq!(dialogue.now.since(begun).as_secs(), 10);
    assert!(dialogue.session.is_closed());
    assert_eq!(dialogue.session.poll_timeout(), None);
}

#[test]
fn silence_is_broken_by_pingreq_before_the_keep_alive_is_over() {
    let mut dialogue = Dialogue::connected(&options(Version::V4));
    let begun = dialogue.now;
    dialogue.wait_for(TimeoutReason::KeepAlive).unwrap();
    assert_eq!(dialogue.now.since(begun).as_secs(), 54);
    dialogue.expect(&[Packet::PingReq]);
    dialogue.pass_millis(20);
    assert_eq!(dialogue.hear(Packet::PingResp), None);
    let sent = begun.plus(core::time::Duration::from_secs(54));
    let next = sent.plus(core::time::Duration::from_secs(54));
    assert_eq!(
        dialogue.session.poll_timeout(),
        Some((next, TimeoutReason::KeepAlive))
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue.wait_for(TimeoutReason::KeepAlive).unwrap();
    dialogue.drain();
    let outcome = dialogue.wait_for(TimeoutReason::PingResp);
    assert_eq!(outcome, Err(Error::PingTimeout));
    assert!(dialogue.session.is_closed());
}

#[test]
fn a_transport_that_takes_nothing_is_given_up_too() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue.wait_for(TimeoutReason::KeepAlive).unwrap();
    assert!(dialogue.session.poll_transmit().is_some());
    let outcome = dialogue.wait_for(TimeoutReason::PingResp);
    assert_eq!(outcome, Err(Error::PingTimeout));
    assert!(dialogue.session.poll_transmit().is_none());
}

#[test]
fn a_large_packet_on_a_slow_link_is_no_silence_as_long_as_it_goes_on() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let message = Message::new("t", &[0; 400]);
    dialogue.session.publish(&message).unwrap();
    let mut left = dialogue.session.poll_transmit().unwrap().len();
    while left > 1 {
        dialogue.pass_millis(1000);
        dialogue.session.handle_timeout(dialogue.now).unwrap();
        dialogue.session.handle_transmitted(dialogue.now, 1);
        left -= 1;
    }
    let (_, reason) = dialogue.session.poll_timeout().unwrap();
    assert_eq!(reason, TimeoutReason::PingResp);
    dialogue.pass_millis(1000);
    let sent = dialogue.drain();
    assert_eq!(sent, [0, 0xC0, 0], "the last byte and PINGREQ");
    let since = dialogue.now;
    let outcome = dialogue.wait_for(TimeoutReason::PingResp);
    assert_eq!(outcome, Err(Error::PingTimeout));
    assert_eq!(dialogue.now.since(since).as_secs(), 10);
}

#[test]
fn a_client_that_only_publishes_notices_a_dead_server() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let mut pinged = false;
    for _ in 0..60 {
        dialogue.pass_millis(1000);
        dialogue.session.publish(&Message::new("t", b"x")).unwrap();
        let outcome = dialogue.session.handle_timeout(dialogue.now);
        let sent = dialogue.drain();
        pinged |= decoded(&sent, Version::V5).contains(&Packet::PingReq);
        outcome.unwrap();
    }
    assert!(pinged);
    dialogue.pass_millis(5000);
    let outcome = dialogue.session.handle_timeout(dialogue.now);
    assert_eq!(outcome, Err(Error::PingTimeout));
}

#[test]
fn a_packet_that_trickles_in_is_a_sign_of_life() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue.wait_for(TimeoutReason::KeepAlive).unwrap();
    dialogue.drain();
    let beginning = [0x30, 0x7F, 0, 1];
    dialogue.pass_millis(9_000);
    let received = dialogue.session.handle_bytes(dialogue.now, &beginning);
    assert_eq!(received, Ok(Received::Incomplete { needed: 129 }));
    let (_, reason) = dialogue.session.poll_timeout().unwrap();
    assert_eq!(reason, TimeoutReason::KeepAlive);
    // The same bytes again are no sign.
    dialogue.wait_for(TimeoutReason::KeepAlive).unwrap();
    dialogue.drain();
    let again = dialogue.session.handle_bytes(dialogue.now, &beginning);
    assert_eq!(again, Ok(Received::Incomplete { needed: 129 }));
    let (_, reason) = dialogue.session.poll_timeout().unwrap();
    assert_eq!(reason, TimeoutReason::PingResp);
}

#[test]
fn without_keep_alive_there_is_no_deadline() {
    let options = Options {
        keep_alive_s: 0,
        ..options(Version::V5)
    };
    let mut dialogue = Dialogue::connected(&options);
    assert_eq!(dialogue.session.poll_timeout(), None);
    dialogue.pass_millis(1_000_000_000);
    assert_eq!(dialogue.session.handle_timeout(dialogue.now), Ok(()));
    assert_eq!(dialogue.drain(), []);
}

#[test]
fn a_disconnect_that_cannot_leave_is_given_up() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let success = ReasonCode::Success;
    dialogue.session.disconnect(dialogue.now, success).unwrap();
    assert!(!dialogue.session.is_closed());
    dialogue.wait_for(TimeoutReason::Disconnect).unwrap();
    assert!(dialogue.session.is_closed());
}

#[test]
fn a_timeout_too_early_does_nothing() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue.pass_millis(53_999);
    dialogue.session.handle_timeout(dialogue.now).unwrap();
    assert_eq!(dialogue.drain(), []);
}
