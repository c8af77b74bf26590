//! rumqttc's half for MQTT 3.1.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ClientError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet,
    SubscribeFilter, SubscribeReasonCode, qos,
};
use tokio::sync::Mutex;

use super::super::client::{Connected, Filter, Message, Options};
use super::{PACKET_MAX, REQUESTS, Signal};
use crate::raw::{Failure, Outcome};

pub(super) struct Half {
    pub(super) requests: AsyncClient,
    /// Locked by the driver while the connection lives.
    event_loop: Arc<Mutex<EventLoop>>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("rumqttc")
    }
}

impl Half {
    pub(super) fn new(address: SocketAddr, options: &Options) -> Outcome<Self> {
        let mut mqtt =
            MqttOptions::new(&options.client_id, address.ip().to_string(), address.port());
        mqtt.set_keep_alive(Duration::from_secs(options.keep_alive_s.into()));
        mqtt.set_clean_session(options.clean_start);
        let packet_max =
            usize::try_from(PACKET_MAX).map_err(|error| Failure::new(error.to_string()))?;
        mqtt.set_max_packet_size(packet_max, packet_max);
        if let Some(will) = &options.will {
            let Message {
                topic,
                payload,
                retain,
                ..
            } = &will.message;
            let level =
                qos(will.message.qos).map_err(|error| Failure::new(format!("{error:?}")))?;
            mqtt.set_last_will(LastWill::new(topic, payload.clone(), level, *retain));
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
                        // Nobody listens when the scenario is over.
                        drop(signals.send(Signal::Ended {
                            reason: None,
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

    pub(super) async fn subscribe(&self, filters: &[Filter]) -> Result<(), ClientError> {
        let filters = filters.iter().filter_map(|filter| {
            let qos = qos(filter.qos).ok()?;
            Some(SubscribeFilter {
                path: filter.filter.clone(),
                qos,
            })
        });
        self.requests.subscribe_many(filters).await
    }

    pub(super) async fn publish(&self, message: &Message) -> Result<(), ClientError> {
        let Message {
            topic,
            payload,
            retain,
            ..
        } = message;
        let qos = qos(message.qos).unwrap_or(rumqttc::QoS::ExactlyOnce);
        self.requests
            .publish(topic, qos, *retain, payload.clone())
            .await
    }
}

fn understood(event: Event) -> Option<Signal> {
    Some(match event {
        Event::Incoming(Packet::ConnAck(connack)) => Signal::Connected(Connected {
            session_present: Some(connack.session_present),
            ..Connected::default()
        }),
        Event::Incoming(Packet::SubAck(suback)) => {
            Signal::Subscribed(suback.return_codes.iter().map(code).collect())
        }
        Event::Incoming(Packet::UnsubAck(_)) => Signal::Unsubscribed,
        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))
        | Event::Outgoing(Outgoing::Publish(0)) => Signal::Completed,
        Event::Incoming(Packet::Publish(publish)) => {
            let mut message = Message::new(publish.topic, publish.payload, publish.qos as u8);
            message.retain = publish.retain;
            Signal::Message(message)
        }
        _ => return None,
    })
}

fn code(code: &SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        SubscribeReasonCode::Failure => 0x80,
    }
}
