//! Rows on Shared Subscriptions. Section 4.8.2 of MQTT 5.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use crate::raw::{Client, Outcome, PATIENCE, QUIET, Received, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "share::each_message_goes_to_one_member",
        &["4.8.2-1"],
        &[],
        one_member,
    ),
    row(
        "share::names_and_filters_that_cannot_be",
        &["4.8.2-1", "4.8.2-2"],
        &[],
        bad_names,
    ),
    row(
        "share::no_local_is_an_error",
        &["3.8.3-4", "4.13.1-1"],
        &[],
        no_local,
    ),
    row(
        "share::the_granted_qos_holds",
        &["4.8.2-3", "3.8.4-8"],
        &[],
        granted_qos,
    ),
    row(
        "share::qos_2_is_completed_with_the_same_member",
        &["4.8.2-4", "4.4.0-1"],
        &[],
        completed,
    ),
    row(
        "share::qos_2_is_not_sent_to_another_when_the_session_ends",
        &["4.8.2-5"],
        &[],
        session_ends,
    ),
    row(
        "share::what_a_member_refuses_is_discarded",
        &["4.8.2-6", "4.4.0-2"],
        &[],
        refused,
    ),
    row(
        "share::no_retained_messages",
        &["3.3.1-9"],
        &[],
        no_retained,
    ),
    row(
        "share::groups_and_other_subscriptions_are_apart",
        &["4.8.2-1", "4.6.0-6"],
        &[],
        groups,
    ),
];

fn member(context: &Context, connect: &Connect, topic: &str, qos: u8) -> Outcome<Client> {
    let mut client = context.accepted(connect)?.0;
    client.subscribe(&format!("$share/group/{topic}"), qos)?;
    Ok(client)
}

fn one_member(context: &Context) -> Outcome {
    const COUNT: usize = 30;
    let topic = context.topic("t");
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push(member(
            context,
            &context.hello(name),
            &context.topic("+"),
            0,
        )?);
    }
    let mut publisher = context.client("p")?;
    for number in 0..COUNT {
        publisher.publish(&topic, 0, &number.to_string())?;
    }
    let mut seen = Vec::new();
    for client in &mut members {
        while let Received::Frame(frame) = client.receive(QUIET)? {
            seen.push(frame.publish(context.version)?.payload);
        }
    }
    let mut expected: Vec<Vec<u8>> = (0..COUNT)
        .map(|number| number.to_string().into_bytes())
        .collect();
    seen.sort();
    expected.sort();
    same("messages", seen, expected)
}

fn bad_names(context: &Context) -> Outcome {
    for filter in [
        "$share/",
        "$share//",
        "$share//t",
        "$share/name",
        "$share/name/",
        "$share/+/t",
        "$share/#/t",
        "$share/a+b/t",
        "$share/a#/t",
        "$share/name/#/t",
        "$share/name/a#",
    ] {
        let mut client = context.client("c")?;
        client.send(build::subscribe(context.version, 1, &[(filter, 0)]))?;
        match client.receive(PATIENCE)? {
            Received::Frame(frame) if frame.first == 0x90 => {
                same(filter, frame.suback(0x90, context.version)?.2, vec![0x8F])?;
            }
            Received::Frame(frame) => {
                let code = frame
                    .reason(0xE0)
                    .map_err(|failure| failure.in_case(filter))?
                    .code;
                ensure([0x81, 0x82, 0x8F].contains(&code), || {
                    format!("[{filter}] DISCONNECT with {code:#04X}")
                })?;
                client.expect_closed()?;
            }
            other => ensure(false, || format!("[{filter}] {other:02X?}"))?,
        }
    }
    Ok(())
}

fn no_local(context: &Context) -> Outcome {
    let filter = format!("$share/group/{}", context.topic("t"));
    context.rejects(
        &[(
            "No Local",
            build::subscribe(context.version, 1, &[(&filter, 0x04)]),
        )],
        &[0x82],
    )
}

