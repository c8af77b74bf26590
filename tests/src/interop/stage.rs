//! Where a scenario plays: its clients, with names and topics that no other scenario uses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;

use super::agent::{Agent, AgentClient, Idle};
use super::client::{Client, Connected, Event, Filter, Message, Options, PATIENCE};
use super::mosquitto::Mosquitto;
use super::rumqttc::Rumqttc;
use super::software::{Installed, Software};
use crate::raw::{Failure, Outcome, Version, same};

/// How long nothing must come for us to believe that nothing will. Used only where no later message can prove it.
const QUIET: Duration = Duration::from_millis(300);

/// What all scenarios share.
#[derive(Debug)]
pub struct Workshop {
    address: SocketAddr,
    foreign: bool,
    installed: HashMap<Software, Installed>,
    idle: HashMap<Software, Idle>,
    runtime: Runtime,
    /// Differs from run to run, since a foreign broker may remember an earlier one. Short, as MQTT 3.1 wants Client
    /// Identifiers of 23 characters at most.
    nonce: u128,
}

impl Workshop {
    /// Finds the software below cargo's `target` directory and on the PATH. Returns what is missing, too, and why.
    ///
    /// # Errors
    /// When the runtime of rumqttc can't be made.
    pub fn new(
        address: SocketAddr,
        foreign: bool,
        target: &Path,
    ) -> Outcome<(Self, Vec<(Software, String)>)> {
        let (mut installed, mut missing) = (HashMap::new(), Vec::new());
        for software in Software::ALL {
            match software.installed(target) {
                Ok(found) => drop(installed.insert(software, found)),
                Err(reason) => missing.push((software, reason)),
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let nonce = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() % 100_000_000);
        let idle = Software::ALL
            .map(|software| (software, Idle::default()))
            .into();
        Ok((
            Self {
                address,
                foreign,
                installed,
                idle,
                runtime,
                nonce,
            },
            missing,
        ))
    }

    /// Lets a scenario play. `number` differs from scenario to scenario.
    ///
    /// # Errors
    /// What the scenario saw and shouldn't have.
    pub fn play(&self, cast: Cast, number: usize, scenario: fn(&Stage<'_>) -> Outcome) -> Outcome {
        let prefix = format!("{}-{number}", self.nonce);
        let stage = Stage {
            workshop: self,
            cast,
            prefix,
            agents: Mutex::default(),
        };
        let outcome = scenario(&stage);
        for (software, agent) in stage
            .agents
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            if let Some(idle) = self.idle.get(&software) {
                idle.give_back(agent, outcome.is_ok());
            }
        }
        outcome
    }
}

/// Who plays, and in which variant.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// The software of the clients.
    pub software: Software,
    /// The software of the one who receives, where two kinds meet.
    pub other: Software,
    /// The protocol version of the clients; where two kinds meet, of the one who sends.
    pub version: Version,
    /// The QoS, for scenarios that come in three.
    pub qos: u8,
}

/// The place of one scenario.
#[derive(Debug)]
pub struct Stage<'a> {
    workshop: &'a Workshop,
    cast: Cast,
    prefix: String,
    agents: Mutex<HashMap<Software, Arc<Mutex<Agent>>>>,
}

