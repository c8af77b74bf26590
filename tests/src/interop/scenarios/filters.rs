//! Topic Filters: wildcards, overlaps, shared subscriptions and the way out.

use std::collections::BTreeSet;

use super::super::client::{Filter, Message};
use super::super::stage::{Player, Stage};
use crate::raw::{Outcome, ensure, same};

pub(super) fn wildcards_match_what_they_say(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    let filters =
        ["+/x", "deep/#", "é/+", "+/+/+/end"].map(|filter| Filter::new(stage.topic(filter), 1));
    subscriber.subscribe_all(&filters)?;
    let topics = [
        ("a/x", true),
        ("a/b/x", false),
        ("x", false),
        ("/x", true),
        ("a/xx", false),
        ("A/X", false),
        ("deep", true),
        ("deep/", true),
        ("deep/1/2/3", true),
        ("deeper", false),
        ("é/ü", true),
        ("é/", true),
        ("é", false),
        ("é/ü/1", false),
        ("1/2/3/end", true),
    ];
    let mut publisher = stage.connected("pub")?;
    let message = |topic: &str| Message::new(stage.topic(topic), topic, 1);
    publisher.publish_all(&topics.map(|(topic, _)| message(topic)))?;
    for (topic, _) in topics.iter().filter(|(_, matches)| *matches) {
        subscriber.expect(&message(topic))?;
    }
    subscriber.quiet()
}

pub(super) fn overlapping_bring_one_copy(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    let filters = ["#", "+/b", "a/b"].map(|filter| Filter::new(stage.topic(filter), stage.qos()));
    subscriber.subscribe_all(&filters)?;
    let mut publisher = stage.connected("pub")?;
    for text in ["1", "2", "3"] {
        let message = Message::new(stage.topic("a/b"), text, stage.qos());
        publisher.publish(&message)?;
        subscriber.expect(&message)?;
        copies(stage, &mut subscriber, &message, filters.len())?;
    }
    Ok(())
}

pub(super) fn overlapping_bring_highest_qos(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    for (filter, qos) in [("#", 0), ("+/b", 2), ("a/b", 1)] {
        subscriber.subscribe(&stage.topic(filter), qos)?;
    }
    let message = Message::new(stage.topic("a/b"), "x", 2);
    stage.connected("pub")?.publish(&message)?;
    if stage.foreign() {
        let mut levels = BTreeSet::from([subscriber.receive()?.qos]);
        while levels.len() < 3 && !levels.contains(&2) {
            levels.insert(subscriber.receive()?.qos);
        }
        return ensure(levels.contains(&2), || {
            format!("delivered at {levels:?} only")
        });
    }
    subscriber.expect(&message)?;
    subscriber.quiet()
}

/// The standard lets a broker send a copy per matching subscription; ours sends one.
fn copies(
    stage: &Stage<'_>,
    subscriber: &mut Player,
    message: &Message,
    filters: usize,
) -> Outcome {
    if !stage.foreign() {
        return subscriber.quiet();
    }
    for _ in 1..filters {
        match subscriber.receive_soon()? {
            Some(copy) => same("copy", copy.text(), message.text())?,
            None => return Ok(()),
        }
    }
    subscriber.quiet()
}

pub(super) fn unsubscribed_is_silent(stage: &Stage<'_>) -> Outcome {
    let (stays, goes) = (stage.topic("stays"), stage.topic("goes"));
    let mut subscriber = stage.client("sub")?;
    // mosquitto_sub can give a subscription up only when it connects, so the session has to stay.
    subscriber.connect_to_stay(false)?;
    subscriber.subscribe_all(&[
        Filter::new(&stays, stage.qos()),
        Filter::new(&goes, stage.qos()),
    ])?;
    let mut publisher = stage.connected("pub")?;
    let message = |topic: &str| Message::new(topic, "x", stage.qos());
    for topic in [&goes, &stays] {
        publisher.publish(&message(topic))?;
        subscriber.expect(&message(topic))?;
    }
    subscriber.unsubscribe(&goes)?;
    publisher.publish(&message(&goes))?;
    subscriber.quiet()?;
    publisher.publish(&message(&stays))?;
    subscriber.expect(&message(&stays))
}

pub(super) fn shared_by_two(stage: &Stage<'_>) -> Outcome {
    let shared = format!("$share/workers/{}", stage.topic("#"));
    let mut members = [stage.connected("one")?, stage.connected("two")?];
    for member in &mut members {
        member.subscribe(&shared, stage.qos())?;
    }
    let mut observer = stage.connected("observer")?;
    observer.subscribe(&stage.topic("#"), stage.qos())?;
    let texts: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let message = |text: &String| Message::new(stage.topic("job"), text.as_bytes(), stage.qos());
    stage
        .connected("pub")?
        .publish_all(&texts.iter().map(message).collect::<Vec<_>>())?;
    observer.expect_texts(&texts)?;

    let mut all = Vec::new();
    for member in &mut members {
        let seen = drain(member)?;
        ensure(!seen.is_empty(), || "one member got nothing".into())?;
        ensure(seen.is_sorted(), || format!("a member's order: {seen:?}"))?;
        all.extend(seen);
    }
    all.sort_unstable();
    same("jobs done", all, (0..40).collect())
}

pub(super) fn shared_goes_to_who_is_left(stage: &Stage<'_>) -> Outcome {
    let shared = format!("$share/workers/{}", stage.topic("#"));
    let mut leaves = stage.connected("leaves")?;
    leaves.subscribe(&shared, stage.qos())?;
    let mut stays = stage.connected("stays")?;
    stays.subscribe(&shared, stage.qos())?;
    leaves.disconnect()?;
    let texts: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let message = |text: &String| Message::new(stage.topic("job"), text.as_bytes(), stage.qos());
    stage
        .connected("pub")?
        .publish_all(&texts.iter().map(message).collect::<Vec<_>>())?;
    stays.expect_texts(&texts)?;
    stays.quiet()
}

/// The numbers that come until nothing does.
fn drain(player: &mut Player) -> Outcome<Vec<u32>> {
    let mut numbers = Vec::new();
    while let Some(message) = player.receive_soon()? {
        let text = message.text();
        numbers.push(
            text.parse()
                .map_err(|_| crate::raw::Failure::new(format!("not a number: {text}")))?,
        );
    }
    Ok(numbers)
}
