//! Strategies for legal packets of every type and version.
//!
//! What a packet borrows is leaked, so that it can be a plain value; a run leaks a few megabytes.

use dunlin_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Properties, Property,
    PropertyPlace, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, Subscription,
    SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn version() -> impl Strategy<Value = Version> {
    select(&[Version::V3, Version::V4, Version::V5])
}

/// A packet and the version it's written in.
pub(crate) fn packet() -> impl Strategy<Value = (Version, Packet<'static>)> {
    version().prop_flat_map(|version| (Just(version), packet_of(version)))
}

pub(crate) fn packet_of(version: Version) -> BoxedStrategy<Packet<'static>> {
    let mut choices = vec![
        connect(version).boxed(),
        connack(version).boxed(),
        // The packet of the hot path has more to vary than the others.
        publish(version).boxed(),
        publish(version).boxed(),
        ack(version, PacketType::PubAck)
            .prop_map(Packet::PubAck)
            .boxed(),
        ack(version, PacketType::PubRec)
            .prop_map(Packet::PubRec)
            .boxed(),
        ack(version, PacketType::PubRel)
            .prop_map(Packet::PubRel)
            .boxed(),
        ack(version, PacketType::PubComp)
            .prop_map(Packet::PubComp)
            .boxed(),
        subscribe(version).boxed(),
        suback(version).boxed(),
        unsubscribe(version).boxed(),
        unsuback(version).boxed(),
        Just(Packet::PingReq).boxed(),
        Just(Packet::PingResp).boxed(),
        disconnect(version).boxed(),
    ];
    if version.is_v5() {
        choices.push(auth().boxed());
    }
    proptest::strategy::Union::new(choices).boxed()
}

pub(crate) fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    (
        (any::<bool>(), any::<u16>(), text()),
        proptest::option::of(will(version)),
        proptest::option::of(text()),
        proptest::option::of(binary()),
        properties(version, PropertyPlace::Connect),
    )
        .prop_map(
            move |(
                (clean_start, keep_alive_s, client_id),
                will,
                user_name,
                password,
                properties,
            )| {
                Packet::Connect(Connect {
                    version,
                    clean_start,
                    keep_alive_s,
                    client_id,
                    will,
                    user_name,
                    // [3:MQTT-3.1.2-22]
                    password: password.filter(|_| version.is_v5() || user_name.is_some()),
                    properties,
                })
            },
        )
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    let properties = properties(version, PropertyPlace::Will);
    (topic_name(), binary(), qos(), any::<bool>(), properties).prop_map(
        |(topic, payload, qos, retain, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let code = reason_code(version, PacketType::ConnAck);
    (
        any::<bool>(),
        code,
        properties(version, PropertyPlace::ConnAck),
    )
        .prop_map(move |(session_present, reason_code, properties)| {
            Packet::ConnAck(ConnAck {
                session_present: session_present
                    && reason_code == ReasonCode::Success
                    && version != Version::V3,
                reason_code,
                properties,
            })
        })
}

pub(crate) fn publish(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let payload = prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        // Around the borders where the Remaining Length takes a byte more.
        2 => vec(any::<u8>(), 100..140),
        1 => vec(any::<u8>(), 16_360..16_400),
    ];
    (
        (any::<bool>(), any::<bool>(), qos(), packet_id()),
        topic_name(),
        any::<bool>(),
        properties(version, PropertyPlace::Publish),
        payload,
    )
        .prop_map(
            |((dup, retain, qos, packet_id), topic, use_alias, properties, payload)| {
                let aliased = properties
                    .iter()
                    .any(|property| matches!(property, Property::TopicAlias(_)));
                Packet::Publish(Publish {
                    dup: dup && qos != QoS::AtMostOnce,
                    qos,
                    retain,
                    topic: if aliased && use_alias { "" } else { topic },
                    packet_id: (qos != QoS::AtMostOnce).then_some(packet_id),
                    properties,
                    payload: payload.leak(),
                })
            },
        )
}

fn ack(version: Version, packet_type: PacketType) -> impl Strategy<Value = Ack<'static>> {
    let place = match packet_type {
        PacketType::PubAck => PropertyPlace::PubAck,
        PacketType::PubRec => PropertyPlace::PubRec,
        PacketType::PubRel => PropertyPlace::PubRel,
        _ => PropertyPlace::PubComp,
    };
    let code = reason_code(version, packet_type);
    (packet_id(), code, properties(version, place)).prop_map(
        |(packet_id, reason_code, properties)| Ack {
            packet_id,
            reason_code,
            properties,
        },
    )
}

