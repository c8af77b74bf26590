//! CONNECT to CONNACK. MQTT 5 sections 3.1, 3.2; MQTT 3.1.1 the same.

use dunlin_codec::topic::levels;
use dunlin_codec::{ConnAck, Connect, Packet, Properties, Property, ReasonCode, Version};

use super::{AliasesIn, AliasesOut, CloseReason, Connection, Open, Phase, Settings};
use crate::connection::Close;
use crate::hub::{Batch, ConnectRefused, ConnectRequest, Connected, Hub};
use crate::limits::Limits;
use crate::message::{ClientId, Origin};
use crate::session::{NEVER_EXPIRES, Will};
use crate::sync::Arc;
use crate::time::Now;

/// What a CONNECT says about who the client is.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// The Client Identifier that it asks for, or that it was assigned.
    pub client_id: Box<str>,
    /// User Name.
    pub user_name: Option<Box<str>>,
    /// Password. Not shown by `Debug`.
    pub password: Option<Box<[u8]>>,
    /// The listener's name.
    pub listener: Arc<str>,
}

impl core::fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AuthRequest")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Let in, under this User Name if any.
    Accepted {
        /// The name that authorization goes by.
        user_name: Option<Arc<str>>,
    },
    /// Not let in.
    Refused(ReasonCode),
}

/// A CONNECT that waits for its authentication.
pub(super) struct PendingConnect {
    auth: AuthRequest,
    assigned: bool,
    clean_start: bool,
    keep_alive_s: u16,
    will: Option<Arc<Will>>,
    asked_expiry_s: u32,
    receive_maximum: u16,
    topic_alias_maximum: u16,
    request_response_information: bool,
    request_problem_information: bool,
}

impl PendingConnect {
    pub(super) fn auth_request(&self) -> AuthRequest {
        self.auth.clone()
    }
}

/// How much of a CONNECT tells its version: a fixed header of 2 to 5 bytes, the protocol name, the
/// level.
const MQTT_NAME: &[u8] = b"\x00\x04MQTT";
const MQISDP_NAME: &[u8] = b"\x00\x06MQIsdp";

impl Connection {
    /// Looks at the first bytes of a connection before the whole packet is there: whether it's a
    /// CONNECT, and of which version.
    pub(super) fn expect_connect(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        // [MQTT-3.1.0-1]
        if bytes.first().is_some_and(|first| first >> 4 != 1) {
            return Err(CloseReason::NotConnect);
        }
        let after_length = bytes
            .iter()
            .skip(1)
            .take(4)
            .position(|byte| byte & 0x80 == 0);
        let Some(body) = after_length.and_then(|at| bytes.get(at + 2..)) else {
            return Ok(());
        };
        let level = body
            .strip_prefix(MQTT_NAME)
            .or_else(|| body.strip_prefix(MQISDP_NAME));
        let Some(&level) = level.and_then(|rest| rest.first()) else {
            return Ok(());
        };
        self.version = match level {
            3 => Version::V3,
            0..=4 => Version::V4,
            _ => Version::V5,
        };
        // [MQTT-3.1.2-2] A version byte of ours under the wrong name is found by the decoder.
        if !(3..=5).contains(&level) {
            return Err(CloseReason::UnsupportedVersion(level));
        }
        Ok(())
    }

