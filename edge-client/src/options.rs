//! What the application decides about its Session and connections. MQTT 5 section 3.1.

use core::fmt;
use core::time::Duration;

use dunlin_codec::reader::VARIABLE_BYTE_INTEGER_MAX;
use dunlin_codec::{PacketId, Property, Version, Will};

/// The largest packet that the standard has, in bytes: Remaining Length and the five bytes before it.
pub(crate) const PACKET_SIZE_MAX: u32 = VARIABLE_BYTE_INTEGER_MAX + 5;

/// What a CONNECT says, and how long to wait for answers.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// MQTT 5 or 3.1.1.
    pub version: Version,
    /// Identifies the Session at the server. Empty: the server makes one up, so that the Session can't be
    /// resumed.
    pub client_id: &'a str,
    /// Begin a new Session, whatever the server has kept. In MQTT 5 this is for the first connection: later
    /// ones resume the Session if `session_expiry_s` let it live. In MQTT 3.1.1 (Clean Session) it is for
    /// every connection, and the Session ends with each.
    ///
    /// False says that this client has the state of the Session that the server may have kept.
    pub clean_start: bool,
    /// How long the server keeps the Session after a connection, in seconds; 0xFFFFFFFF for ever. MQTT 5
    /// alone; must be 0 before.
    pub session_expiry_s: u32,
    /// The longest silence in seconds; 0 switches keep alive off. A server of MQTT 5 may set another.
    pub keep_alive_s: u16,
    /// User Name.
    pub user_name: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// What the server publishes when it loses this client.
    pub will: Option<Will<'a>>,
    /// More properties of the CONNECT, such as User Properties; those with a field of their own here and
    /// Receive Maximum are added by the session. Must be empty before MQTT 5.
    pub properties: &'a [Property<'a>],
    /// The largest packet that this client takes, in bytes: the size of the driver's receive buffer. The
    /// server of MQTT 5 is told; a larger packet ends the connection.
    pub maximum_packet_size: u32,
    /// How long to wait for CONNACK, for any sign of life after PINGREQ, and for a DISCONNECT to leave.
    pub response_timeout: Duration,
    /// The first Packet Identifier to use. Where a Session is resumed whose client lost its state, a random
    /// one makes it unlikely that the server takes a new QoS 2 message for a repeated one.
    pub first_packet_id: PacketId,
}

impl<'a> Options<'a> {
    /// MQTT 5, a new Session that ends with the connection, a Keep Alive of 60 s, a response timeout of
    /// 10 s, packets of any size.
    #[must_use]
    pub const fn new(client_id: &'a str) -> Self {
        Self {
            version: Version::V5,
            client_id,
            clean_start: true,
            session_expiry_s: 0,
            keep_alive_s: 60,
            user_name: None,
            password: None,
            will: None,
            properties: &[],
            maximum_packet_size: PACKET_SIZE_MAX,
            response_timeout: Duration::from_secs(10),
            first_packet_id: PacketId::MIN,
        }
    }
}

/// Without the password and the Will's payload.
impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("session_expiry_s", &self.session_expiry_s)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("user_name", &self.user_name)
            .field("will", &self.will.map(|will| will.topic))
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}
