//! Rows on sessions: begun, resumed, discarded, taken over, expired. Sections 3.1.2.4, 3.1.2.11.2, 3.1.4, 4.1.

use std::time::Duration;

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, PUBACK, property};
use crate::raw::{Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "session::a_clean_start_discards_the_old_one",
        &["3.1.2-4", "3.1.4-4", "3.2.2-2"],
        &["3.1.2-6", "3.1.4-3", "3.2.2-1"],
        clean_discards,
    ),
    row(
        "session::a_clean_session_ends_with_its_connection",
        &["4.1.0-2", "3.2.2-3"],
        &["3.1.2-6", "3.2.2-3"],
        clean_ends,
    ),
    row(
        "session::is_resumed",
        &["3.1.2-5", "3.1.2-23", "3.2.2-3", "3.1.4-4", "4.5.0-1"],
        &[
            "3.1.2-4", "3.1.2-5", "3.1.4-3", "3.2.2-2", "4.1.0-1", "4.5.0-1",
        ],
        resumed,
    ),
    row(
        "session::begins_when_there_is_none",
        &["3.1.2-6", "3.2.2-3"],
        &["3.1.2-4", "3.2.2-3"],
        begins,
    ),
    row(
        "session::is_stored_after_a_cut",
        &["3.1.2-23", "3.1.2-5"],
        &["3.1.2-4", "3.1.2-5"],
        stored_after_cut,
    ),
    row(
        "session::belongs_to_the_identifier",
        &["3.1.3-2"],
        &["3.1.3-2"],
        belongs_to_id,
    ),
    row(
        "session::lasts_as_long_as_its_connection",
        &["4.1.0-1"],
        &["4.1.0-2"],
        lasts,
    ),
    row(
        "session::a_second_connection_takes_it_over",
        &["3.1.4-3", "3.14.2-1", "4.13.2-1"],
        &["3.1.4-2"],
        takeover,
    ),
    row(
        "session::a_taken_over_one_goes_on",
        &["3.1.4-3", "3.1.2-5"],
        &["3.1.4-2", "3.1.2-4"],
        takeover_goes_on,
    ),
    row("session::expires", &["4.1.0-2", "3.2.2-3"], &[], expires),
    row(
        "session::does_not_expire_too_early",
        &["3.1.2-23", "4.1.0-1"],
        &[],
        not_too_early,
    ),
    row(
        "session::expiry_is_changed_by_disconnect",
        &["3.1.2-23", "4.1.0-2"],
        &[],
        changed_by_disconnect,
    ),
    row(
        "session::expiry_cannot_be_revived_by_disconnect",
        &["4.13.1-1"],
        &[],
        not_revived,
    ),
    row(
        "session::never_expires_at_the_maximum",
        &["3.1.2-23"],
        &[],
        never,
    ),
    row(
        "session::resumed_in_the_other_version",
        &["3.1.2-5", "3.2.2-3"],
        &["3.1.2-4", "3.2.2-2"],
        other_version,
    ),
    row(
        "session::retained_messages_are_no_part_of_it",
        &["3.3.1-5"],
        &["3.1.2-7"],
        retained_survives,
    ),
];

fn clean_discards(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut old = context.resumed(&context.hello("c").persistent(), false)?;
    old.subscribe(&topic, 1)?;
    old.disconnect()?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "for the old session")?;
    let mut new = context.resumed(&context.hello("c"), false)?;
    new.quiet()?;
    publisher.publish(&topic, 1, "nobody subscribes")?;
    new.quiet()
}

fn clean_ends(context: &Context) -> Outcome {
    let mut client = context.resumed(&context.hello("c"), false)?;
    client.subscribe(&context.topic("t"), 1)?;
    client.disconnect()?;
    context
        .resumed(&context.hello("c").clean(false), false)?
        .quiet()?;
    let mut client = context.resumed(&context.hello("d"), false)?;
    client.subscribe(&context.topic("t"), 1)?;
    client.cut();
    context.client("p")?.publish(&context.topic("t"), 1, "x")?;
    context
        .resumed(&context.hello("d").clean(false), false)?
        .quiet()
}

