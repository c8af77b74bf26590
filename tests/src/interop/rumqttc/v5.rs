//! rumqttc's half for MQTT 5.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, Filter as TheirFilter, LastWill, LastWillProperties, Packet, Publish,
    PublishProperties, RetainForwardRule, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{QoS, qos};
use rumqttc::v5::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, StateError,
};
use tokio::sync::Mutex;

use super::super::client::{Connected, Filter, Message, Options, Properties, Will};
use super::{PACKET_MAX, REQUESTS, Signal};
use crate::raw::{Failure, Outcome};

pub(super) struct Half {
    pub(super) requests: AsyncClient,
    /// Locked by the driver while the connection lives.
    event_loop: Arc<Mutex<EventLoop>>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("rumqttc::v5")
    }
}

impl Half {
    pub(super) fn new(address: SocketAddr, options: &Options) -> Outcome<Self> {
        let mut mqtt =
            MqttOptions::new(&options.client_id, address.ip().to_string(), address.port());
        mqtt.set_keep_alive(Duration::from_secs(options.keep_alive_s.into()));
        mqtt.set_clean_start(options.clean_start);
        let mut properties = ConnectProperties::new();
        properties.session_expiry_interval = options.session_expiry_s;
        properties.receive_maximum = options.receive_maximum;
        properties.max_packet_size = Some(PACKET_MAX);
        mqtt.set_connect_properties(properties);
        if let Some(will) = &options.will {
            mqtt.set_last_will(last_will(will)?);
        }
        let (requests, event_loop) = AsyncClient::new(mqtt, REQUESTS);
        Ok(Self {
            requests,
            event_loop: Arc::new(Mutex::new(event_loop)),
        })
    }

    /// Runs the event loop until its connection ends. Not to be run twice at once.
    pub(super) fn drive(
        &self,
        signals: Sender<Signal>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let event_loop = Arc::clone(&self.event_loop);
        async move {
            let mut event_loop = event_loop.lock().await;
            loop {
                let signal = match event_loop.poll().await {
                    Ok(event) => understood(event),
                    Err(error) => {
                        let reason = match &error {
                            ConnectionError::MqttState(StateError::ServerDisconnect {
                                reason_code,
                                ..
                            }) => Some(*reason_code as u8),
                            _ => None,
                        };
                        // Nobody listens when the scenario is over.
                        drop(signals.send(Signal::Ended {
                            reason,
                            error: error.to_string(),
                        }));
                        return;
                    }
                };
                if signal.is_some_and(|signal| signals.send(signal).is_err()) {
                    return;
                }
            }
        }
    }

    pub(super) async fn clean(&self) {
        self.event_loop.lock().await.clean();
    }

    pub(super) async fn subscribe(
        &self,
        filters: &[Filter],
        identifier: Option<u32>,
    ) -> Result<(), ClientError> {
        let filters = filters.iter().map(|filter| TheirFilter {
            path: filter.filter.clone(),
            qos: qos(filter.qos).unwrap_or_default(),
            nolocal: filter.no_local,
            preserve_retain: filter.retain_as_published,
            retain_forward_rule: match filter.retain_handling {
                0 => RetainForwardRule::OnEverySubscribe,
                1 => RetainForwardRule::OnNewSubscribe,
                _ => RetainForwardRule::Never,
            },
        });
        let id = identifier.and_then(|identifier| usize::try_from(identifier).ok());
        let properties = SubscribeProperties {
            id,
            user_properties: Vec::new(),
        };
        self.requests
            .subscribe_many_with_properties(filters, properties)
            .await
    }

    pub(super) async fn publish(&self, message: &Message) -> Result<(), ClientError> {
        let Message {
            topic,
            payload,
            retain,
            ..
        } = message;
        let level = qos(message.qos).unwrap_or(QoS::ExactlyOnce);
        let properties = publish_properties(&message.properties);
        self.requests
            .publish_with_properties(topic, level, *retain, payload.clone(), properties)
            .await
    }
}

fn last_will(will: &Will) -> Outcome<LastWill> {
    let Message {
        topic,
        payload,
        retain,
        ..
    } = &will.message;
    let level = qos(will.message.qos).ok_or_else(|| Failure::new("no such QoS"))?;
    let given = publish_properties(&will.message.properties);
    let properties = LastWillProperties {
        delay_interval: (will.delay_s != 0).then_some(will.delay_s),
        payload_format_indicator: given.payload_format_indicator,
        message_expiry_interval: given.message_expiry_interval,
        content_type: given.content_type,
        response_topic: given.response_topic,
        correlation_data: given.correlation_data,
        user_properties: given.user_properties,
    };
    Ok(LastWill::new(
        topic,
        payload.clone(),
        level,
        *retain,
        Some(properties),
    ))
}

fn publish_properties(properties: &Properties) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: properties.payload_format,
        message_expiry_interval: properties.expiry,
        topic_alias: properties.topic_alias,
        response_topic: properties.response_topic.clone(),
        correlation_data: properties.correlation_data.clone().map(Into::into),
        user_properties: properties.user.clone(),
        subscription_identifiers: Vec::new(),
        content_type: properties.content_type.clone(),
    }
}

fn understood(event: Event) -> Option<Signal> {
    Some(match event {
        Event::Incoming(Packet::ConnAck(connack)) => {
            let properties = connack.properties.as_ref();
            Signal::Connected(Connected {
                session_present: Some(connack.session_present),
                assigned_client_id: properties
                    .and_then(|properties| properties.assigned_client_identifier.clone()),
                topic_alias_maximum: properties.and_then(|properties| properties.topic_alias_max),
            })
        }
        Event::Incoming(Packet::SubAck(suback)) => {
            Signal::Subscribed(suback.return_codes.iter().map(code).collect())
        }
        Event::Incoming(Packet::UnsubAck(_)) => Signal::Unsubscribed,
        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))
        | Event::Outgoing(Outgoing::Publish(0)) => Signal::Completed,
        Event::Incoming(Packet::Publish(publish)) => Signal::Message(message(publish)),
        _ => return None,
    })
}

fn message(publish: Publish) -> Message {
    let mut message = Message::new(
        String::from_utf8_lossy(&publish.topic),
        publish.payload,
        publish.qos as u8,
    );
    message.retain = publish.retain;
    if let Some(seen) = publish.properties {
        message.properties = Properties {
            payload_format: seen.payload_format_indicator,
            expiry: seen.message_expiry_interval,
            content_type: seen.content_type,
            response_topic: seen.response_topic,
            correlation_data: seen.correlation_data.map(Into::into),
            topic_alias: seen.topic_alias,
            user: seen.user_properties,
            subscription_identifiers: seen
                .subscription_identifiers
                .into_iter()
                .filter_map(|identifier| u32::try_from(identifier).ok())
                .collect(),
        };
    }
    message
}

/// The granted QoS, or the code of a failure; rumqttc keeps the name of the others and not their number.
fn code(code: &SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        _ => 0x80,
    }
}
