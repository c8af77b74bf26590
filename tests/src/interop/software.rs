//! Which software there is, what it can't do, and where it is installed. Installing is the work of
//! tests/interop/install.sh.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::raw::Version;

/// A client software.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Software {
    /// mosquitto_pub and mosquitto_sub.
    Mosquitto,
    /// paho-mqtt for Python.
    Paho,
    /// MQTT.js for Node.
    MqttJs,
    /// rumqttc for Rust.
    Rumqttc,
}

impl Software {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mosquitto, Self::Paho, Self::MqttJs, Self::Rumqttc];

    /// Whether it can't do this, for a reason of its own that no broker changes.
    #[must_use]
    pub fn lacks(self, need: Need, version: Version) -> bool {
        match self {
            // In MQTT 5 it answers a signal with reason code 0x04, so that its Will is published.
            Self::Mosquitto if need == Need::LeavesWithWill => version == Version::V311,
            Self::Mosquitto if need == Need::LeavesWithoutWill => version == Version::V5,
            // mosquitto_sub has one -q for all its -t, one subscription identifier, no No Local and no reconnect on
            // demand: it comes back by itself after a second, and so fights whoever takes its session over. It shows
            // neither the fields of CONNACK nor the reason of a DISCONNECT, and publishing is another program's work.
            // It acknowledges a message before it prints it, so that one may be lost with the killed process.
            Self::Mosquitto => matches!(
                need,
                Need::FiltersApart
                    | Need::NoLocal
                    | Need::StaysAway
                    | Need::ShowsConnack
                    | Need::LosesNothingInCuts
                    | Need::ExactlyOnceAcrossCuts
                    | Need::TopicAlias
                    | Need::OneConnection
                    | Need::AliasByHand
            ),
            // paho-mqtt leaves the mapping of a received Topic Alias to the application, as it does the sending.
            Self::Paho => matches!(need, Need::TopicAlias | Need::LeavesWithWill),
            Self::MqttJs => need == Need::LeavesWithWill,
            // rumqttc forgets the Packet Identifiers of received QoS 2 messages when the connection breaks, and hands
            // a message over at PUBLISH: one whose exchange was cut comes twice, or its PUBREL ends the connection. It
            // hands a message with a Topic Alias over without its Topic Name.
            Self::Rumqttc => matches!(
                need,
                Need::ExactlyOnceAcrossCuts
                    | Need::TopicAlias
                    | Need::LeavesWithWill
                    | Need::SpeaksV31
            ),
        }
    }

    /// A small Keep Alive that it accepts, in seconds; not so small that a machine with other work to do makes its
    /// ping late.
    #[must_use]
    pub fn short_keep_alive_s(self) -> u16 {
        match self {
            Self::Mosquitto | Self::Rumqttc => 5,
            Self::Paho | Self::MqttJs => 3,
        }
    }

    /// Where it is, below `target` (cargo's target directory) or on the PATH.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn installed(self, target: &Path) -> Result<Installed, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        let place = target.join("interop");
        match self {
            Self::Mosquitto => {
                // Its line of debugging that says a subscription is in force would stay in its output buffer.
                for program in ["mosquitto_pub", "mosquitto_sub", "stdbuf"] {
                    answers(Command::new(program).arg("--help"))?;
                }
                Ok(Installed::default())
            }
            Self::Paho => {
                let program = place.join("venv/bin/python");
                answers(Command::new(&program).args(["-c", "import paho.mqtt.client"]))?;
                let script = vec![scripts.join("paho_agent.py").into()];
                Ok(Installed {
                    program: program.into(),
                    script,
                    folder: None,
                })
            }
            Self::MqttJs => {
                let folder = place.join("node");
                if !folder.join("node_modules/mqtt/package.json").is_file() {
                    return Err(format!("no package mqtt in {}", folder.display()));
                }
                answers(Command::new("node").arg("--version"))?;
                let script = vec![scripts.join("mqttjs_agent.mjs").into()];
                Ok(Installed {
                    program: "node".into(),
                    script,
                    folder: Some(folder.into()),
                })
            }
            // Compiled in.
            Self::Rumqttc => Ok(Installed::default()),
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mosquitto => "mosquitto",
            Self::Paho => "paho-mqtt",
            Self::MqttJs => "MQTT.js",
            Self::Rumqttc => "rumqttc",
        })
    }
}

/// Whether the program can be started. Its exit status doesn't matter to all: `mosquitto_sub --help` ends with 1.
fn answers(command: &mut Command) -> Result<(), String> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let program = command.get_program().display().to_string();
    match status {
        Ok(status) if status.success() || program.starts_with("mosquitto") => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// How to start the agent of a software; empty for one that has none.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// The interpreter.
    pub program: OsString,
    /// The agent.
    pub script: Vec<OsString>,
    /// An argument after host and port.
    pub folder: Option<OsString>,
}

/// What a scenario needs of its clients beyond what all can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Filters of one client with different options or identifiers, or one SUBSCRIBE after another.
    FiltersApart,
    /// No Local.
    NoLocal,
    /// Not to connect again by itself when the broker ends the connection.
    StaysAway,
    /// The fields of CONNACK.
    ShowsConnack,
    /// To hand over whatever it has acknowledged, though the connection broke.
    LosesNothingInCuts,
    /// QoS 2 state that survives the connection within the client.
    ExactlyOnceAcrossCuts,
    /// To end a connection with DISCONNECT so that the Will isn't published.
    LeavesWithoutWill,
    /// To end a connection, when told to, so that the Will is published.
    LeavesWithWill,
    /// MQTT 3.1.
    SpeaksV31,
    /// To map Topic Aliases by itself.
    TopicAlias,
    /// To let the application set Topic Aliases on one connection.
    AliasByHand,
    /// One connection that publishes and subscribes.
    OneConnection,
}