fn resumed(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut client = context.resumed(&persistent, false)?;
    client.subscribe(&topic, 2)?;
    client.disconnect()?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "one")?;
    publisher.publish(&topic, 2, "two")?;
    let mut client = context.resumed(&persistent, true)?;
    for (payload, qos) in [("one", 1), ("two", 2)] {
        let publish = client.expect_message(&topic, payload)?;
        same("QoS and DUP", (publish.qos, publish.dup), (qos, false))?;
        client.accept(&publish)?;
    }
    // The subscription is still there too, and what was delivered comes only once.
    publisher.publish(&topic, 1, "three")?;
    let publish = client.expect_message(&topic, "three")?;
    client.accept(&publish)?;
    client.quiet()?;
    client.disconnect()?;
    context.resumed(&persistent, true)?.quiet()
}

fn begins(context: &Context) -> Outcome {
    let mut client = context.resumed(&context.hello("c").persistent(), false)?;
    client.quiet()?;
    client.disconnect()?;
    context
        .resumed(&context.hello("c").persistent(), true)
        .map(drop)
}

fn stored_after_cut(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut client = context.resumed(&persistent, false)?;
    client.subscribe(&topic, 1)?;
    client.cut();
    context.client("p")?.publish(&topic, 1, "x")?;
    let mut client = context.resumed(&persistent, true)?;
    client.expect_message(&topic, "x").map(drop)
}

/// The same User Name, address and topics, and yet two sessions.
fn belongs_to_id(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let one = context.hello("one").persistent().user_name("same");
    let two = context.hello("One").persistent().user_name("same");
    let mut first = context.resumed(&one, false)?;
    first.subscribe(&topic, 1)?;
    let mut second = context.resumed(&two, false)?;
    context.client("p")?.publish(&topic, 1, "x")?;
    let publish = first.expect_message(&topic, "x")?;
    first.accept(&publish)?;
    second.quiet()?;
    first.disconnect()?;
    second.disconnect()?;
    context.resumed(&one, true)?;
    context.resumed(&two, true).map(drop)
}

/// An expiry shorter than the connection's life discards nothing while it lives.
fn lasts(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let connect = context
        .hello("c")
        .property(property::four(property::SESSION_EXPIRY, 1));
    let mut client = context.resumed(&connect, false)?;
    client.subscribe(&topic, 1)?;
    std::thread::sleep(Duration::from_millis(2_500));
    context.client("p")?.publish(&topic, 1, "x")?;
    let publish = client.expect_message(&topic, "x")?;
    client.accept(&publish)?;
    client.quiet()
}

fn takeover(context: &Context) -> Outcome {
    for persistent in [false, true] {
        let connect = if persistent {
            context.hello("c").persistent()
        } else {
            context.hello("c")
        };
        let mut first = context.resumed(&connect, false)?;
        let mut second = context.resumed(&connect, persistent)?;
        first.expect_rejected(&[0x8E])?;
        second.quiet()?;
        second.disconnect()?;
    }
    Ok(())
}

fn takeover_goes_on(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut first = context.resumed(&persistent, false)?;
    first.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "unacknowledged")?;
    let sent = first.expect_message(&topic, "unacknowledged")?;
    let mut second = context.resumed(&persistent, true)?;
    first.expect_rejected(&[0x8E])?;
    let again = second.expect_message(&topic, "unacknowledged")?;
    same("identifier and DUP", (again.id, again.dup), (sent.id, true))?;
    second.send(build::ack(PUBACK, again.id))?;
    publisher.publish(&topic, 1, "next")?;
    second.expect_message(&topic, "next").map(drop)
}

