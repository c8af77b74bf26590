//! What the server of the present connection takes, as its CONNACK says. MQTT 5 section 3.2.2.3.

use dunlin_codec::{Properties, Property, QoS};

use crate::event::Failure;
use crate::options::PACKET_SIZE_MAX;

/// Before MQTT 5, and where CONNACK says nothing, everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Messages of QoS 1 and 2 under way at once.
    pub(super) receive_maximum: u16,
    /// Bytes.
    pub(super) maximum_packet_size: u32,
    maximum_qos: QoS,
    retain_available: bool,
    pub(super) wildcards: bool,
    pub(super) subscription_identifiers: bool,
    pub(super) shared_subscriptions: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_packet_size: PACKET_SIZE_MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcards: true,
            subscription_identifiers: true,
            shared_subscriptions: true,
        }
    }
}

impl Server {
    pub(super) fn of_connack(properties: &Properties<'_>) -> Self {
        let mut server = Self::default();
        for property in properties.iter() {
            match property {
                Property::ReceiveMaximum(value) => server.receive_maximum = value,
                Property::MaximumPacketSize(value) => server.maximum_packet_size = value,
                Property::MaximumQos(false) => server.maximum_qos = QoS::AtMostOnce,
                Property::MaximumQos(true) => server.maximum_qos = QoS::AtLeastOnce,
                Property::RetainAvailable(value) => server.retain_available = value,
                Property::WildcardSubscriptionAvailable(value) => server.wildcards = value,
                Property::SubscriptionIdentifierAvailable(value) => {
                    server.subscription_identifiers = value;
                }
                Property::SharedSubscriptionAvailable(value) => {
                    server.shared_subscriptions = value;
                }
                _ => {}
            }
        }
        server
    }

    /// Whether a packet of `length` bytes is more than the server takes. [MQTT-3.2.2-15]
    pub(super) fn is_too_small_for(&self, length: usize) -> bool {
        u32::try_from(length).is_ok_and(|length| length > self.maximum_packet_size)
    }

    /// Why the server wouldn't take a PUBLISH of `length` bytes.
    pub(super) fn refusal(&self, qos: QoS, retain: bool, length: usize) -> Option<Failure> {
        // [MQTT-3.2.2-11]
        if qos > self.maximum_qos {
            Some(Failure::QosNotSupported)
        // [MQTT-3.2.2-14]
        } else if retain && !self.retain_available {
            Some(Failure::RetainNotSupported)
        } else if self.is_too_small_for(length) {
            Some(Failure::TooLargeForServer)
        } else {
            None
        }
    }
}
