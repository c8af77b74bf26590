//! Packets built byte by byte for the raw client, well-formed or deliberately not.
//!
//! Written from the standards alone and sharing nothing with `dunlin-codec`, so that the two can contradict each
//! other. Nothing is checked here: a caller may build any nonsense. Chapters 2 and 3 of both standards.

use super::Version;

/// Property identifiers of MQTT 5, table 2-4.
pub mod property {
    /// Payload Format Indicator, a byte.
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    /// Message Expiry Interval, four bytes, seconds.
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    /// Content Type, a string.
    pub const CONTENT_TYPE: u8 = 0x03;
    /// Response Topic, a string.
    pub const RESPONSE_TOPIC: u8 = 0x08;
    /// Correlation Data, binary.
    pub const CORRELATION_DATA: u8 = 0x09;
    /// Subscription Identifier, a variable byte integer.
    pub const SUBSCRIPTION_ID: u8 = 0x0B;
    /// Session Expiry Interval, four bytes, seconds.
    pub const SESSION_EXPIRY: u8 = 0x11;
    /// Assigned Client Identifier, a string.
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    /// Server Keep Alive, two bytes, seconds.
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    /// Authentication Method, a string.
    pub const AUTH_METHOD: u8 = 0x15;
    /// Authentication Data, binary.
    pub const AUTH_DATA: u8 = 0x16;
    /// Request Problem Information, a byte.
    pub const REQUEST_PROBLEM: u8 = 0x17;
    /// Will Delay Interval, four bytes, seconds.
    pub const WILL_DELAY: u8 = 0x18;
    /// Request Response Information, a byte.
    pub const REQUEST_RESPONSE: u8 = 0x19;
    /// Response Information, a string.
    pub const RESPONSE_INFO: u8 = 0x1A;
    /// Server Reference, a string.
    pub const SERVER_REFERENCE: u8 = 0x1C;
    /// Reason String, a string.
    pub const REASON_STRING: u8 = 0x1F;
    /// Receive Maximum, two bytes.
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    /// Topic Alias Maximum, two bytes.
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    /// Topic Alias, two bytes.
    pub const TOPIC_ALIAS: u8 = 0x23;
    /// Maximum QoS, a byte.
    pub const MAXIMUM_QOS: u8 = 0x24;
    /// Retain Available, a byte.
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    /// User Property, two strings.
    pub const USER_PROPERTY: u8 = 0x26;
    /// Maximum Packet Size, four bytes.
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    /// Wildcard Subscription Available, a byte.
    pub const WILDCARD_AVAILABLE: u8 = 0x28;
    /// Subscription Identifiers Available, a byte.
    pub const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
    /// Shared Subscription Available, a byte.
    pub const SHARED_AVAILABLE: u8 = 0x2A;

    /// A property whose value is one byte.
    #[must_use]
    pub fn byte(id: u8, value: u8) -> Vec<u8> {
        vec![id, value]
    }

    /// A property whose value is two bytes.
    #[must_use]
    pub fn two(id: u8, value: u16) -> Vec<u8> {
        [&[id][..], &value.to_be_bytes()].concat()
    }

    /// A property whose value is four bytes.
    #[must_use]
    pub fn four(id: u8, value: u32) -> Vec<u8> {
        [&[id][..], &value.to_be_bytes()].concat()
    }

    /// A property whose value is a variable byte integer.
    #[must_use]
    pub fn varint(id: u8, value: u32) -> Vec<u8> {
        [&[id][..], &super::varint(value)].concat()
    }

    /// A property whose value is a string or binary data, which need not be valid UTF-8.
    #[must_use]
    pub fn text(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
        [&[id][..], &super::text(value)].concat()
    }

    /// A User Property.
    #[must_use]
    pub fn user(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
        [
            &[USER_PROPERTY][..],
            &super::text(name),
            &super::text(value),
        ]
        .concat()
    }
}

/// A variable byte integer in its shortest form.
#[must_use]
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value % 128).unwrap_or(0);
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A length in two bytes, then the bytes; the length is what the bytes are, modulo 65,536.
#[must_use]
pub fn text(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u16::try_from(value.len() % 65_536).unwrap_or(0);
    [&length.to_be_bytes()[..], value].concat()
}