fn expiry(seconds: u32) -> Vec<u8> {
    property::four(property::SESSION_EXPIRY, seconds)
}

fn expires(context: &Context) -> Outcome {
    for (name, cut) in [("a", false), ("b", true)] {
        let connect = context.hello(name).clean(false).property(expiry(1));
        let mut client = context.resumed(&connect, false)?;
        client.subscribe(&context.topic("t"), 1)?;
        if cut {
            client.cut();
        } else {
            client.disconnect()?;
        }
    }
    context.client("p")?.publish(&context.topic("t"), 1, "x")?;
    std::thread::sleep(Duration::from_millis(2_600));
    for name in ["a", "b"] {
        context
            .resumed(&context.hello(name).clean(false).property(expiry(1)), false)?
            .quiet()?;
    }
    Ok(())
}

fn not_too_early(context: &Context) -> Outcome {
    let connect = context.hello("c").clean(false).property(expiry(4));
    context.resumed(&connect, false)?.cut();
    // Each connection begins the interval anew.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_600));
        context.resumed(&connect, true)?.cut();
    }
    Ok(())
}

fn leave(context: &Context, connect: &Connect, seconds: u32) -> Outcome {
    let (mut client, _) = context.accepted(connect)?;
    client.send(build::disconnect_with(0, &expiry(seconds)))?;
    client.expect_closed()
}

fn changed_by_disconnect(context: &Context) -> Outcome {
    // Shortened to nothing.
    let long = context.hello("a").clean(false).property(expiry(600));
    leave(context, &long, 0)?;
    context.resumed(&long, false)?.cut();
    // Prolonged.
    let short = context.hello("b").clean(false).property(expiry(1));
    leave(context, &short, 600)?;
    std::thread::sleep(Duration::from_millis(2_600));
    context.resumed(&short, true)?.cut();
    // Shortened to a moment.
    let long = context.hello("c").clean(false).property(expiry(600));
    leave(context, &long, 1)?;
    std::thread::sleep(Duration::from_millis(2_600));
    context.resumed(&long, false).map(drop)
}

/// An interval of 0 in CONNECT can't become another one in DISCONNECT.
fn not_revived(context: &Context) -> Outcome {
    for connect in [context.hello("c"), context.hello("c").property(expiry(0))] {
        let (mut client, _) = context.accepted(&connect)?;
        client.send(build::disconnect_with(0, &expiry(10)))?;
        client.expect_rejected(&[0x82])?;
    }
    context
        .resumed(&context.hello("c").clean(false), false)
        .map(drop)
}

fn never(context: &Context) -> Outcome {
    let connect = context.hello("c").clean(false).property(expiry(u32::MAX));
    context.resumed(&connect, false)?.cut();
    std::thread::sleep(Duration::from_millis(500));
    context.resumed(&connect, true)?;
    // Taken away again, or it would stay for good.
    context.resumed(&context.hello("c"), false).map(drop)
}

/// A session belongs to an identifier and not to a version; what was queued is delivered in the new version's words.
fn other_version(context: &Context) -> Outcome {
    use crate::raw::Version;
    let topic = context.topic("t");
    let old = if context.is_v5() {
        Version::V311
    } else {
        Version::V5
    };
    let (mut client, _) =
        context.accepted(&Connect::new(old, context.client_id("c")).persistent())?;
    client.subscribe(&topic, 1)?;
    client.disconnect()?;
    context.client("p")?.publish(&topic, 1, "x")?;
    let mut client = context.resumed(&context.hello("c").persistent(), true)?;
    let publish = client.expect_message(&topic, "x")?;
    client.accept(&publish)
}

fn retained_survives(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.retain(&topic, 1, "kept")?;
    client.disconnect()?;
    context.resumed(&context.hello("c"), false)?.disconnect()?;
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    let publish = subscriber.expect_message(&topic, "kept")?;
    same("RETAIN", publish.retain, true)?;
    subscriber.accept(&publish)
}
