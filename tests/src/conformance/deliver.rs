//! Rows on deliveries: to whom, at which QoS, how many copies, with which Subscription Identifiers.
//! Sections 3.3.4, 3.3.5, 3.8.4, 4.5.

use super::{Context, Row, row};
use crate::raw::build::{self, Publish, property};
use crate::raw::{Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "deliver::to_every_matching_session",
        &["4.5.0-1", "3.3.2-3"],
        &["4.5.0-1", "3.3.2-3"],
        every_session,
    ),
    row(
        "deliver::at_the_lower_of_both_qos",
        &["3.8.4-8"],
        &["3.8.4-6"],
        lower_qos,
    ),
    row(
        "deliver::one_copy_for_overlapping_subscriptions",
        &["3.3.4-2"],
        &["3.3.5-1"],
        overlapping,
    ),
    row(
        "deliver::all_subscription_identifiers",
        &["3.3.4-3", "3.3.4-4"],
        &[],
        all_ids,
    ),
    row(
        "deliver::a_copy_for_a_shared_subscription_has_its_own_identifier",
        &["3.3.4-5"],
        &[],
        copies,
    ),
    row(
        "deliver::no_identifier_when_there_is_none",
        &["3.3.4-3"],
        &[],
        no_id,
    ),
    row(
        "deliver::identifiers_of_retained_and_queued_messages",
        &["3.3.4-3"],
        &[],
        retained_and_queued_ids,
    ),
    row(
        "deliver::too_large_for_the_subscriber",
        &["3.1.2-24", "3.1.2-25"],
        &[],
        too_large,
    ),
    row(
        "deliver::too_large_leaves_room_in_the_window",
        &["3.1.2-25"],
        &[],
        too_large_window,
    ),
    row(
        "deliver::a_client_that_does_not_acknowledge",
        &["4.5.0-2", "4.4.0-1"],
        &["4.5.0-2"],
        unacknowledged,
    ),
];

fn every_session(context: &Context) -> Outcome {
    let topic = context.topic("a/b");
    let mut matching = Vec::new();
    for (name, filter) in [
        ("one", "a/b"),
        ("two", "a/+"),
        ("three", "#"),
        ("four", "+/b"),
        ("five", "a/b/#"),
    ] {
        let mut client = context.client(name)?;
        client.subscribe(&context.topic(filter), 1)?;
        matching.push(client);
    }
    let mut away = context.resumed(&context.hello("away").persistent(), false)?;
    away.subscribe(&topic, 1)?;
    away.disconnect()?;
    let mut other = context.client("other")?;
    for filter in ["a", "a/b/c", "a/b/+", "b/#", "A/b"] {
        other.subscribe(&context.topic(filter), 1)?;
    }
    context.client("p")?.publish(&topic, 1, "x")?;
    matching.push(context.resumed(&context.hello("away").persistent(), true)?);
    for mut client in matching {
        let publish = client.expect_message(&topic, "x")?;
        client.accept(&publish)?;
        client.quiet()?;
    }
    other.quiet()
}

fn lower_qos(context: &Context) -> Outcome {
    let mut publisher = context.client("p")?;
    let mut subscriber = context.client("s")?;
    for granted in [0, 1, 2] {
        for published in [0, 1, 2] {
            let topic = context.topic(&format!("{granted}/{published}"));
            subscriber.subscribe(&topic, granted)?;
            publisher.publish(&topic, published, "x")?;
            let publish = subscriber.expect_message(&topic, "x")?;
            same("QoS", publish.qos, granted.min(published))?;
            subscriber.accept(&publish)?;
        }
    }
    subscriber.quiet()
}

fn overlapping(context: &Context) -> Outcome {
    let topic = context.topic("a/b");
    let mut subscriber = context.client("s")?;
    for (filter, qos) in [("a/b", 0), ("a/#", 2), ("+/b", 1)] {
        subscriber.subscribe(&context.topic(filter), qos)?;
    }
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.publish(&topic, qos, "x")?;
        let publish = subscriber.expect_message(&topic, "x")?;
        same("QoS", publish.qos, qos)?;
        subscriber.accept(&publish)?;
        subscriber.quiet()?;
    }
    Ok(())
}

fn ids_of(publish: &Publish) -> Outcome<Vec<Vec<u8>>> {
    let list = publish.property_list()?;
    let mut ids: Vec<_> = list
        .into_iter()
        .filter(|item| item.0 == property::SUBSCRIPTION_ID)
        .map(|item| item.1)
        .collect();
    ids.sort();
    Ok(ids)
}

fn identified(context: &Context, id: u16, identifier: u32, filter: &str, qos: u8) -> Vec<u8> {
    let identifier = property::varint(property::SUBSCRIPTION_ID, identifier);
    build::subscribe_with(context.version, id, &identifier, &[(filter, qos)])
}