impl Stage<'_> {
    /// The QoS of this variant.
    #[must_use]
    pub fn qos(&self) -> u8 {
        self.cast.qos
    }

    /// The version of this variant.
    #[must_use]
    pub fn version(&self) -> Version {
        self.cast.version
    }

    /// Whether the broker isn't ours, so that what the standard leaves open may differ.
    #[must_use]
    pub fn foreign(&self) -> bool {
        self.workshop.foreign
    }

    /// A small Keep Alive that the clients accept, in seconds.
    #[must_use]
    pub fn short_keep_alive_s(&self) -> u16 {
        self.cast.software.short_keep_alive_s()
    }

    /// A topic or filter of this scenario alone.
    #[must_use]
    pub fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// A client that isn't connected yet.
    ///
    /// # Errors
    /// When its software can't be started.
    pub fn client(&self, name: &str) -> Outcome<Player> {
        self.client_of(self.cast.software, self.cast.version, name)
    }

    /// A client that is connected, with Clean Start.
    ///
    /// # Errors
    /// When it can't connect.
    pub fn connected(&self, name: &str) -> Outcome<Player> {
        let mut player = self.client(name)?;
        player.connect()?;
        Ok(player)
    }

    /// The one who receives where two kinds of software meet, with the other version; connected.
    ///
    /// # Errors
    /// When it can't connect.
    pub fn connected_other(&self, name: &str) -> Outcome<Player> {
        let version = match self.cast.version {
            Version::V5 => Version::V311,
            Version::V311 => Version::V5,
        };
        let mut player = self.client_of(self.cast.other, version, name)?;
        player.connect()?;
        Ok(player)
    }

    fn client_of(&self, software: Software, version: Version, name: &str) -> Outcome<Player> {
        let address = self.workshop.address;
        let client: Box<dyn Client> = match software {
            Software::Mosquitto => Box::new(Mosquitto::new(address)),
            Software::Rumqttc => Box::new(Rumqttc::new(address, self.workshop.runtime.handle())),
            Software::Paho | Software::MqttJs => Box::new(AgentClient::new(&self.agent(software)?)),
        };
        let options = Options {
            version: version.level(),
            client_id: format!("{}-{name}", self.prefix),
            clean_start: true,
            session_expiry_s: None,
            keep_alive_s: 60,
            receive_maximum: None,
            topic_alias_maximum: None,
            will: None,
        };
        Ok(Player {
            client,
            options,
            foreign: self.foreign(),
        })
    }

    fn agent(&self, software: Software) -> Outcome<Arc<Mutex<Agent>>> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&software) {
            return Ok(Arc::clone(agent));
        }
        let (Some(installed), Some(idle)) = (
            self.workshop.installed.get(&software),
            self.workshop.idle.get(&software),
        ) else {
            return Err(Failure::new(format!("{software} isn't installed")));
        };
        let agent = idle.lease(installed, self.workshop.address)?;
        agents.insert(software, Arc::clone(&agent));
        Ok(agent)
    }
}

/// A client with its part in the scenario.
pub struct Player {
    client: Box<dyn Client>,
    /// How it connects next.
    pub options: Options,
    foreign: bool,
}

impl Player {
    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect(&mut self) -> Outcome<Connected> {
        self.client.connect(&self.options)
    }

    /// Connects so that the session outlives the connection, and checks Session Present where the client shows it.
    ///
    /// # Errors
    /// As [`Client::connect`], or when Session Present isn't `present`.
    #[track_caller]
    pub fn connect_to_stay(&mut self, present: bool) -> Outcome {
        self.options.clean_start = false;
        self.options.session_expiry_s = (self.options.version == 5).then_some(600);
        let connected = self.connect()?;
        same(
            "Session Present",
            connected.session_present.unwrap_or(present),
            present,
        )
    }

    /// Connects so that what the broker kept of it is gone.
    ///
    /// # Errors
    /// As [`Client::connect`], or when Session Present is set.
    #[track_caller]
    pub fn connect_clean(&mut self) -> Outcome {
        self.options.clean_start = true;
        self.options.session_expiry_s = None;
        let connected = self.connect()?;
        same(
            "Session Present",
            connected.session_present.unwrap_or(false),
            false,
        )
    }

    /// Connects again after a cut, to the session that is there.
    ///
    /// # Errors
    /// As [`Client::resume`], or when Session Present isn't set.
    #[track_caller]
    pub fn resume(&mut self) -> Outcome {
        let connected = self.client.resume()?;
        same(
            "Session Present",
            connected.session_present.unwrap_or(true),
            true,
        )
    }

