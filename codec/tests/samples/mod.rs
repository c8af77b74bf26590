//! Packets beside their bytes, in the shortest form the standards allow; written by hand from
//! chapter 3 of both. Not here: what is wrong (`malformed.rs`), what is longer than needed (`wire.rs`).

use dunlin_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property as P, Publish,
    QoS, ReasonCode, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions,
    UnsubAck, Unsubscribe, Version, Will,
};

const V3: &[Version] = &[Version::V3];
const V4: &[Version] = &[Version::V4];
const V5: &[Version] = &[Version::V5];
const BEFORE_5: &[Version] = &[Version::V3, Version::V4];
const ALL: &[Version] = &[Version::V3, Version::V4, Version::V5];
const NONE: Properties<'static> = Properties::EMPTY;

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) versions: &'static [Version],
    pub(crate) packet: Packet<'static>,
    pub(crate) bytes: &'static [u8],
}

const fn id(value: u16) -> PacketId {
    match PacketId::new(value) {
        Some(id) => id,
        None => panic!("a packet identifier is never 0"),
    }
}

const fn sample(
    name: &'static str,
    versions: &'static [Version],
    packet: Packet<'static>,
    bytes: &'static [u8],
) -> Sample {
    Sample {
        name,
        versions,
        packet,
        bytes,
    }
}

const fn with(list: &'static [P<'static>]) -> Properties<'static> {
    Properties::from_list(list)
}

const fn ack(reason_code: ReasonCode, properties: Properties<'static>) -> Ack<'static> {
    Ack {
        packet_id: id(0x0102),
        reason_code,
        properties,
    }
}

const PLAIN_CONNECT: Connect<'static> = Connect {
    version: Version::V4,
    clean_start: false,
    keep_alive_s: 60,
    client_id: "c",
    will: None,
    user_name: None,
    password: None,
    properties: NONE,
};

const PLAIN_PUBLISH: Publish<'static> = Publish {
    dup: false,
    qos: QoS::AtMostOnce,
    retain: false,
    topic: "t",
    packet_id: None,
    properties: NONE,
    payload: b"",
};

