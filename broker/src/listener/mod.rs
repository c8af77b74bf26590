//! Where clients come in: sockets that are listened on, and what goes with each of them.

pub mod tcp;

use std::sync::Arc;

use dunlin_engine::connection::{OnDeny, Settings};

use crate::auth::Authenticator;
use crate::config::{self, Config};

/// What every connection of one listener has in common.
#[derive(Debug)]
pub struct Door {
    /// For the engine.
    pub settings: Arc<Settings>,
    /// How clients prove who they are.
    pub authenticator: Authenticator,
    /// Connections at once through this listener.
    pub connections_max: Option<usize>,
}

impl Door {
    /// The door of a configured listener.
    #[must_use]
    pub fn new(listener: &config::Listener, config: &Config) -> Self {
        let mqtt = &config.mqtt;
        Self {
            settings: Arc::new(Settings {
                listener: listener.address.to_string().into(),
                assigned_client_id_prefix: mqtt.assigned_client_id_prefix.as_str().into(),
                response_information: mqtt.response_information.as_deref().map(Into::into),
                on_deny: match mqtt.on_deny {
                    config::OnDeny::Acknowledge => OnDeny::Acknowledge,
                    config::OnDeny::Disconnect => OnDeny::Disconnect,
                },
            }),
            authenticator: Authenticator {
                allow_anonymous: listener.allow_anonymous,
            },
            connections_max: listener.connections_max,
        }
    }
}
