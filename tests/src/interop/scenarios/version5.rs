//! What MQTT 5 added.

use std::time::Duration;

use super::super::client::{Filter, Message, Properties, Will};
use super::super::stage::Stage;
use crate::raw::{Outcome, ensure, same};

/// Every property that an application may set and every receiver sees; mosquitto_pub takes text alone.
fn properties() -> Properties {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Properties {
        payload_format: Some(1),
        content_type: Some("text/plain; charset=utf-8".into()),
        response_topic: Some("answers/été".into()),
        correlation_data: Some(b"request-1".to_vec()),
        user: vec![
            pair("unit", "°C"),
            pair("unit", "twice"),
            pair("ключ", "значение"),
            pair("a", "b"),
        ],
        ..Properties::default()
    }
}

pub(super) fn properties_arrive_unaltered(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("t"), 2)?;
    let mut message = Message::new(stage.topic("t"), "21,5 °C", stage.qos());
    message.properties = properties();
    let mut publisher = stage.connected("pub")?;
    publisher.publish(&message)?;
    subscriber.expect(&message)?;

    // They stay with a retained message.
    let message = message.retained();
    publisher.publish(&message)?;
    subscriber.expect(&Message {
        retain: false,
        ..message.clone()
    })?;
    let mut late = stage.connected("late")?;
    late.subscribe(&stage.topic("t"), 2)?;
    late.expect(&message)?;
    publisher.publish(&Message {
        payload: Vec::new(),
        properties: Properties::default(),
        ..message
    })
}

pub(super) fn expired_do_not_arrive(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.client("sub")?;
    subscriber.connect_to_stay(false)?;
    subscriber.subscribe(&stage.topic("t"), stage.qos())?;
    subscriber.disconnect()?;
    let message = |text: &str, expiry| {
        let mut message = Message::new(stage.topic("t"), text, stage.qos());
        message.properties.expiry = expiry;
        message
    };
    let messages = [
        message("short", Some(1)),
        message("long", Some(100)),
        message("ever", None),
    ];
    stage.connected("pub")?.publish_all(&messages)?;
    std::thread::sleep(Duration::from_millis(2500));
    subscriber.connect_to_stay(true)?;
    let long = subscriber.receive()?;
    same("payload", long.text(), "long".into())?;
    let left = long.properties.expiry.unwrap_or_default();
    ensure((50..=98).contains(&left), || {
        format!("{left} of 100 seconds left after 2.5")
    })?;
    subscriber.expect(&message("ever", None))?;
    subscriber.quiet()
}

pub(super) fn subscription_identifier_comes_along(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe_as(&[Filter::new(stage.topic("#"), 1)], Some(268_435_455))?;
    let mut message = Message::new(stage.topic("t"), "x", 1);
    stage.connected("pub")?.publish(&message)?;
    message.properties.subscription_identifiers = vec![268_435_455];
    subscriber.expect(&message)
}

pub(super) fn identifiers_of_all_matches(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    for (filter, identifier) in [
        ("#", Some(1)),
        ("+/b", None),
        ("a/b", Some(300)),
        ("c", Some(7)),
    ] {
        subscriber.subscribe_as(&[Filter::new(stage.topic(filter), 1)], identifier)?;
    }
    stage
        .connected("pub")?
        .publish(&Message::new(stage.topic("a/b"), "x", 1))?;
    let mut seen = subscriber.receive()?.properties.subscription_identifiers;
    if stage.foreign() {
        while let Some(message) = subscriber.receive_soon()? {
            seen.extend(message.properties.subscription_identifiers);
        }
    }
    seen.sort_unstable();
    same("Subscription Identifiers", seen, vec![1, 300])?;
    subscriber.quiet()
}

pub(super) fn no_local(stage: &Stage<'_>) -> Outcome {
    let mut client = stage.connected("client")?;
    client.subscribe_all(&[Filter {
        no_local: true,
        ..Filter::new(stage.topic("t"), stage.qos())
    }])?;
    client.publish(&Message::new(stage.topic("t"), "own", stage.qos()))?;
    client.quiet()?;
    let others = Message::new(stage.topic("t"), "another's", stage.qos());
    stage.connected("other")?.publish(&others)?;
    client.expect(&others)
}

pub(super) fn retain_as_published(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe_all(&[Filter {
        retain_as_published: true,
        ..Filter::new(stage.topic("t"), 1)
    }])?;
    let mut publisher = stage.connected("pub")?;
    let message = Message::new(stage.topic("t"), "x", 1);
    for message in [
        message.clone().retained(),
        message.clone(),
        Message {
            payload: Vec::new(),
            ..message.retained()
        },
    ] {
        publisher.publish(&message)?;
        subscriber.expect(&message)?;
    }
    Ok(())
}

pub(super) fn retain_handling(stage: &Stage<'_>) -> Outcome {
    let message = Message::new(stage.topic("t"), "kept", 1).retained();
    let mut client = stage.connected("client")?;
    client.publish(&message)?;
    // (Retain Handling, whether the retained message comes); the first makes the subscription, the others repeat it.
    for (retain_handling, comes) in [(1, true), (1, false), (0, true), (2, false)] {
        client.subscribe_all(&[Filter {
            retain_handling,
            ..Filter::new(stage.topic("t"), 1)
        }])?;
        if comes {
            client.expect(&message)?;
        }
        client.quiet()?;
    }
    client.unsubscribe(&stage.topic("t"))?;
    client.subscribe_all(&[Filter {
        retain_handling: 2,
        ..Filter::new(stage.topic("t"), 1)
    }])?;
    client.quiet()?;
    client.publish(&Message {
        payload: Vec::new(),
        ..message
    })
}