/// A whole packet: first byte, length of the body, body.
#[must_use]
pub fn packet(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&[first][..], &varint(length), body].concat()
}

/// Properties behind their length in MQTT 5, nothing in 3.1.1.
#[must_use]
pub fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V5 => {
            let length = u32::try_from(properties.len()).unwrap_or(u32::MAX);
            [&varint(length)[..], properties].concat()
        }
        Version::V311 => Vec::new(),
    }
}

/// PINGREQ.
pub const PINGREQ: &[u8] = &[0xC0, 0];
/// PINGRESP.
pub const PINGRESP: &[u8] = &[0xD0, 0];

/// A CONNECT under construction. By default: the version's own name and level, Clean Start, Keep Alive 0.
#[derive(Clone, Debug)]
pub struct Connect {
    version: Version,
    name: Vec<u8>,
    level: u8,
    clean: bool,
    flags: Option<u8>,
    keep_alive_s: u16,
    properties: Vec<u8>,
    client_id: Vec<u8>,
    will: Option<WillFields>,
    user_name: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct WillFields {
    topic: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    properties: Vec<u8>,
}

impl Connect {
    /// The CONNECT of a client with this identifier.
    pub fn new(version: Version, client_id: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            name: b"MQTT".to_vec(),
            level: version.level(),
            clean: true,
            flags: None,
            keep_alive_s: 0,
            properties: Vec::new(),
            client_id: client_id.as_ref().to_vec(),
            will: None,
            user_name: None,
            password: None,
        }
    }

    /// Another protocol name and level.
    #[must_use]
    pub fn protocol(mut self, name: impl AsRef<[u8]>, level: u8) -> Self {
        self.name = name.as_ref().to_vec();
        self.level = level;
        self
    }

    /// Clean Start or Clean Session.
    #[must_use]
    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// A session that outlives its connection: Clean Session 0 in 3.1.1, an expiry of ten minutes in MQTT 5.
    #[must_use]
    pub fn persistent(self) -> Self {
        let connect = self.clean(false);
        match connect.version {
            Version::V5 => connect.property(property::four(property::SESSION_EXPIRY, 600)),
            Version::V311 => connect,
        }
    }

    /// These connect flags, whatever the fields would ask for.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = Some(flags);
        self
    }

    /// Keep Alive in seconds.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive_s = seconds;
        self
    }

    /// One more property; left out in 3.1.1.
    #[must_use]
    pub fn property(mut self, property: impl AsRef<[u8]>) -> Self {
        self.properties.extend_from_slice(property.as_ref());
        self
    }

    /// A Will.
    #[must_use]
    pub fn will(
        mut self,
        topic: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
        qos: u8,
        retain: bool,
    ) -> Self {
        let (topic, payload) = (topic.as_ref().to_vec(), payload.as_ref().to_vec());
        self.will = Some(WillFields {
            topic,
            payload,
            qos,
            retain,
            properties: Vec::new(),
        });
        self
    }

    /// One more property of the Will, which was set before; left out in 3.1.1.
    #[must_use]
    pub fn will_property(mut self, property: impl AsRef<[u8]>) -> Self {
        if let Some(will) = &mut self.will {
            will.properties.extend_from_slice(property.as_ref());
        }
        self
    }

    /// A User Name.
    #[must_use]
    pub fn user_name(mut self, user_name: impl AsRef<[u8]>) -> Self {
        self.user_name = Some(user_name.as_ref().to_vec());
        self
    }

    /// A Password.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.password = Some(password.as_ref().to_vec());
        self
    }

    /// The version the packet is written in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        packet(0x10, self.body())
    }

    /// What follows the fixed header.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = text(&self.name);
        body.push(self.level);
        body.push(self.flags.unwrap_or_else(|| self.own_flags()));
        body.extend(self.keep_alive_s.to_be_bytes());
        body.extend(properties(self.version, &self.properties));
        body.extend(text(&self.client_id));
        if let Some(will) = &self.will {
            body.extend(properties(self.version, &will.properties));
            body.extend(text(&will.topic));
            body.extend(text(&will.payload));
        }
        for field in [&self.user_name, &self.password].into_iter().flatten() {
            body.extend(text(field));
        }
        body
    }

    fn own_flags(&self) -> u8 {
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | (will.qos << 3) | (u8::from(will.retain) << 5);
        }
        flags | (u8::from(self.password.is_some()) << 6) | (u8::from(self.user_name.is_some()) << 7)
    }
}