fn all_ids(context: &Context) -> Outcome {
    let topic = context.topic("a/b");
    let mut subscriber = context.client("s")?;
    let subscriptions = [("a/b", 1), ("a/+", 268_435_455), ("#", 200), ("+/b/#", 1)];
    for (id, (filter, identifier)) in (1..).zip(subscriptions) {
        subscriber.send(identified(
            context,
            id,
            identifier,
            &context.topic(filter),
            1,
        ))?;
        subscriber.expect(build::suback(0x90, context.version, id, &[1]))?;
    }
    subscriber.send(build::subscribe(
        context.version,
        9,
        &[(&context.topic("a/#"), 1)],
    ))?;
    subscriber.expect(build::suback(0x90, context.version, 9, &[1]))?;
    context.client("p")?.publish(&topic, 1, "x")?;
    let publish = subscriber.expect_message(&topic, "x")?;
    let mut expected: Vec<_> = [1, 268_435_455, 200, 1].map(build::varint).to_vec();
    expected.sort();
    let seen = ids_of(&publish)?;
    // The same identifier twice may be sent once or twice.
    let once = {
        let mut once = expected.clone();
        once.dedup();
        once
    };
    crate::raw::ensure(seen == expected || seen == once, || {
        format!("identifiers {seen:02X?}")
    })?;
    subscriber.accept(&publish)?;
    subscriber.quiet()
}

fn copies(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    for (id, identifier, filter) in [
        (1, 11, topic.clone()),
        (2, 22, format!("$share/group/{topic}")),
    ] {
        subscriber.send(identified(context, id, identifier, &filter, 1))?;
        subscriber.expect(build::suback(0x90, context.version, id, &[1]))?;
    }
    context.client("p")?.publish(&topic, 1, "x")?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let publish = subscriber.expect_message(&topic, "x")?;
        seen.extend(ids_of(&publish)?);
        subscriber.accept(&publish)?;
    }
    seen.sort();
    same("identifiers", seen, vec![vec![11], vec![22]])?;
    subscriber.quiet()
}

fn no_id(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.send(identified(context, 1, 5, &topic, 0))?;
    subscriber.expect(build::suback(0x90, context.version, 1, &[0]))?;
    // The new subscription replaces the old one, its identifier included.
    subscriber.send(build::subscribe(context.version, 2, &[(&topic, 0)]))?;
    subscriber.expect(build::suback(0x90, context.version, 2, &[0]))?;
    context.client("p")?.publish(&topic, 0, "x")?;
    subscriber.expect(Publish::new(context.version, &topic, "x").bytes())
}

fn retained_and_queued_ids(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.retain(&topic, 1, "kept")?;
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.send(identified(context, 1, 300, &topic, 1))?;
    subscriber.expect(build::suback(0x90, context.version, 1, &[1]))?;
    let publish = subscriber.expect_message(&topic, "kept")?;
    same("identifiers", ids_of(&publish)?, vec![build::varint(300)])?;
    subscriber.accept(&publish)?;
    subscriber.quiet()?;
    subscriber.disconnect()?;
    publisher.publish(&topic, 1, "queued")?;
    let mut subscriber = context.resumed(&persistent, true)?;
    let publish = subscriber.expect_message(&topic, "queued")?;
    same("identifiers", ids_of(&publish)?, vec![build::varint(300)])?;
    subscriber.accept(&publish)
}

fn limited(context: &Context, name: &str, limit: u32) -> build::Connect {
    context
        .hello(name)
        .property(property::four(property::MAXIMUM_PACKET_SIZE, limit))
}

fn too_large(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let exact = Publish::new(context.version, &topic, "fits, just");
    let limit = exact.bytes().len();
    let (mut subscriber, _) =
        context.accepted(&limited(context, "s", u32::try_from(limit).unwrap_or(0)))?;
    let mut other = context.client("o")?;
    for client in [&mut subscriber, &mut other] {
        client.subscribe(&topic, 2)?;
    }
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.publish(&topic, qos, "fits, just not")?;
    }
    publisher.complete(&exact)?;
    subscriber.expect(exact.bytes())?;
    subscriber.quiet()?;
    for qos in [0, 1, 2] {
        let publish = other.expect_message(&topic, "fits, just not")?;
        same("QoS", publish.qos, qos)?;
        other.accept(&publish)?;
    }
    other.expect(exact.bytes())
}

/// What was dropped counts as delivered, so it takes no place in the window.
fn too_large_window(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let connect = limited(context, "s", 100).property(property::two(property::RECEIVE_MAXIMUM, 1));
    let (mut subscriber, _) = context.accepted(&connect)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for round in 0..3 {
        publisher.publish(&topic, 2, &"long".repeat(40))?;
        publisher.publish(&topic, 1, &"long".repeat(40))?;
        let payload = format!("short {round}");
        publisher.publish(&topic, 1, &payload)?;
        let publish = subscriber.expect_message(&topic, &payload)?;
        subscriber.accept(&publish)?;
    }
    subscriber.quiet()
}

/// The broker waits; it doesn't send the message again, nor give up on the rest.
fn unacknowledged(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "ignored")?;
    publisher.publish(&topic, 2, "ignored too")?;
    subscriber.expect_message(&topic, "ignored")?;
    subscriber.expect_message(&topic, "ignored too")?;
    publisher.publish(&topic, 0, "next")?;
    subscriber.expect_message(&topic, "next")?;
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    subscriber.quiet()
}
