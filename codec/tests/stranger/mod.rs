//! Our packets as values of mqttbytes, and its encoders behind one door per version.

use bytes::{Bytes, BytesMut};
use dunlin_codec::{Packet, Properties, Property, QoS, ReasonCode, RetainHandling};
use mqttbytes::{Protocol, v4, v5};

fn qos(qos: QoS) -> mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
    }
}

fn text(password: Option<&[u8]>) -> String {
    String::from_utf8(password.unwrap_or_default().to_vec()).unwrap()
}

/// A packet of MQTT 3.1.1.
pub(crate) fn v4(packet: &Packet<'_>) -> v4::Packet {
    match packet {
        Packet::Connect(connect) => v4::Packet::Connect(v4::Connect {
            protocol: Protocol::V4,
            keep_alive: connect.keep_alive_s,
            client_id: connect.client_id.to_owned(),
            clean_session: connect.clean_start,
            last_will: connect.will.map(|will| {
                v4::LastWill::new(will.topic, will.payload, qos(will.qos), will.retain)
            }),
            login: connect
                .user_name
                .map(|name| v4::Login::new(name.to_owned(), text(connect.password))),
        }),
        Packet::ConnAck(connack) => v4::Packet::ConnAck(v4::ConnAck::new(
            match connack.reason_code {
                ReasonCode::Success => v4::ConnectReturnCode::Success,
                ReasonCode::UnsupportedProtocolVersion => {
                    v4::ConnectReturnCode::RefusedProtocolVersion
                }
                ReasonCode::ClientIdentifierNotValid => v4::ConnectReturnCode::BadClientId,
                ReasonCode::ServerUnavailable => v4::ConnectReturnCode::ServiceUnavailable,
                ReasonCode::BadUserNameOrPassword => v4::ConnectReturnCode::BadUserNamePassword,
                ReasonCode::NotAuthorized => v4::ConnectReturnCode::NotAuthorized,
                other => panic!("{other} isn't one of MQTT 3.1.1"),
            },
            connack.session_present,
        )),
        Packet::Publish(publish) => v4::Packet::Publish(v4::Publish {
            dup: publish.dup,
            qos: qos(publish.qos),
            retain: publish.retain,
            topic: publish.topic.to_owned(),
            pkid: publish.packet_id.map_or(0, |id| id.get()),
            payload: Bytes::copy_from_slice(publish.payload),
        }),
        Packet::PubAck(ack) => v4::Packet::PubAck(v4::PubAck::new(ack.packet_id.get())),
        Packet::PubRec(ack) => v4::Packet::PubRec(v4::PubRec::new(ack.packet_id.get())),
        Packet::PubRel(ack) => v4::Packet::PubRel(v4::PubRel::new(ack.packet_id.get())),
        Packet::PubComp(ack) => v4::Packet::PubComp(v4::PubComp::new(ack.packet_id.get())),
        Packet::Subscribe(subscribe) => {
            let mut theirs =
                v4::Subscribe::new_many(subscribe.subscriptions().map(|one| {
                    v4::SubscribeFilter::new(one.filter.to_owned(), qos(one.options.qos))
                }));
            theirs.pkid = subscribe.packet_id.get();
            v4::Packet::Subscribe(theirs)
        }
        Packet::SubAck(suback) => {
            let codes = suback
                .reason_codes
                .iter()
                .map(|&code| code.try_into().unwrap());
            v4::Packet::SubAck(v4::SubAck::new(suback.packet_id.get(), codes.collect()))
        }
        Packet::Unsubscribe(unsubscribe) => v4::Packet::Unsubscribe(v4::Unsubscribe {
            pkid: unsubscribe.packet_id.get(),
            topics: unsubscribe.filters().map(str::to_owned).collect(),
        }),
        Packet::UnsubAck(unsuback) => {
            v4::Packet::UnsubAck(v4::UnsubAck::new(unsuback.packet_id.get()))
        }
        Packet::PingReq => v4::Packet::PingReq,
        Packet::PingResp => v4::Packet::PingResp,
        Packet::Disconnect(_) => v4::Packet::Disconnect,
        Packet::Auth(_) => panic!("AUTH isn't of MQTT 3.1.1"),
    }
}

pub(crate) fn write_v4(packet: &v4::Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    let buffer = &mut bytes;
    match packet {
        v4::Packet::Connect(packet) => packet.write(buffer),
        v4::Packet::ConnAck(packet) => packet.write(buffer),
        v4::Packet::Publish(packet) => packet.write(buffer),
        v4::Packet::PubAck(packet) => packet.write(buffer),
        v4::Packet::PubRec(packet) => packet.write(buffer),
        v4::Packet::PubRel(packet) => packet.write(buffer),
        v4::Packet::PubComp(packet) => packet.write(buffer),
        v4::Packet::Subscribe(packet) => packet.write(buffer),
        v4::Packet::SubAck(packet) => packet.write(buffer),
        v4::Packet::Unsubscribe(packet) => packet.write(buffer),
        v4::Packet::UnsubAck(packet) => packet.write(buffer),
        v4::Packet::PingReq => v4::PingReq.write(buffer),
        v4::Packet::PingResp => v4::PingResp.write(buffer),
        v4::Packet::Disconnect => v4::Disconnect.write(buffer),
    }
    .unwrap();
    bytes
}

