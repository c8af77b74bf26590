//! What must be true of every history: the promises of the broker, as far as clients can see them.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::QoS;

use super::client::{Arrival, Sent};
use super::world::{Actor, RETAINED_TOPIC, RETAINER, SHARE, SHARED_TOPIC, World};

/// Checks a world at rest.
pub(crate) fn check(world: &mut World) {
    everything_is_answered(world);
    kept_sessions_are_kept(world);
    for subscriber in &world.actors {
        let Some(subscription) = &subscriber.subscription else {
            continue;
        };
        if subscription.filter == SHARE {
            continue;
        }
        order_holds(world, subscriber);
        for publisher in &world.actors {
            for (at, sent) in publisher.client.sent.iter().enumerate() {
                repetitions_are_allowed(subscriber, subscription.qos, sent);
                let owed = subscriber
                    .subscribed
                    .is_some_and(|(since, _)| since < publisher.published_at[at]);
                if owed && matches(subscription.filter, &sent.topic) && sent.acknowledged {
                    arrived(subscriber, sent);
                }
            }
        }
    }
    shared_messages_arrive_somewhere(world);
    the_retained_message_is_the_last(world);
}

fn matches(filter: &str, topic: &str) -> bool {
    match filter {
        "n/#" | "n/+" => topic.starts_with("n/"),
        exact => exact == topic,
    }
}

fn everything_is_answered(world: &World) {
    for Actor { client, .. } in &world.actors {
        assert_eq!(client.in_flight(), 0, "{} has no answer", client.plan.name);
    }
}

/// A session whose CONNACK came survives everything but the client's own wish.
fn kept_sessions_are_kept(world: &World) {
    for actor in &world.actors {
        let client = &actor.client;
        if client.is_persistent() && !actor.forgetful {
            assert_eq!(client.session, 1, "{} lost its session", client.plan.name);
        }
    }
}

fn arrived(subscriber: &Actor, sent: &Sent) {
    // Who subscribed before, and has the session still, must have got it. At the effective QoS 0
    // nothing is promised.
    let Some(subscription) = &subscriber.subscription else {
        return;
    };
    if subscription.qos.min(sent.qos) == QoS::AtMostOnce || !subscriber.client.is_persistent() {
        return;
    }
    assert!(
        copies(subscriber, sent).next().is_some(),
        "{} was acknowledged and never came to {}",
        sent.payload,
        subscriber.client.plan.name
    );
}

fn copies<'a>(subscriber: &'a Actor, sent: &'a Sent) -> impl Iterator<Item = &'a Arrival> {
    let arrivals = subscriber.client.arrivals.iter();
    arrivals.filter(|arrival| arrival.payload == sent.payload)
}

/// [MQTT-4.3.1-1] [MQTT-4.3.3-1]
fn repetitions_are_allowed(subscriber: &Actor, granted: QoS, sent: &Sent) {
    let at_most_once = sent.qos == QoS::AtMostOnce || sent.qos.min(granted) == QoS::ExactlyOnce;
    if !at_most_once {
        return;
    }
    let mut sessions = BTreeSet::new();
    for arrival in copies(subscriber, sent) {
        assert!(
            sessions.insert(arrival.session),
            "{} came twice to {} at QoS {}",
            sent.payload,
            subscriber.client.plan.name,
            sent.qos.min(granted).bits()
        );
    }
}

/// First arrivals of one publisher, topic and QoS of publication are in order. [MQTT-4.6.0-6]
/// What was published before the subscription may be published again after it.
fn order_holds(world: &World, subscriber: &Actor) {
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<(usize, &str, &str, QoS), usize> = BTreeMap::new();
    for arrival in &subscriber.client.arrivals {
        let Some((publisher, number)) = arrival.payload.split_once('#') else {
            panic!("a message that nobody sent: {}", arrival.payload);
        };
        if !seen.insert((arrival.session, &arrival.payload)) {
            continue;
        }
        let number: usize = number.parse().expect("a number");
        let by_name = |actor: &&Actor| actor.client.plan.name == publisher;
        let sender = world.actors.iter().find(by_name).expect("a publisher");
        let qos = sender.client.sent[number - 1].qos;
        let since = subscriber.subscribed_since.get(&arrival.session);
        if since.is_none_or(|since| *since >= sender.published_at[number - 1]) {
            continue;
        }
        let key = (arrival.session, publisher, &*arrival.topic, qos);
        let before = last.insert(key, number).unwrap_or(0);
        assert!(
            before < number,
            "{publisher}: {number} after {before} at {}",
            subscriber.client.plan.name
        );
    }
}

fn shared_messages_arrive_somewhere(world: &World) {
    let is_member = |actor: &&Actor| {
        let subscription = actor.subscription.as_ref();
        subscription.is_some_and(|subscription| subscription.filter == SHARE)
    };
    let members: Vec<&Actor> = world.actors.iter().filter(is_member).collect();
    let all_are_kept = members.iter().all(|actor| actor.client.is_persistent());
    let all_at_qos_2 = members.iter().all(|actor| {
        let subscription = actor.subscription.as_ref();
        subscription.is_some_and(|subscription| subscription.qos == QoS::ExactlyOnce)
    });
    // The one whose session is kept: from then on the share has a member.
    let since = members
        .iter()
        .filter(|actor| actor.client.is_persistent())
        .filter_map(|actor| actor.subscribed)
        .map(|(since, _)| since)
        .min();
    for publisher in &world.actors {
        for (at, sent) in publisher.client.sent.iter().enumerate() {
            if sent.topic != SHARED_TOPIC {
                continue;
            }
            let count: usize = members
                .iter()
                .map(|member| copies(member, sent).count())
                .sum();
            let exactly_once = sent.qos == QoS::ExactlyOnce && all_at_qos_2;
            // [MQTT-4.8.2-5] Nobody gets what was sent to another at QoS 2, not even when that
            // one's session has ended.
            if exactly_once || sent.qos == QoS::AtMostOnce {
                assert!(count <= 1, "{} came to two members", sent.payload);
            }
            let owed = since.is_some_and(|since| since < publisher.published_at[at])
                && sent.acknowledged
                && (sent.qos == QoS::AtLeastOnce || sent.qos == QoS::ExactlyOnce && all_are_kept);
            assert!(
                !owed || count > 0,
                "{} was acknowledged and came to no member",
                sent.payload
            );
        }
    }
}

/// [MQTT-3.3.1-5]
fn the_retained_message_is_the_last(world: &mut World) {
    let there = world.retained(RETAINED_TOPIC);
    let sent = &world.actors[RETAINER].client.sent;
    let numbers = |only_acknowledged: bool| {
        sent.iter()
            .enumerate()
            .filter(move |(_, sent)| {
                sent.retain
                    && sent.topic == RETAINED_TOPIC
                    && (sent.acknowledged || !only_acknowledged)
            })
            .map(|(at, _)| at + 1)
    };
    let (promised, possible) = (numbers(true).max(), numbers(false).max());
    let is = there.first().map(|payload| {
        let (_, number) = payload.split_once('#').expect("a number");
        number.parse::<usize>().expect("a number")
    });
    assert!(there.len() <= 1, "one topic, several messages: {there:?}");
    assert!(
        is >= promised && is <= possible,
        "retained is {is:?}, promised {promised:?}"
    );
}
