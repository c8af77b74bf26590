//! The suites with real, unchanged MQTT clients from their package registries: mosquitto_pub and mosquitto_sub,
//! paho-mqtt, MQTT.js and rumqttc.
//!
//! Each scenario is written once ([`scenarios`]) against one small door ([`client::Client`]) and run with every client
//! whose software can do what it needs ([`software`]). Not for the letter of the standards, which the conformance
//! rows prove: here the field's tools see what they are used to.

pub mod agent;
pub mod client;
pub mod mosquitto;
pub mod rumqttc;
pub mod scenarios;
pub mod software;
pub mod stage;