    /// Subscribes to one filter and checks that the QoS is granted.
    ///
    /// # Errors
    /// As [`Client::subscribe`], or when it isn't granted.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> Outcome {
        self.subscribe_all(&[Filter::new(filter, qos)])
    }

    /// Subscribes to filters in one go and checks that each QoS is granted.
    ///
    /// # Errors
    /// As [`Client::subscribe`], or when one isn't granted.
    #[track_caller]
    pub fn subscribe_all(&mut self, filters: &[Filter]) -> Outcome {
        self.subscribe_as(filters, None)
    }

    /// The same with a Subscription Identifier.
    ///
    /// # Errors
    /// As [`Client::subscribe`], or when one isn't granted.
    #[track_caller]
    pub fn subscribe_as(&mut self, filters: &[Filter], identifier: Option<u32>) -> Outcome {
        let granted = self.client.subscribe(filters, identifier)?;
        same(
            "SUBACK",
            granted,
            filters.iter().map(|filter| filter.qos).collect(),
        )
    }

    /// Unsubscribes.
    ///
    /// # Errors
    /// As [`Client::unsubscribe`].
    pub fn unsubscribe(&mut self, filter: &str) -> Outcome {
        self.client.unsubscribe(&[filter.to_owned()])
    }

    /// Publishes one message.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish(&mut self, message: &Message) -> Outcome {
        self.client.publish(std::slice::from_ref(message))
    }

    /// Publishes many messages.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish_all(&mut self, messages: &[Message]) -> Outcome {
        self.client.publish(messages)
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes, or the connection ends.
    #[track_caller]
    pub fn receive(&mut self) -> Outcome<Message> {
        match self.client.next(PATIENCE)? {
            Some(Event::Message(message)) => Ok(message),
            Some(Event::Closed(reason)) => Err(Failure::new(format!(
                "closed ({reason:?}) instead of a message"
            ))),
            None => Err(Failure::new("no message")),
        }
    }

    /// Checks that the next message is this one, with all that the client shows of it.
    ///
    /// # Errors
    /// As [`Player::receive`], or when it's another.
    #[track_caller]
    pub fn expect(&mut self, message: &Message) -> Outcome {
        let seen = self.receive()?;
        if seen.payload == message.payload {
            return same(
                "message",
                without_payload(seen),
                without_payload(message.clone()),
            );
        }
        let described = |message: &Message| {
            format!(
                "{} QoS {} {} bytes {:.80}",
                message.topic,
                message.qos,
                message.payload.len(),
                message.text()
            )
        };
        Err(Failure::new(format!(
            "expected {}, got {}",
            described(message),
            described(&seen)
        )))
    }

    /// Checks that the next messages have these payloads, in this order.
    ///
    /// # Errors
    /// As [`Player::receive`], or when it's another.
    #[track_caller]
    pub fn expect_texts(&mut self, texts: &[String]) -> Outcome {
        for (index, text) in texts.iter().enumerate() {
            let seen = self.receive()?.text();
            if seen != *text {
                return Err(Failure::new(format!(
                    "message {index}: expected {text}, got {seen}"
                )));
            }
        }
        Ok(())
    }

    /// The next message if one comes soon.
    ///
    /// # Errors
    /// When the connection ends.
    #[track_caller]
    pub fn receive_soon(&mut self) -> Outcome<Option<Message>> {
        match self.client.next(QUIET)? {
            Some(Event::Message(message)) => Ok(Some(message)),
            Some(Event::Closed(reason)) => Err(Failure::new(format!(
                "closed ({reason:?}) instead of a message"
            ))),
            None => Ok(None),
        }
    }

    /// Checks that nothing comes.
    ///
    /// # Errors
    /// When something does.
    #[track_caller]
    pub fn quiet(&mut self) -> Outcome {
        self.quiet_for(QUIET)
    }

    /// Checks that nothing comes for this long.
    ///
    /// # Errors
    /// When something does.
    #[track_caller]
    pub fn quiet_for(&mut self, time: Duration) -> Outcome {
        match self.client.next(time)? {
            None => Ok(()),
            Some(Event::Message(seen)) => {
                let text = seen.text();
                Err(Failure::new(format!(
                    "unexpected message {} QoS {}: {text:.80}",
                    seen.topic, seen.qos
                )))
            }
            Some(Event::Closed(reason)) => {
                Err(Failure::new(format!("unexpectedly closed ({reason:?})")))
            }
        }
    }

    /// Checks that the broker ends the connection; in MQTT 5 with this reason code.
    ///
    /// # Errors
    /// When it doesn't, or for another reason.
    #[track_caller]
    pub fn expect_closed(&mut self, reason: u8) -> Outcome {
        let expected = (self.options.version == 5).then_some(reason);
        match self.client.next(PATIENCE)? {
            // Other brokers may leave without a word.
            Some(Event::Closed(None)) if self.foreign => Ok(()),
            Some(Event::Closed(seen)) => same("reason code of DISCONNECT", seen, expected),
            Some(Event::Message(seen)) => Err(Failure::new(format!("a message: {}", seen.topic))),
            None => Err(Failure::new("the connection stays open")),
        }
    }

    /// Ends the connection with DISCONNECT.
    ///
    /// # Errors
    /// As [`Client::disconnect`].
    pub fn disconnect(&mut self) -> Outcome {
        self.client.disconnect()
    }

    /// Ends the connection without DISCONNECT.
    ///
    /// # Errors
    /// As [`Client::cut`].
    pub fn cut(&mut self) -> Outcome {
        self.client.cut()
    }
}

fn without_payload(mut message: Message) -> Message {
    message.payload.clear();
    message
}