fn granted_qos(context: &Context) -> Outcome {
    let mut publisher = context.client("p")?;
    for granted in [0, 1, 2] {
        let topic = context.topic(&granted.to_string());
        let mut client = member(context, &context.hello("m"), &topic, granted)?;
        for published in [0, 1, 2] {
            publisher.publish(&topic, published, "x")?;
            let publish = client.expect_message(&topic, "x")?;
            same("QoS", publish.qos, granted.min(published))?;
            client.accept(&publish)?;
        }
        client.quiet()?;
        client.disconnect()?;
    }
    Ok(())
}

/// A message of QoS 2 that one of two persistent members has got, and which of them.
fn sent_to_one(context: &Context, topic: &str) -> Outcome<(Client, Connect, Client, Publish)> {
    let connects = ["a", "b"].map(|name| context.hello(name).persistent());
    let [mut first, mut second] = {
        let [a, b] = &connects;
        [member(context, a, topic, 2)?, member(context, b, topic, 2)?]
    };
    let [a, b] = connects;
    context.client("p")?.publish(topic, 2, "x")?;
    match first.receive(QUIET)? {
        Received::Frame(frame) => Ok((first, a, second, frame.publish(context.version)?)),
        _ => {
            let publish = second.expect_message(topic, "x")?;
            Ok((second, b, first, publish))
        }
    }
}

fn completed(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (client, connect, mut other, publish) = sent_to_one(context, &topic)?;
    client.cut();
    other.quiet()?;
    let mut client = context.resumed(&connect, true)?;
    same(
        "repeat",
        client.expect_publish()?.bytes(),
        publish.clone().dup().bytes(),
    )?;
    client.exchange(
        build::ack(PUBREC, publish.id),
        build::ack(PUBREL, publish.id),
    )?;
    client.cut();
    other.quiet()?;
    let mut client = context.resumed(&connect, true)?;
    client.exchange([], build::ack(PUBREL, publish.id))?;
    client.send(build::ack(PUBCOMP, publish.id))?;
    client.quiet()?;
    other.quiet()
}

fn session_ends(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut client, connect, mut other, _) = sent_to_one(context, &topic)?;
    client.send(build::disconnect_with(
        0,
        &build::property::four(build::property::SESSION_EXPIRY, 0),
    ))?;
    client.expect_closed()?;
    other.quiet()?;
    context.resumed(&connect, false)?.quiet()
}

fn refused(context: &Context) -> Outcome {
    let topic = context.topic("t");
    for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
        let mut members = [
            member(context, &context.hello("a"), &topic, 2)?,
            member(context, &context.hello("b"), &topic, 2)?,
        ];
        context.client("p")?.publish(&topic, qos, "unwanted")?;
        let mut times = 0;
        for _ in 0..2 {
            for client in &mut members {
                if let Received::Frame(frame) = client.receive(QUIET)? {
                    let publish = frame.publish(context.version)?;
                    client.send(build::ack_with(first, publish.id, 0x83))?;
                    times += 1;
                }
            }
        }
        same("deliveries", times, 1)?;
        members.iter_mut().try_for_each(Client::quiet)?;
    }
    Ok(())
}

fn no_retained(context: &Context) -> Outcome {
    let topic = context.topic("t");
    context.client("p")?.retain(&topic, 0, "kept")?;
    member(context, &context.hello("m"), &topic, 0)?.quiet()
}

/// One copy for each group and one for each ordinary subscriber.
fn groups(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut plain = context.client("plain")?;
    plain.subscribe(&topic, 1)?;
    let mut clients = Vec::new();
    for (name, group) in [("a", "one"), ("b", "two")] {
        let mut client = context.client(name)?;
        client.subscribe(&format!("$share/{group}/{topic}"), 1)?;
        clients.push(client);
    }
    clients.push(plain);
    let mut publisher = context.client("p")?;
    for number in 0..10 {
        publisher.publish(&topic, 1, &number.to_string())?;
    }
    for client in &mut clients {
        for number in 0..10 {
            let publish = client.expect_message(&topic, &number.to_string())?;
            client.accept(&publish)?;
        }
        client.quiet()?;
    }
    Ok(())
}