    pub(super) fn on_connect(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        connect: &Connect<'_>,
    ) -> Result<(), CloseReason> {
        let Phase::AwaitConnect { deadline } = self.phase else {
            return Err(CloseReason::Protocol("second CONNECT"));
        };
        self.version = connect.version;
        let refused = |code| Err(CloseReason::ConnectRefused(code));
        let mut pending = self.read_connect(hub, connect);
        for property in connect.properties.iter() {
            match property {
                Property::SessionExpiryInterval(secs) => pending.asked_expiry_s = secs,
                Property::ReceiveMaximum(maximum) => pending.receive_maximum = maximum,
                Property::MaximumPacketSize(bytes) => self.maximum_packet_size = bytes,
                Property::TopicAliasMaximum(maximum) => pending.topic_alias_maximum = maximum,
                Property::RequestResponseInformation(asked) => {
                    pending.request_response_information = asked;
                }
                Property::RequestProblemInformation(asked) => {
                    pending.request_problem_information = asked;
                }
                // [MQTT-4.12.0-1] No method is configured.
                Property::AuthenticationMethod(_) => {
                    return refused(ReasonCode::BadAuthenticationMethod);
                }
                _ => {}
            }
        }
        let will_properties = connect
            .will
            .map_or(Properties::EMPTY, |will| will.properties);
        if user_properties(connect.properties) + user_properties(will_properties)
            > limits.user_properties
        {
            return refused(ReasonCode::QuotaExceeded);
        }
        if connect.client_id.len() > limits.client_id_bytes {
            return refused(ReasonCode::ClientIdentifierNotValid);
        }
        if connect.client_id.is_empty() {
            let may_be_empty = match connect.version {
                Version::V5 => true,
                // [3:MQTT-3.1.3-7] [3:MQTT-3.1.3-8]
                Version::V4 => connect.clean_start,
                Version::V3 => false,
            };
            if !may_be_empty {
                return refused(ReasonCode::ClientIdentifierNotValid);
            }
            // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
            pending.auth.client_id = self.assigned_client_id();
            pending.assigned = true;
        }
        if let Some(will) = &connect.will
            && (levels(will.topic) > limits.topic_levels || will.topic.len() > limits.topic_bytes)
        {
            return refused(ReasonCode::TopicNameInvalid);
        }
        // Before MQTT 5 a client can't be told that it has to be faster.
        let keep_alive_too_long = limits.keep_alive_s > 0
            && (connect.keep_alive_s == 0 || connect.keep_alive_s > limits.keep_alive_s);
        if keep_alive_too_long && !connect.version.is_v5() {
            return refused(ReasonCode::ImplementationSpecificError);
        }
        let deadline = deadline.max(now.monotonic);
        self.phase = Phase::Authenticating {
            pending: Box::new(pending),
            asked: false,
            deadline,
        };
        Ok(())
    }

    fn read_connect(&self, hub: &Hub, connect: &Connect<'_>) -> PendingConnect {
        PendingConnect {
            auth: AuthRequest {
                client_id: connect.client_id.into(),
                user_name: connect.user_name.map(Into::into),
                password: connect.password.map(Into::into),
                listener: Arc::clone(&self.settings.listener),
            },
            assigned: false,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            will: connect
                .will
                .map(|will| Arc::new(Will::new(&will, hub.account()))),
            // Before MQTT 5 a session is kept for ever unless it's clean. [3:MQTT-3.1.2-4]
            asked_expiry_s: if connect.version.is_v5() || connect.clean_start {
                0
            } else {
                NEVER_EXPIRES
            },
            receive_maximum: u16::MAX,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
        }
    }

    fn assigned_client_id(&self) -> Box<str> {
        use core::fmt::Write as _;
        let mut id = String::from(&*self.settings.assigned_client_id_prefix);
        for byte in self.seed {
            // Writing to a String doesn't fail.
            let _ = write!(id, "{byte:02x}");
        }
        id.into_boxed_str()
    }

    /// The answer to [`super::Event::Authenticate`].
    ///
    /// # Errors
    /// The connection is over.
    pub fn handle_authenticated(
        &mut self,
        now: Now,
        hub: &Hub,
        batch: &mut Batch,
        outcome: AuthOutcome,
    ) -> Result<(), Close> {
        let user_name = match outcome {
            AuthOutcome::Accepted { user_name } => user_name,
            AuthOutcome::Refused(code) => {
                return Err(self.close(now, hub, batch, CloseReason::ConnectRefused(code)));
            }
        };
        let Phase::Authenticating { pending, .. } =
            core::mem::replace(&mut self.phase, Phase::Closed)
        else {
            return Ok(());
        };
        let limits = hub.limits();
        let origin = Arc::new(Origin {
            client_id: ClientId::new(&pending.auth.client_id),
            user_name,
            listener: Arc::clone(&self.settings.listener),
        });
        let expiry_s = pending.asked_expiry_s.min(limits.session_expiry_s);
        let request = ConnectRequest {
            origin: Arc::clone(&origin),
            clean_start: pending.clean_start,
            expiry_s,
            will: pending.will.clone(),
            version: self.version,
            receive_maximum: pending.receive_maximum.min(limits.inflight),
            maximum_packet_size: self.maximum_packet_size,
            wake: Arc::clone(&self.wake),
        };
        let connected = match hub.connect(now, &limits, request, batch) {
            Ok(connected) => connected,
            Err(refused) => {
                let code = match refused {
                    ConnectRefused::QuotaExceeded => ReasonCode::QuotaExceeded,
                    ConnectRefused::Busy => ReasonCode::ServerBusy,
                };
                self.stage_refusal(code, code.text());
                return Err(Close {
                    reason: CloseReason::ConnectRefused(code),
                });
            }
        };
        self.open_connection(
            now, hub, &limits, &pending, origin, expiry_s, connected, batch,
        )
    }

