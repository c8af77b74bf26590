//! Packets in a few words, for tests to compare.

use dunlin_codec::{Ack, Packet, PacketId, Properties, Property, ReasonCode};

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// Everything of a packet that tests look at; codes of success and Reason Strings are left out.
pub(crate) fn words(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(connack) if connack.reason_code != ReasonCode::Success => {
            format!("CONNACK{}", code(connack.reason_code))
        }
        Packet::ConnAck(connack) => {
            let kind = if connack.session_present {
                "present"
            } else {
                "new"
            };
            format!("CONNACK {kind}")
        }
        Packet::SubAck(suback) => format!("SUBACK{}", codes(suback.reason_codes)),
        Packet::UnsubAck(unsuback) => format!("UNSUBACK{}", codes(unsuback.reason_codes)),
        Packet::Publish(publish) => format!(
            "PUBLISH {}={} q{} {}{}{}{}",
            publish.topic,
            String::from_utf8_lossy(publish.payload),
            publish.qos.bits(),
            publish
                .packet_id
                .map_or_else(|| "-".into(), |id| id.to_string()),
            if publish.dup { " dup" } else { "" },
            if publish.retain { " retain" } else { "" },
            properties(publish.properties),
        ),
        Packet::PubAck(ack) => acknowledgement("PUBACK", ack),
        Packet::PubRec(ack) => acknowledgement("PUBREC", ack),
        Packet::PubRel(ack) => acknowledgement("PUBREL", ack),
        Packet::PubComp(ack) => acknowledgement("PUBCOMP", ack),
        Packet::PingResp => "PINGRESP".into(),
        Packet::Disconnect(disconnect) => format!("DISCONNECT{}", code(disconnect.reason_code)),
        other => panic!("a server doesn't send {other:?}"),
    }
}

fn acknowledgement(name: &str, ack: &Ack<'_>) -> String {
    format!("{name} {}{}", ack.packet_id, code(ack.reason_code))
}

fn code(code: ReasonCode) -> String {
    match code {
        ReasonCode::Success => String::new(),
        other => format!(" 0x{:02x}", other.value()),
    }
}

fn codes(codes: &[u8]) -> String {
    codes.iter().map(|code| format!(" 0x{code:02x}")).collect()
}

pub(crate) fn properties(properties: Properties<'_>) -> String {
    properties
        .iter()
        .filter(|property| !matches!(property, Property::ReasonString(_)))
        .map(|property| format!(" {property:?}"))
        .collect()
}

/// The Packet Identifier of a PUBLISH in words.
pub(crate) fn packet_id(words: &str) -> PacketId {
    let number = words.split(' ').nth(3).and_then(|text| text.parse().ok());
    id(number.unwrap_or_else(|| panic!("no identifier in {words:?}")))
}