const fn plain(filter: &'static str, qos: QoS) -> Subscription<'static> {
    let options = SubscriptionOptions {
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    Subscription { filter, options }
}

const ALL_OPTIONS: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::ExactlyOnce,
    no_local: true,
    retain_as_published: true,
    retain_handling: RetainHandling::DontSend,
};

pub(crate) const SAMPLES: &[Sample] = &[
    sample(
        "CONNECT of MQTT 3.1",
        V3,
        Packet::Connect(Connect {
            version: Version::V3,
            ..PLAIN_CONNECT
        }),
        b"\x10\x0F\0\x06MQIsdp\x03\0\0\x3C\0\x01c",
    ),
    sample(
        "plain CONNECT",
        V4,
        Packet::Connect(PLAIN_CONNECT),
        b"\x10\x0D\0\x04MQTT\x04\0\0\x3C\0\x01c",
    ),
    sample(
        "CONNECT with everything",
        V4,
        Packet::Connect(Connect {
            clean_start: true,
            keep_alive_s: 10,
            client_id: "id",
            will: Some(Will {
                topic: "w/t",
                payload: b"\0\xFF",
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: NONE,
            }),
            user_name: Some("u"),
            password: Some(b"p\xFF"),
            ..PLAIN_CONNECT
        }),
        b"\x10\x1E\0\x04MQTT\x04\xEE\0\x0A\0\x02id\0\x03w/t\0\x02\0\xFF\0\x01u\0\x02p\xFF",
    ),
    sample(
        "CONNECT with a password alone",
        V5,
        Packet::Connect(Connect {
            version: Version::V5,
            client_id: "",
            keep_alive_s: 0,
            password: Some(b"p"),
            ..PLAIN_CONNECT
        }),
        b"\x10\x10\0\x04MQTT\x05\x40\0\0\0\0\0\0\x01p",
    ),
    sample(
        "CONNECT with every property",
        V5,
        Packet::Connect(Connect {
            version: Version::V5,
            properties: with(&[
                P::SessionExpiryInterval(0xFFFF_FFFF),
                P::ReceiveMaximum(1),
                P::MaximumPacketSize(256),
                P::TopicAliasMaximum(2),
                P::RequestResponseInformation(true),
                P::RequestProblemInformation(false),
                P::UserProperty("k", "v"),
                P::UserProperty("k", ""),
                P::AuthenticationMethod("m"),
                P::AuthenticationData(b"\0"),
            ]),
            will: Some(Will {
                topic: "w",
                payload: b"",
                qos: QoS::ExactlyOnce,
                retain: false,
                properties: with(&[
                    P::WillDelayInterval(1),
                    P::PayloadFormatIndicator(true),
                    P::MessageExpiryInterval(2),
                    P::ContentType("x"),
                    P::ResponseTopic("r"),
                    P::CorrelationData(b"\xFE"),
                    P::UserProperty("", ""),
                ]),
            }),
            ..PLAIN_CONNECT
        }),
        b"\x10\x5A\0\x04MQTT\x05\x14\0\x3C\
          \x29\x11\xFF\xFF\xFF\xFF\x21\0\x01\x27\0\0\x01\0\x22\0\x02\x19\x01\x17\0\
          \x26\0\x01k\0\x01v\x26\0\x01k\0\0\x15\0\x01m\x16\0\x01\0\
          \0\x01c\
          \x1D\x18\0\0\0\x01\x01\x01\x02\0\0\0\x02\x03\0\x01x\x08\0\x01r\x09\0\x01\xFE\x26\0\0\0\0\
          \0\x01w\0\0",
    ),
    sample(
        "CONNACK of MQTT 3.1",
        V3,
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason_code: ReasonCode::ServerUnavailable,
            properties: NONE,
        }),
        b"\x20\x02\0\x03",
    ),
    sample(
        "CONNACK",
        V4,
        Packet::ConnAck(ConnAck {
            session_present: true,
            reason_code: ReasonCode::Success,
            properties: NONE,
        }),
        b"\x20\x02\x01\0",
    ),
    sample(
        "CONNACK that refuses",
        V5,
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason_code: ReasonCode::NotAuthorized,
            properties: NONE,
        }),
        b"\x20\x03\0\x87\0",
    ),
    sample(
        "CONNACK with every property",
        V5,
        Packet::ConnAck(ConnAck {
            session_present: true,
            reason_code: ReasonCode::Success,
            properties: with(&[
                P::SessionExpiryInterval(0),
                P::ReceiveMaximum(0xFFFF),
                P::MaximumQos(true),
                P::RetainAvailable(false),
                P::MaximumPacketSize(1),
                P::AssignedClientIdentifier("a"),
                P::TopicAliasMaximum(0),
                P::ReasonString("s"),
                P::UserProperty("k", "v"),
                P::WildcardSubscriptionAvailable(true),
                P::SubscriptionIdentifierAvailable(true),
                P::SharedSubscriptionAvailable(false),
                P::ServerKeepAlive(9),
                P::ResponseInformation("i"),
                P::ServerReference("h"),
                P::AuthenticationMethod("m"),
                P::AuthenticationData(b""),
            ]),
        }),
        b"\x20\x3E\x01\0\
          \x3B\x11\0\0\0\0\x21\xFF\xFF\x24\x01\x25\0\x27\0\0\0\x01\x12\0\x01a\x22\0\0\x1F\0\x01s\
          \x26\0\x01k\0\x01v\x28\x01\x29\x01\x2A\0\x13\0\x09\x1A\0\x01i\x1C\0\x01h\x15\0\x01m\x16\0\0",
    ),
    sample(
        "empty PUBLISH",
        BEFORE_5,
        Packet::Publish(PLAIN_PUBLISH),
        b"\x30\x03\0\x01t",
    ),
    sample(
        "PUBLISH of QoS 2 with DUP and RETAIN",
        BEFORE_5,
        Packet::Publish(Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: "a/\u{e9}",
            packet_id: Some(id(0xFFFF)),
            payload: b"\x01\0",
            ..PLAIN_PUBLISH
        }),
        b"\x3D\x0A\0\x04a/\xC3\xA9\xFF\xFF\x01\0",
    ),
    sample(
        "PUBLISH of QoS 1",
        V5,
        Packet::Publish(Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(id(1)),
            payload: b"x",
            ..PLAIN_PUBLISH
        }),
        b"\x32\x07\0\x01t\0\x01\0x",
    ),
    sample(
        "PUBLISH with every property",
        V5,
        Packet::Publish(Publish {
            topic: "",
            payload: b"xy",
            properties: with(&[
                P::PayloadFormatIndicator(false),
                P::MessageExpiryInterval(3),
                P::TopicAlias(0xFFFF),
                P::ResponseTopic("r/s"),
                P::CorrelationData(b"\0\x01"),
                P::UserProperty("b", "2"),
                P::UserProperty("a", "1"),
                P::SubscriptionIdentifier(1),
                P::SubscriptionIdentifier(268_435_455),
                P::ContentType(""),
            ]),
            ..PLAIN_PUBLISH
        }),
        b"\x30\x32\0\0\x2D\x01\0\x02\0\0\0\x03\x23\xFF\xFF\x08\0\x03r/s\x09\0\x02\0\x01\
          \x26\0\x01b\0\x012\x26\0\x01a\0\x011\x0B\x01\x0B\xFF\xFF\xFF\x7F\x03\0\0xy",
    ),
    sample(
        "PUBACK",
        ALL,
        Packet::PubAck(ack(ReasonCode::Success, NONE)),
        b"\x40\x02\x01\x02",
    ),
    sample(
        "PUBACK with a reason code",
        V5,
        Packet::PubAck(ack(ReasonCode::NoMatchingSubscribers, NONE)),
        b"\x40\x03\x01\x02\x10",
    ),
    sample(
        "PUBREC",
        ALL,
        Packet::PubRec(ack(ReasonCode::Success, NONE)),
        b"\x50\x02\x01\x02",
    ),
    sample(
        "PUBREC with properties",
        V5,
        Packet::PubRec(ack(ReasonCode::QuotaExceeded, with(&[P::ReasonString("full")]))),
        b"\x50\x0B\x01\x02\x97\x07\x1F\0\x04full",
    ),
    sample(
        "PUBREL",
        ALL,
        Packet::PubRel(ack(ReasonCode::Success, NONE)),
        b"\x62\x02\x01\x02",
    ),
    sample(
        "PUBREL with properties",
        V5,
        Packet::PubRel(ack(ReasonCode::Success, with(&[P::UserProperty("k", "v")]))),
        b"\x62\x0B\x01\x02\0\x07\x26\0\x01k\0\x01v",
    ),
    sample(
        "PUBCOMP",
        ALL,
        Packet::PubComp(ack(ReasonCode::Success, NONE)),
        b"\x70\x02\x01\x02",
    ),
    sample(
        "PUBCOMP with a reason code",
        V5,
        Packet::PubComp(ack(ReasonCode::PacketIdentifierNotFound, NONE)),
        b"\x70\x03\x01\x02\x92",
    ),
    sample(
        "SUBSCRIBE",
        BEFORE_5,
        Packet::Subscribe(Subscribe::new(
            id(10),
            NONE,
            &[plain("a/+", QoS::AtMostOnce), plain("#", QoS::ExactlyOnce)],
        )),
        b"\x82\x0C\0\x0A\0\x03a/+\0\0\x01#\x02",
    ),
    sample(
        "SUBSCRIBE with everything",
        V5,
        Packet::Subscribe(Subscribe::new(
            id(10),
            with(&[P::SubscriptionIdentifier(128), P::UserProperty("", "v")]),
            &[
                Subscription {
                    filter: "/",
                    options: ALL_OPTIONS,
                },
                plain("$share/g/+/x", QoS::AtLeastOnce),
            ],
        )),
        b"\x82\x1F\0\x0A\x09\x0B\x80\x01\x26\0\0\0\x01v\0\x01/\x2E\0\x0C$share/g/+/x\x01",
    ),
    sample(
        "SUBACK",
        BEFORE_5,
        Packet::SubAck(SubAck {
            packet_id: id(10),
            properties: NONE,
            reason_codes: b"\0\x01\x02\x80",
        }),
        b"\x90\x06\0\x0A\0\x01\x02\x80",
    ),
    sample(
        "SUBACK with everything",
        V5,
        Packet::SubAck(SubAck {
            packet_id: id(10),
            properties: with(&[P::ReasonString(""), P::UserProperty("k", "v")]),
            reason_codes: b"\x02\xA2",
        }),
        b"\x90\x0F\0\x0A\x0A\x1F\0\0\x26\0\x01k\0\x01v\x02\xA2",
    ),
    sample(
        "UNSUBSCRIBE",
        BEFORE_5,
        Packet::Unsubscribe(Unsubscribe::new(id(11), NONE, &["a", "$share/g/b"])),
        b"\xA2\x11\0\x0B\0\x01a\0\x0A$share/g/b",
    ),
    sample(
        "UNSUBSCRIBE with everything",
        V5,
        Packet::Unsubscribe(Unsubscribe::new(
            id(11),
            with(&[P::UserProperty("k", "v")]),
            &["a/#"],
        )),
        b"\xA2\x0F\0\x0B\x07\x26\0\x01k\0\x01v\0\x03a/#",
    ),
    sample(
        "UNSUBACK",
        BEFORE_5,
        Packet::UnsubAck(UnsubAck {
            packet_id: id(11),
            properties: NONE,
            reason_codes: b"",
        }),
        b"\xB0\x02\0\x0B",
    ),
    sample(
        "UNSUBACK with everything",
        V5,
        Packet::UnsubAck(UnsubAck {
            packet_id: id(11),
            properties: with(&[P::ReasonString("s")]),
            reason_codes: b"\0\x11",
        }),
        b"\xB0\x09\0\x0B\x04\x1F\0\x01s\0\x11",
    ),
    sample("PINGREQ", ALL, Packet::PingReq, b"\xC0\0"),
    sample("PINGRESP", ALL, Packet::PingResp, b"\xD0\0"),
    sample(
        "DISCONNECT",
        ALL,
        Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::Success,
            properties: NONE,
        }),
        b"\xE0\0",
    ),
    sample(
        "DISCONNECT with a reason code",
        V5,
        Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::DisconnectWithWill,
            properties: NONE,
        }),
        b"\xE0\x01\x04",
    ),
    sample(
        "DISCONNECT with every property",
        V5,
        Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::ServerMoved,
            properties: with(&[
                P::SessionExpiryInterval(1),
                P::ReasonString("s"),
                P::UserProperty("k", "v"),
                P::ServerReference("h:1"),
            ]),
        }),
        b"\xE0\x18\x9D\x16\x11\0\0\0\x01\x1F\0\x01s\x26\0\x01k\0\x01v\x1C\0\x03h:1",
    ),
    sample(
        "AUTH that has nothing to say",
        V5,
        Packet::Auth(Auth {
            reason_code: ReasonCode::Success,
            properties: NONE,
        }),
        b"\xF0\0",
    ),
    sample(
        "AUTH with every property",
        V5,
        Packet::Auth(Auth {
            reason_code: ReasonCode::ContinueAuthentication,
            properties: with(&[
                P::AuthenticationMethod("m"),
                P::AuthenticationData(b"\0\xFF"),
                P::ReasonString("s"),
                P::UserProperty("k", "v"),
            ]),
        }),
        b"\xF0\x16\x18\x14\x15\0\x01m\x16\0\x02\0\xFF\x1F\0\x01s\x26\0\x01k\0\x01v",
    ),
];

/// Every sample in every version it has.
pub(crate) fn each(mut check: impl FnMut(&Sample, Version)) {
    for sample in SAMPLES {
        for &version in sample.versions {
            check(sample, version);
        }
    }
}