    #[allow(clippy::too_many_arguments)] // the parts of an open connection
    fn open_connection(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        pending: &PendingConnect,
        origin: Arc<Origin>,
        expiry_s: u32,
        connected: Connected,
        batch: &mut Batch,
    ) -> Result<(), Close> {
        let Connected {
            session,
            epoch,
            session_present,
            seq,
        } = connected;
        let (asked, most) = (pending.keep_alive_s, limits.keep_alive_s);
        let keep_alive_s = if most > 0 && (asked == 0 || asked > most) {
            most
        } else {
            asked
        };
        self.phase = Phase::Open(Box::new(Open {
            session,
            epoch,
            origin,
            keep_alive_s,
            last_packet: now.monotonic,
            expiry_s,
            request_problem_information: pending.request_problem_information,
            unacknowledged: 0,
            receive_maximum: limits.receive_maximum,
            refused_since: None,
            retried_at: now.monotonic,
            aliases_in: AliasesIn::new(limits.topic_aliases_in, hub.account()),
            aliases_out: AliasesOut::new(
                pending.topic_alias_maximum.min(limits.topic_aliases_out),
                hub.account(),
            ),
        }));
        let settings = Arc::clone(&self.settings);
        let properties = connack_properties(&settings, limits, pending, expiry_s, keep_alive_s);
        let connack = Packet::ConnAck(ConnAck {
            session_present,
            reason_code: ReasonCode::Success,
            properties: Properties::from_list(&properties),
        });
        let durable = hub.journal().watermark().durable();
        // CONNACK promises the session: it waits until that is durable.
        if self.staging.after(
            self.version,
            self.maximum_packet_size,
            seq,
            durable,
            &connack,
        ) {
            Ok(())
        } else {
            Err(self.close(now, hub, batch, CloseReason::PacketTooLargeForPeer))
        }
    }

    /// A CONNACK that refuses. [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7]
    pub(super) fn stage_refusal(&mut self, reason_code: ReasonCode, text: &str) {
        let list = [Property::ReasonString(text)];
        let refusal = |properties| {
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason_code,
                properties,
            })
        };
        let packets = [
            refusal(Properties::from_list(&list)),
            refusal(Properties::EMPTY),
        ];
        // [MQTT-3.2.2-19]
        self.staging
            .largest_that_fits(self.version, self.maximum_packet_size, &packets);
    }
}

/// What the client has to know: where we differ from the standard's defaults or its wishes.
fn connack_properties<'a>(
    settings: &'a Settings,
    limits: &Limits,
    pending: &'a PendingConnect,
    expiry_s: u32,
    keep_alive_s: u16,
) -> Vec<Property<'a>> {
    let mut list = Vec::new();
    if expiry_s != pending.asked_expiry_s {
        list.push(Property::SessionExpiryInterval(expiry_s));
    }
    if limits.receive_maximum != u16::MAX {
        list.push(Property::ReceiveMaximum(limits.receive_maximum));
    }
    list.push(Property::MaximumPacketSize(limits.packet_bytes));
    if pending.assigned {
        list.push(Property::AssignedClientIdentifier(&pending.auth.client_id));
    }
    if limits.topic_aliases_in > 0 {
        list.push(Property::TopicAliasMaximum(limits.topic_aliases_in));
    }
    // [MQTT-3.2.2-21]
    if keep_alive_s != pending.keep_alive_s {
        list.push(Property::ServerKeepAlive(keep_alive_s));
    }
    // [MQTT-3.1.2-28]
    if pending.request_response_information
        && let Some(information) = &settings.response_information
    {
        list.push(Property::ResponseInformation(information));
    }
    list
}

/// How many User Properties there are.
pub(super) fn user_properties(properties: Properties<'_>) -> usize {
    if properties.is_empty() {
        return 0;
    }
    properties
        .iter()
        .filter(|property| matches!(property, Property::UserProperty(..)))
        .count()
}