pub(crate) fn subscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let options = (qos(), any::<bool>(), any::<bool>(), 0..3_u8).prop_map(
        move |(qos, no_local, retain_as_published, handling)| {
            if !version.is_v5() {
                return SubscriptionOptions {
                    qos,
                    ..SubscriptionOptions::default()
                };
            }
            SubscriptionOptions {
                qos,
                no_local,
                retain_as_published,
                retain_handling: match handling {
                    0 => RetainHandling::Send,
                    1 => RetainHandling::SendIfNew,
                    _ => RetainHandling::DontSend,
                },
            }
        },
    );
    let subscription = (filter(), options).prop_map(|(filter, mut options)| {
        // [MQTT-3.8.3-4]
        options.no_local &= !filter.starts_with("$share/");
        Subscription { filter, options }
    });
    let properties = properties(version, PropertyPlace::Subscribe);
    (packet_id(), properties, vec(subscription, 1..5)).prop_map(|(packet_id, properties, list)| {
        Packet::Subscribe(Subscribe::new(packet_id, properties, list.leak()))
    })
}

fn suback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let code = if version.is_v5() {
        reason_code(version, PacketType::SubAck)
            .prop_map(ReasonCode::value)
            .boxed()
    } else {
        select(&[0, 1, 2, 0x80]).boxed()
    };
    let properties = properties(version, PropertyPlace::SubAck);
    (packet_id(), properties, vec(code, 1..5)).prop_map(|(packet_id, properties, codes)| {
        Packet::SubAck(SubAck {
            packet_id,
            properties,
            reason_codes: codes.leak(),
        })
    })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let properties = properties(version, PropertyPlace::Unsubscribe);
    (packet_id(), properties, vec(filter(), 1..5)).prop_map(|(packet_id, properties, list)| {
        Packet::Unsubscribe(Unsubscribe::new(packet_id, properties, list.leak()))
    })
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let code = reason_code(version, PacketType::UnsubAck).prop_map(ReasonCode::value);
    let properties = properties(version, PropertyPlace::UnsubAck);
    (packet_id(), properties, vec(code, 1..5)).prop_map(move |(packet_id, properties, codes)| {
        Packet::UnsubAck(UnsubAck {
            packet_id,
            properties,
            reason_codes: if version.is_v5() { codes.leak() } else { &[] },
        })
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let code = reason_code(version, PacketType::Disconnect);
    (code, properties(version, PropertyPlace::Disconnect)).prop_map(|(reason_code, properties)| {
        Packet::Disconnect(Disconnect {
            reason_code,
            properties,
        })
    })
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    let code = reason_code(Version::V5, PacketType::Auth);
    (code, properties(Version::V5, PropertyPlace::Auth)).prop_map(|(reason_code, properties)| {
        let bare = reason_code == ReasonCode::Success && properties.is_empty();
        let named = properties
            .iter()
            .any(|property| matches!(property, Property::AuthenticationMethod(_)));
        let properties = if bare || named {
            properties
        } else {
            let method = [Property::AuthenticationMethod("m")];
            Properties::from_list(
                method
                    .into_iter()
                    .chain(properties.iter())
                    .collect::<Vec<_>>()
                    .leak(),
            )
        };
        Packet::Auth(Auth {
            reason_code,
            properties,
        })
    })
}

/// Properties that may stand at `place`, in any order; none before MQTT 5.
fn properties(version: Version, place: PropertyPlace) -> BoxedStrategy<Properties<'static>> {
    if !version.is_v5() {
        return Just(Properties::EMPTY).boxed();
    }
    let some = vec(property(), 0..30).prop_map(move |candidates| {
        let mut list: Vec<Property<'static>> = Vec::new();
        for candidate in candidates {
            let identifier = candidate.identifier();
            let may_repeat =
                identifier == 38 || (identifier == 11 && place == PropertyPlace::Publish);
            let stands = list
                .iter()
                .any(|property| property.identifier() == identifier);
            if may_stand(identifier, place) && (may_repeat || !stands) {
                list.push(candidate);
            }
        }
        if !list
            .iter()
            .any(|property| matches!(property, Property::AuthenticationMethod(_)))
        {
            list.retain(|property| !matches!(property, Property::AuthenticationData(_)));
        }
        Properties::from_list(list.leak())
    });
    prop_oneof![1 => Just(Properties::EMPTY), 3 => some].boxed()
}

/// Table 2-4 of MQTT 5, by place.
fn may_stand(identifier: u8, place: PropertyPlace) -> bool {
    use PropertyPlace as At;
    let listed: &[u8] = match place {
        At::Connect => &[17, 21, 22, 23, 25, 33, 34, 38, 39],
        At::Will => &[1, 2, 3, 8, 9, 24, 38],
        At::ConnAck => &[
            17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42,
        ],
        At::Publish => &[1, 2, 3, 8, 9, 11, 35, 38],
        At::PubAck | At::PubRec | At::PubRel | At::PubComp | At::SubAck | At::UnsubAck => &[31, 38],
        At::Subscribe => &[11, 38],
        At::Unsubscribe => &[38],
        At::Disconnect => &[17, 28, 31, 38],
        At::Auth => &[21, 22, 31, 38],
    };
    listed.contains(&identifier)
}