/// The value of the one property that `pick` takes.
fn one<'a, T>(properties: Properties<'a>, pick: impl Fn(Property<'a>) -> Option<T>) -> Option<T> {
    properties.iter().find_map(pick)
}

macro_rules! value {
    ($properties:expr, $name:ident) => {
        one($properties, |property| match property {
            Property::$name(value) => Some(value.into()),
            _ => None,
        })
    };
}

fn user_properties(properties: Properties<'_>) -> Vec<(String, String)> {
    properties
        .iter()
        .filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name.to_owned(), value.to_owned())),
            _ => None,
        })
        .collect()
}

fn bytes_of(bytes: Option<&[u8]>) -> Option<Bytes> {
    bytes.map(Bytes::copy_from_slice)
}

/// A CONNECT, PUBLISH or SUBSCRIBE of MQTT 5 without Subscription Identifiers.
pub(crate) fn v5(packet: &Packet<'_>) -> v5::Packet {
    match packet {
        Packet::Connect(connect) => {
            let login = v5::Login {
                username: connect.user_name.unwrap_or_default().to_owned(),
                password: text(connect.password),
            };
            let named = connect.user_name.is_some() || connect.password.is_some();
            v5::Packet::Connect(v5::Connect {
                protocol: Protocol::V5,
                keep_alive: connect.keep_alive_s,
                client_id: connect.client_id.to_owned(),
                clean_session: connect.clean_start,
                last_will: connect.will.map(|will| v5::LastWill {
                    topic: will.topic.to_owned(),
                    message: Bytes::copy_from_slice(will.payload),
                    qos: qos(will.qos),
                    retain: will.retain,
                    properties: will_properties(will.properties),
                }),
                login: named.then_some(login),
                properties: connect_properties(connect.properties),
            })
        }
        Packet::Publish(publish) => v5::Packet::Publish(v5::Publish {
            dup: publish.dup,
            qos: qos(publish.qos),
            retain: publish.retain,
            topic: publish.topic.to_owned(),
            pkid: publish.packet_id.map_or(0, |id| id.get()),
            properties: publish_properties(publish.properties),
            payload: Bytes::copy_from_slice(publish.payload),
        }),
        Packet::Subscribe(subscribe) => v5::Packet::Subscribe(v5::Subscribe {
            pkid: subscribe.packet_id.get(),
            filters: subscribe
                .subscriptions()
                .map(|one| v5::SubscribeFilter {
                    path: one.filter.to_owned(),
                    qos: qos(one.options.qos),
                    nolocal: one.options.no_local,
                    preserve_retain: one.options.retain_as_published,
                    retain_forward_rule: match one.options.retain_handling {
                        RetainHandling::Send => v5::RetainForwardRule::OnEverySubscribe,
                        RetainHandling::SendIfNew => v5::RetainForwardRule::OnNewSubscribe,
                        RetainHandling::DontSend => v5::RetainForwardRule::Never,
                    },
                })
                .collect(),
            properties: (!subscribe.properties.is_empty()).then(|| v5::SubscribeProperties {
                id: None,
                user_properties: user_properties(subscribe.properties),
            }),
        }),
        other => panic!("{other:?} is outside of the intersection"),
    }
}

fn connect_properties(set: Properties<'_>) -> Option<v5::ConnectProperties> {
    (!set.is_empty()).then(|| v5::ConnectProperties {
        session_expiry_interval: value!(set, SessionExpiryInterval),
        receive_maximum: value!(set, ReceiveMaximum),
        max_packet_size: value!(set, MaximumPacketSize),
        topic_alias_max: value!(set, TopicAliasMaximum),
        request_response_info: value!(set, RequestResponseInformation),
        request_problem_info: value!(set, RequestProblemInformation),
        user_properties: user_properties(set),
        authentication_method: value!(set, AuthenticationMethod),
        authentication_data: bytes_of(value!(set, AuthenticationData)),
    })
}

fn will_properties(set: Properties<'_>) -> Option<v5::WillProperties> {
    (!set.is_empty()).then(|| v5::WillProperties {
        delay_interval: value!(set, WillDelayInterval),
        payload_format_indicator: value!(set, PayloadFormatIndicator),
        message_expiry_interval: value!(set, MessageExpiryInterval),
        content_type: value!(set, ContentType),
        response_topic: value!(set, ResponseTopic),
        correlation_data: bytes_of(value!(set, CorrelationData)),
        user_properties: user_properties(set),
    })
}

fn publish_properties(set: Properties<'_>) -> Option<v5::PublishProperties> {
    (!set.is_empty()).then(|| v5::PublishProperties {
        payload_format_indicator: value!(set, PayloadFormatIndicator),
        message_expiry_interval: value!(set, MessageExpiryInterval),
        topic_alias: value!(set, TopicAlias),
        response_topic: value!(set, ResponseTopic),
        correlation_data: bytes_of(value!(set, CorrelationData)),
        user_properties: user_properties(set),
        subscription_identifiers: Vec::new(),
        content_type: value!(set, ContentType),
    })
}

pub(crate) fn write_v5(packet: &v5::Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    match packet {
        v5::Packet::Connect(packet) => packet.write(&mut bytes),
        v5::Packet::Publish(packet) => packet.write(&mut bytes),
        v5::Packet::Subscribe(packet) => packet.write(&mut bytes),
        other => panic!("{other:?} is outside of the intersection"),
    }
    .unwrap();
    bytes
}
