//! Rows on PUBLISH as it arrives: flags, topics, what answers it. Sections 3.3.1, 3.3.2.1, 3.3.4, 3.3.5.

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, property};
use crate::raw::{Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "publish::qos_0_to_the_byte",
        &["4.3.1-1", "3.3.1-2", "3.3.2-1", "3.3.4-1"],
        &["4.3.1-1", "3.3.1-2", "3.3.2-1", "3.3.4-1"],
        qos_0,
    ),
    row(
        "publish::dup_at_qos_0",
        &["3.3.1-2"],
        &["3.3.1-2"],
        dup_at_qos_0,
    ),
    row(
        "publish::dup_is_not_passed_on",
        &["3.3.1-3"],
        &["3.3.1-3"],
        dup_not_passed_on,
    ),
    row(
        "publish::qos_3",
        &["3.3.1-4", "4.13.1-1"],
        &["3.3.1-4", "4.8.0-1"],
        qos_3,
    ),
    row(
        "publish::wildcards_in_the_topic",
        &["3.3.2-2", "4.7.0-1"],
        &["3.3.2-2", "4.7.1-1"],
        wildcards,
    ),
    row(
        "publish::an_empty_topic",
        &["4.7.3-1", "3.3.2-1"],
        &["4.7.3-1"],
        empty_topic,
    ),
    row(
        "publish::is_answered_by_its_qos",
        &["3.3.4-1", "4.3.2-4", "4.3.3-8", "4.3.3-11"],
        &["3.3.4-1", "4.3.2-2", "4.3.3-2"],
        answered,
    ),
    row(
        "publish::a_subscription_identifier_from_a_client",
        &["3.3.4-6"],
        &[],
        subscription_id,
    ),
    row(
        "publish::one_that_is_not_allowed",
        &["3.4.2-1", "3.5.2-1", "4.3.3-9"],
        &["3.3.5-2"],
        not_allowed,
    ),
    row(
        "publish::an_empty_payload_is_a_message",
        &["3.3.4-1", "4.5.0-1"],
        &["3.3.4-1", "4.5.0-1"],
        empty_payload,
    ),
];

fn qos_0(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    let publish = Publish::new(context.version, &topic, [0, 0xFF, b'x', 0x80]);
    publisher.complete(&publish)?;
    subscriber.expect(publish.bytes())?;
    publisher.quiet()?;
    subscriber.quiet()
}

fn dup_at_qos_0(context: &Context) -> Outcome {
    let publish = Publish::new(context.version, context.topic("t"), "x").dup();
    context.rejects(&[("DUP at QoS 0", publish.bytes())], &[0x81, 0x82])
}

fn dup_not_passed_on(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for qos in [1, 2] {
        publisher.complete(&Publish::new(context.version, &topic, "x").qos(qos, 7).dup())?;
        let publish = subscriber.expect_publish()?;
        same("QoS and DUP", (publish.qos, publish.dup), (qos, false))?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}

fn qos_3(context: &Context) -> Outcome {
    let publish = Publish::new(context.version, context.topic("t"), "x").qos(3, 1);
    context.rejects(
        &[
            ("QoS 3", publish.bytes()),
            ("QoS 3 and DUP", publish.clone().dup().bytes()),
        ],
        &[0x81],
    )
}

fn wildcards(context: &Context) -> Outcome {
    for topic in ["#", "+", "a/#", "a/+/b", "a+b", "a#", "#/a"] {
        let publish = Publish::new(context.version, topic, "x");
        context.rejects(
            &[
                (topic, publish.bytes()),
                (topic, publish.clone().qos(1, 1).bytes()),
            ],
            &[0x81, 0x82, 0x90],
        )?;
    }
    Ok(())
}

fn empty_topic(context: &Context) -> Outcome {
    let publish = Publish::new(context.version, "", "x");
    context.rejects(
        &[
            ("empty", publish.bytes()),
            ("at QoS 1", publish.clone().qos(1, 1).bytes()),
        ],
        &[0x81, 0x82, 0x90],
    )
}

fn answered(context: &Context) -> Outcome {
    let version = context.version;
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0)?;
    let mut client = context.client("c")?;
    client.send(Publish::new(version, &topic, "0").bytes())?;
    client.quiet()?;
    client.exchange(
        Publish::new(version, &topic, "1").qos(1, 5).bytes(),
        build::ack(PUBACK, 5),
    )?;
    client.quiet()?;
    client.exchange(
        Publish::new(version, &topic, "2").qos(2, 6).bytes(),
        build::ack(PUBREC, 6),
    )?;
    client.quiet()?;
    client.exchange(build::ack(PUBREL, 6), build::ack(PUBCOMP, 6))?;
    client.quiet()?;
    for payload in ["0", "1", "2"] {
        subscriber.expect_message(&topic, payload)?;
    }
    subscriber.quiet()
}

fn subscription_id(context: &Context) -> Outcome {
    let publish = Publish::new(context.version, context.topic("t"), "x");
    let publish = publish.property(property::varint(property::SUBSCRIPTION_ID, 1));
    context.rejects(&[("it", publish.bytes())], &[0x82])
}

/// A topic that belongs to the broker: refused in MQTT 5, acknowledged and forgotten in 3.1.1.
fn not_allowed(context: &Context) -> Outcome {
    let version = context.version;
    let topic = format!("$SYS/{}", context.topic("t"));
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 2)?;
    let mut client = context.client("c")?;
    let publish = Publish::new(version, &topic, "x");
    client.send(publish.bytes())?;
    client.quiet()?;
    if context.is_v5() {
        for (first, qos) in [(PUBACK, 1), (PUBREC, 2)] {
            client.send(publish.clone().qos(qos, 9).bytes())?;
            let reason = client.frame()?.ack(first, version)?;
            same("identifier and code", (reason.id, reason.code), (9, 0x87))?;
        }
        // A refused QoS 2 publish is over: its identifier is free, and there is nothing to release.
        client.send(build::ack(PUBREL, 9))?;
        same("code", client.frame()?.ack(PUBCOMP, version)?.code, 0x92)?;
        client.complete(&Publish::new(version, context.topic("t"), "allowed").qos(2, 9))?;
    } else {
        client.complete(&publish.clone().qos(1, 9))?;
        client.complete(&publish.qos(2, 9))?;
    }
    watcher.quiet()
}

fn empty_payload(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.publish(&topic, qos, "")?;
        let publish = subscriber.expect_message(&topic, "")?;
        same("QoS", publish.qos, qos)?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}