fn property() -> impl Strategy<Value = Property<'static>> {
    use Property as P;
    let flags = (select(&[1, 23, 25, 36, 37, 40, 41, 42]), any::<bool>()).prop_map(
        |(identifier, value)| match identifier {
            1 => P::PayloadFormatIndicator(value),
            23 => P::RequestProblemInformation(value),
            25 => P::RequestResponseInformation(value),
            36 => P::MaximumQos(value),
            37 => P::RetainAvailable(value),
            40 => P::WildcardSubscriptionAvailable(value),
            41 => P::SubscriptionIdentifierAvailable(value),
            _ => P::SharedSubscriptionAvailable(value),
        },
    );
    let texts =
        (select(&[3, 18, 21, 26, 28, 31]), text()).prop_map(
            |(identifier, text)| match identifier {
                3 => P::ContentType(text),
                18 => P::AssignedClientIdentifier(text),
                21 => P::AuthenticationMethod(text),
                26 => P::ResponseInformation(text),
                28 => P::ServerReference(text),
                _ => P::ReasonString(text),
            },
        );
    let numbers = prop_oneof![
        any::<u32>().prop_map(P::MessageExpiryInterval),
        any::<u32>().prop_map(P::SessionExpiryInterval),
        any::<u32>().prop_map(P::WillDelayInterval),
        (1..=u32::MAX).prop_map(P::MaximumPacketSize),
        any::<u16>().prop_map(P::ServerKeepAlive),
        (1..=u16::MAX).prop_map(P::ReceiveMaximum),
        any::<u16>().prop_map(P::TopicAliasMaximum),
        (1..=u16::MAX).prop_map(P::TopicAlias),
    ];
    prop_oneof![
        8 => flags,
        6 => texts,
        8 => numbers,
        2 => subscription_identifier().prop_map(P::SubscriptionIdentifier),
        1 => topic_name().prop_map(P::ResponseTopic),
        1 => binary().prop_map(P::CorrelationData),
        1 => binary().prop_map(P::AuthenticationData),
        2 => (text(), text()).prop_map(|(name, value)| P::UserProperty(name, value)),
    ]
}

fn subscription_identifier() -> impl Strategy<Value = u32> {
    prop_oneof![
        1..=268_435_455_u32,
        select(&[
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            268_435_455
        ]),
    ]
}

/// A code that the packet may carry and that its version can express.
fn reason_code(version: Version, packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let codes: Vec<ReasonCode> = if version.is_v5() {
        let all = ReasonCode::ALL.iter().copied();
        all.filter(|code| code.is_allowed_in(packet_type)).collect()
    } else if packet_type == PacketType::ConnAck {
        (0..=5)
            .filter_map(ReasonCode::from_v3_connect_return_code)
            .collect()
    } else {
        vec![ReasonCode::Success]
    };
    select(codes)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_filter_map("never 0", PacketId::new)
}

fn characters(forbidden: &'static [char], most: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![3 => proptest::char::range('\u{1}', '\u{7e}'), 1 => any::<char>()];
    vec(character, 0..most).prop_map(move |characters| {
        let allowed = |character: &char| *character != '\0' && !forbidden.contains(character);
        characters.into_iter().filter(allowed).collect()
    })
}

/// A UTF-8 Encoded String, sometimes empty, rarely the longest there is.
fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        200 => characters(&[], 12),
        1 => Just("x".repeat(65_535)),
    ]
    .prop_map(|text| &*text.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        200 => vec(any::<u8>(), 0..12),
        1 => Just(vec![0xFF; 65_535]),
    ]
    .prop_map(|bytes| &*bytes.leak())
}

fn topic_name() -> impl Strategy<Value = &'static str> {
    characters(&['+', '#'], 12).prop_map(|name| if name.is_empty() { "t" } else { &*name.leak() })
}

fn filter() -> impl Strategy<Value = &'static str> {
    let level = prop_oneof![
        3 => characters(&['+', '#', '/'], 6),
        1 => Just(String::from("+")),
    ];
    let share_name = proptest::option::weighted(0.2, characters(&['+', '#', '/'], 6));
    (share_name, vec(level, 1..5), any::<bool>()).prop_map(|(share_name, mut levels, all)| {
        if all {
            levels.push(String::from("#"));
        }
        let mut filter = levels.join("/");
        if filter.is_empty() {
            filter.push('f');
        }
        if let Some(name) = share_name {
            filter = format!("$share/n{name}/{filter}");
        }
        &*filter.leak()
    })
}