pub(super) fn will_has_properties(stage: &Stage<'_>) -> Outcome {
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 2)?;
    let mut message = Message::new(stage.topic("will"), "gone", stage.qos());
    message.properties = properties();
    let mut holder = stage.client("holder")?;
    holder.options.will = Some(Will {
        message: message.clone(),
        delay_s: 0,
    });
    holder.connect()?;
    holder.subscribe(&stage.topic("own"), 0)?;
    holder.cut()?;
    watcher.expect(&message)
}

pub(super) fn will_waits_for_its_delay(stage: &Stage<'_>) -> Outcome {
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 1)?;
    let message = Message::new(stage.topic("will"), "gone", 1);
    let mut holder = stage.client("holder")?;
    holder.options.will = Some(Will {
        message: message.clone(),
        delay_s: 2,
    });
    holder.options.session_expiry_s = Some(60);
    holder.connect()?;
    holder.subscribe(&stage.topic("own"), 0)?;
    holder.cut()?;
    // Timers may be coarse, but not by half.
    watcher.quiet_for(Duration::from_secs(1))?;
    watcher.expect(&message)
}

pub(super) fn will_is_dropped_on_return(stage: &Stage<'_>) -> Outcome {
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 1)?;
    let mut holder = stage.client("holder")?;
    let message = Message::new(stage.topic("will"), "gone", 1);
    holder.options.will = Some(Will {
        message: message.clone(),
        delay_s: 2,
    });
    holder.connect_to_stay(false)?;
    holder.subscribe(&stage.topic("own"), 0)?;
    holder.cut()?;
    holder.connect_to_stay(true)?;
    watcher.quiet_for(Duration::from_millis(3500))
}

pub(super) fn session_expires(stage: &Stage<'_>) -> Outcome {
    let mut client = stage.client("client")?;
    client.options.clean_start = false;
    // (Session Expiry Interval, whether the session of the round before is still there)
    for (expiry_s, present) in [(1, false), (60, false), (0, true), (60, false)] {
        client.options.session_expiry_s = Some(expiry_s);
        same(
            "Session Present",
            client.connect()?.session_present,
            Some(present),
        )?;
        client.disconnect()?;
        if expiry_s == 1 {
            std::thread::sleep(Duration::from_millis(2500));
        }
    }
    Ok(())
}

pub(super) fn request_gets_response(stage: &Stage<'_>) -> Outcome {
    let mut responder = stage.connected("responder")?;
    responder.subscribe(&stage.topic("requests"), stage.qos())?;
    let mut requester = stage.connected("requester")?;
    requester.subscribe(&stage.topic("answers/1"), stage.qos())?;
    let mut request = Message::new(stage.topic("requests"), "how warm?", stage.qos());
    request.properties.response_topic = Some(stage.topic("answers/1"));
    request.properties.correlation_data = Some(vec![0, 255, 1, 254]);
    requester.publish(&request)?;
    let asked = responder.receive()?;
    let mut response = Message::new(
        asked.properties.response_topic.unwrap_or_default(),
        "21.5",
        stage.qos(),
    );
    response.properties.correlation_data = asked.properties.correlation_data;
    responder.publish(&response)?;
    let answered = requester.receive()?;
    same("payload", answered.text(), "21.5".into())?;
    same(
        "Correlation Data",
        answered.properties.correlation_data,
        request.properties.correlation_data,
    )
}

pub(super) fn receive_maximum_of_one(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.client("sub")?;
    subscriber.options.receive_maximum = Some(1);
    subscriber.connect()?;
    subscriber.subscribe(&stage.topic("t"), stage.qos())?;
    let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let message = |text: &String| Message::new(stage.topic("t"), text.as_bytes(), stage.qos());
    stage
        .connected("pub")?
        .publish_all(&texts.iter().map(message).collect::<Vec<_>>())?;
    subscriber.expect_texts(&texts)?;
    subscriber.quiet()
}

pub(super) fn aliases_by_the_client(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.client("sub")?;
    subscriber.options.topic_alias_maximum = Some(3);
    subscriber.connect()?;
    subscriber.subscribe(&stage.topic("#"), 1)?;
    let mut publisher = stage.client("pub")?;
    publisher.options.topic_alias_maximum = Some(3);
    publisher.connect()?;
    // More topics than aliases, so that some are given anew.
    for round in 0..4 {
        for topic in 0..6 {
            let message = Message::new(
                stage.topic(&format!("topic/{topic}")),
                format!("{round}"),
                1,
            );
            publisher.publish(&message)?;
            subscriber.expect(&message)?;
        }
    }
    Ok(())
}

pub(super) fn aliases_by_hand(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("#"), 2)?;
    let mut publisher = stage.client("pub")?;
    let maximum = publisher.connect()?.topic_alias_maximum.unwrap_or_default();
    ensure(maximum >= 2, || format!("Topic Alias Maximum is {maximum}"))?;
    let alias = |topic: &str, text: &str, alias| {
        let mut message = Message::new(topic, text, stage.qos());
        message.properties.topic_alias = Some(alias);
        message
    };
    let (one, two) = (stage.topic("one"), stage.topic("two"));
    let sent = [
        (alias(&one, "a", 1), &one),
        (alias(&two, "b", 2), &two),
        (alias("", "c", 1), &one),
        (alias("", "d", 2), &two),
        (alias(&two, "e", 1), &two),
        (alias("", "f", 1), &two),
    ];
    for (message, topic) in sent {
        publisher.publish(&message)?;
        subscriber.expect(&Message::new(topic, message.payload, stage.qos()))?;
    }
    Ok(())
}