/// A PUBLISH, to be sent or received. The Packet Identifier is written for QoS above 0 only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The version it is written in.
    pub version: Version,
    /// DUP.
    pub dup: bool,
    /// QoS; 3 can be written.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name.
    pub topic: Vec<u8>,
    /// Packet Identifier; 0 in a message of QoS 0.
    pub id: u16,
    /// The properties without their length.
    pub properties: Vec<u8>,
    /// Application Message.
    pub payload: Vec<u8>,
}

impl Publish {
    /// A message of QoS 0.
    pub fn new(version: Version, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            dup: false,
            qos: 0,
            retain: false,
            topic: topic.as_ref().to_vec(),
            id: 0,
            properties: Vec::new(),
            payload: payload.as_ref().to_vec(),
        }
    }

    /// The same at a QoS, with a Packet Identifier.
    #[must_use]
    pub fn qos(mut self, qos: u8, id: u16) -> Self {
        self.qos = qos;
        self.id = id;
        self
    }

    /// The same with DUP set.
    #[must_use]
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// The same with RETAIN set.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same with one more property.
    #[must_use]
    pub fn property(mut self, property: impl AsRef<[u8]>) -> Self {
        self.properties.extend_from_slice(property.as_ref());
        self
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let first = 0x30 | (u8::from(self.dup) << 3) | (self.qos << 1) | u8::from(self.retain);
        let mut body = text(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(properties(self.version, &self.properties));
        body.extend(&self.payload);
        packet(first, body)
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (by first byte) in the short form that means success.
#[must_use]
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, id.to_be_bytes())
}

/// The same of MQTT 5 with a Reason Code and no properties.
#[must_use]
pub fn ack_with(first: u8, id: u16, reason: u8) -> Vec<u8> {
    packet(first, [&id.to_be_bytes()[..], &[reason]].concat())
}

/// First byte of PUBACK.
pub const PUBACK: u8 = 0x40;
/// First byte of PUBREC.
pub const PUBREC: u8 = 0x50;
/// First byte of PUBREL.
pub const PUBREL: u8 = 0x62;
/// First byte of PUBCOMP.
pub const PUBCOMP: u8 = 0x70;

/// SUBSCRIBE with pairs of filter and options.
#[must_use]
pub fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(version, id, &[], filters)
}

/// SUBSCRIBE with properties.
#[must_use]
pub fn subscribe_with(version: Version, id: u16, props: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, props));
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, body)
}

/// SUBACK or UNSUBACK (by first byte) without properties.
#[must_use]
pub fn suback(first: u8, version: Version, id: u16, codes: &[u8]) -> Vec<u8> {
    packet(
        first,
        [&id.to_be_bytes()[..], &properties(version, &[]), codes].concat(),
    )
}

/// UNSUBSCRIBE.
#[must_use]
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    for filter in filters {
        body.extend(text(filter));
    }
    packet(0xA2, body)
}

/// The DISCONNECT of a client that leaves normally, the same in both versions.
pub const DISCONNECT: &[u8] = &[0xE0, 0];

/// DISCONNECT of MQTT 5 with a Reason Code and properties.
#[must_use]
pub fn disconnect_with(reason: u8, props: &[u8]) -> Vec<u8> {
    packet(
        0xE0,
        [&[reason][..], &properties(Version::V5, props)].concat(),
    )
}

/// AUTH.
#[must_use]
pub fn auth(reason: u8, props: &[u8]) -> Vec<u8> {
    packet(
        0xF0,
        [&[reason][..], &properties(Version::V5, props)].concat(),
    )
}
